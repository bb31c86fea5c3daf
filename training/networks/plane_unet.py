"""U-Net for slices (Ronneberger et al., MICCAI 2015): MONAI's, with its batch normalisation."""

from collections.abc import Sequence

from monai.networks.nets.basic_unet import BasicUNet
from torch import nn

USUAL_WIDTHS = (64, 128, 256, 512, 1024, 64)
"""As published; MONAI names the last decoder's width too."""


def PlaneUNet(  # noqa: N802 - named as the classes beside it in a configuration
    *, in_channels: int = 1, classes: int = 14, widths: Sequence[int] = USUAL_WIDTHS
) -> nn.Module:
    """Slices NxCxHxW -> logits NxKxHxW; sides are multiples of 16."""
    network: nn.Module = BasicUNet(
        spatial_dims=2,
        in_channels=in_channels,
        out_channels=classes,
        features=tuple(widths),
        act="relu",
        norm="batch",
        upsample="deconv",
    )
    return network
