"""Residual U-Nets (MONAI's UNet with residual units) in three dimensions, and in two over the slices of a stack."""

from collections.abc import Sequence

from monai.networks.nets import UNet
from torch import Tensor, nn

UNITS = 2
"""Convolutions of a residual unit on the way down: with five resolutions 18 in all, 2 × 5 down and 2 × 4 up."""


def _residual_unet(dimensions: int, classes: int, widths: Sequence[int]) -> nn.Module:
    return UNet(
        spatial_dims=dimensions,
        in_channels=1,
        out_channels=classes,
        channels=widths,
        strides=[2] * (len(widths) - 1),
        num_res_units=UNITS,
        norm=("instance", {"affine": True}),
    )


class ResidualUNet(nn.Module):
    """Volume Nx1xDxHxW -> organ logits NxLxDxHxW; sides are multiples of 2 for every resolution but the first."""

    def __init__(
        self, *, classes: int = 14, widths: Sequence[int] = (16, 32, 64, 128, 256)
    ) -> None:
        super().__init__()
        self.layers = _residual_unet(3, classes, widths)

    def forward(self, volumes: Tensor) -> Tensor:
        return self.layers(volumes)


class ResidualSliceUNet(nn.Module):
    """Stack of slices Nx1xDxHxW -> organ logits NxLxDxHxW; every slice is seen alone.

    Taking and giving a volume lets the node serve it as it serves a network of three dimensions.
    """

    def __init__(
        self, *, classes: int = 14, widths: Sequence[int] = (16, 32, 64, 128, 256)
    ) -> None:
        super().__init__()
        self.layers = _residual_unet(2, classes, widths)

    def forward(self, stacks: Tensor) -> Tensor:
        slices = stacks.shape[2]
        logits = self.layers(stacks.transpose(1, 2).flatten(0, 1))
        return logits.unflatten(0, (-1, slices)).transpose(1, 2)
