"""DeepLabV3+ (Chen et al., ECCV 2018) on MONAI's 2D ResNet: no library that has it does without torchvision.

Output stride 16, atrous spatial pyramid of rates 6, 12 and 18, depthwise separable convolutions in pyramid and decoder as
in the paper, low-level features of 48 channels. Parameters agree with those known of segmentation_models_pytorch's
DeepLabV3Plus: 22,437,457 with a ResNet-34 and 26,677,585 with a ResNet-50, three channels in and one out.
"""

from collections.abc import Sequence

import torch
from monai.networks.nets.resnet import ResNet
from torch import Tensor, nn
from torch.nn import functional

RESNETS: dict[str, tuple[str, tuple[int, int, int, int]]] = {
    "resnet10": ("basic", (1, 1, 1, 1)),
    "resnet18": ("basic", (2, 2, 2, 2)),
    "resnet34": ("basic", (3, 4, 6, 3)),
    "resnet50": ("bottleneck", (3, 4, 6, 3)),
    "resnet101": ("bottleneck", (3, 4, 23, 3)),
}
"""Kind of block, and how many there are at each depth (He et al., CVPR 2016, table 1)."""
BOTTLENECK_EXPANSION = 4
LOW_LEVEL_CHANNELS = 48
ATROUS_RATES = (6, 12, 18)


class DeepLabV3Plus(nn.Module):
    """Slices NxCxHxW -> logits NxKxHxW; sides are multiples of 16."""

    def __init__(
        self,
        *,
        encoder: str = "resnet50",
        in_channels: int = 1,
        classes: int = 14,
        widths: Sequence[int] = (64, 128, 256, 512),
        channels: int = 256,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        block, counts = RESNETS[encoder]
        expansion = BOTTLENECK_EXPANSION if block == "bottleneck" else 1
        self.encoder = ResNet(
            block=block,
            layers=list(counts),
            block_inplanes=list(widths),
            spatial_dims=2,
            n_input_channels=in_channels,
            conv1_t_stride=2,
            feed_forward=False,
            bias_downsample=False,
        )
        dilate_last_depth(self.encoder)
        self.pyramid = _Pyramid(widths[-1] * expansion, channels, dropout)
        self.smooth = _separable(channels, channels)
        self.low_level = _pointwise(widths[0] * expansion, LOW_LEVEL_CHANNELS)
        self.fuse = _separable(channels + LOW_LEVEL_CHANNELS, channels)
        self.head = nn.Conv2d(channels, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        body = self.encoder
        stem = body.maxpool(body.act(body.bn1(body.conv1(images))))
        low = body.layer1(stem)
        deep = body.layer4(body.layer3(body.layer2(low)))
        wide = _resized(self.smooth(self.pyramid(deep)), low)
        return _resized(self.head(self.fuse(torch.cat([wide, self.low_level(low)], 1))), images)


def dilate_last_depth(encoder: ResNet) -> None:
    """Output stride 16 in place of 32: the last depth looks wider instead of getting coarser."""
    for number, block in enumerate(encoder.layer4):
        for layer in block.modules():
            if not isinstance(layer, nn.Conv2d):
                continue
            layer.stride = (1, 1)
            # As in torchvision, the first block keeps the rate of the depth before it.
            if layer.kernel_size == (3, 3) and number > 0:
                layer.dilation, layer.padding = (2, 2), (2, 2)


class _Pyramid(nn.Module):
    """A pixel, three rings about it and the whole image, side by side."""

    def __init__(self, channels_in: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.near = _pointwise(channels_in, channels)
        self.rings = nn.ModuleList(_separable(channels_in, channels, rate) for rate in ATROUS_RATES)
        self.whole = _pointwise(channels_in, channels)
        self.project = nn.Sequential(_pointwise(5 * channels, channels), nn.Dropout(dropout))

    def forward(self, features: Tensor) -> Tensor:
        whole = self.whole(features.mean((2, 3), keepdim=True)).expand(-1, -1, *features.shape[2:])
        rings = [ring(features) for ring in self.rings]
        return self.project(torch.cat([self.near(features), *rings, whole], 1))


def _pointwise(channels_in: int, channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
    )


def _separable(channels_in: int, channels: int, rate: int = 1) -> nn.Module:
    depthwise = nn.Conv2d(
        channels_in, channels_in, 3, 1, rate, rate, groups=channels_in, bias=False
    )
    return nn.Sequential(depthwise, *_pointwise(channels_in, channels).children())


def _resized(features: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(features, like.shape[2:], mode="bilinear", align_corners=False)
