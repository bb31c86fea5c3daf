"""A U-Net whose encoder is exchanged: plain, VGG16, ResNet50 or ResNet101; blocks by MONAI, the decoder the same for all."""

from collections.abc import Sequence
from itertools import pairwise

from monai.networks.blocks import Convolution
from monai.networks.nets.basic_unet import Down, TwoConv, UpCat
from monai.networks.nets.resnet import ResNet
from torch import Tensor, nn

RELU = ("relu", {"inplace": True})
PLAIN_LEVELS = 5
VGG16_CONVOLUTIONS = ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3))
"""Width (in first widths) and number of 3 × 3 convolutions between two poolings: Simonyan 2014, configuration D."""
RESNET_BLOCKS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
"""Bottlenecks between two steps: He 2016, table 1."""
BOTTLENECK_EXPANSION = 4


class PlainEncoder(nn.Module):
    """Two convolutions at every resolution, as the first U-Net has them; features at steps of 1 to 16 pixels."""

    def __init__(self, *, channels: int, first_width: int) -> None:
        super().__init__()
        self.widths = [first_width * 2**level for level in range(PLAIN_LEVELS)]
        self.steps = nn.ModuleList([TwoConv(2, channels, first_width, RELU, "batch", bias=True)])
        self.steps.extend(Down(2, i, o, RELU, "batch", bias=True) for i, o in pairwise(self.widths))

    def forward(self, planes: Tensor) -> list[Tensor]:
        features = []
        for step in self.steps:
            planes = step(planes)
            features.append(planes)
        return features


class Vgg16Encoder(nn.Module):
    """The thirteen convolutions of VGG16, each followed by batch normalisation; features at steps of 1 to 32 pixels."""

    def __init__(self, *, channels: int, first_width: int) -> None:
        super().__init__()
        self.widths, self.stages = [], nn.ModuleList()
        for factor, count in VGG16_CONVOLUTIONS:
            width = factor * first_width
            inputs = [channels, *[width] * (count - 1)]
            self.stages.append(
                nn.Sequential(
                    *(
                        Convolution(2, i, width, act=RELU, norm="batch", adn_ordering="NA")
                        for i in inputs
                    )
                )
            )
            self.widths.append(width)
            channels = width
        self.widths.append(channels)
        self.pool = nn.MaxPool2d(2)

    def forward(self, planes: Tensor) -> list[Tensor]:
        features = []
        for stage in self.stages:
            features.append(stage(planes))
            planes = self.pool(features[-1])
        return [*features, planes]


class ResNetEncoder(nn.Module):
    """MONAI's ResNet without its last layer; features at steps of 2 to 32 pixels."""

    def __init__(self, *, blocks: Sequence[int], channels: int, first_width: int) -> None:
        super().__init__()
        widths = [first_width * 2**stage for stage in range(len(blocks))]
        self.widths = [first_width, *(BOTTLENECK_EXPANSION * width for width in widths)]
        self.layers = ResNet(
            "bottleneck",
            list(blocks),
            widths,
            spatial_dims=2,
            n_input_channels=channels,
            conv1_t_stride=2,
            feed_forward=False,
            bias_downsample=False,
        )

    def forward(self, planes: Tensor) -> list[Tensor]:
        layers = self.layers
        planes = layers.act(layers.bn1(layers.conv1(planes)))
        features = [planes]
        planes = layers.maxpool(planes)
        for layer in (layers.layer1, layers.layer2, layers.layer3, layers.layer4):
            planes = layer(planes)
            features.append(planes)
        return features


class EncoderUNet(nn.Module):
    """Axial slice NxCxHxW -> logits NxLxHxW; sides are multiples of 32."""

    def __init__(
        self,
        *,
        encoder: str,
        classes: int = 4,
        channels: int = 1,
        first_width: int = 64,
        decoder_widths: Sequence[int] = (256, 128, 64, 32, 16),
    ) -> None:
        super().__init__()
        self.encoder = build_encoder(encoder, channels=channels, first_width=first_width)
        *skips, deepest = self.encoder.widths
        # A ResNet's first features are at half the resolution: beside the last step up lies the slice itself.
        self.keeps_plane = encoder in RESNET_BLOCKS
        skips = [*([channels] if self.keeps_plane else []), *skips]
        if len(decoder_widths) < len(skips):
            raise TypeError(f"{len(decoder_widths)} decoder_widths for {len(skips)} steps up")
        outputs = decoder_widths[-len(skips) :]
        self.decoder = nn.ModuleList(
            UpCat(
                2,
                i,
                skip,
                o,
                RELU,
                "batch",
                bias=False,
                upsample="nontrainable",
                pre_conv=None,
                interp_mode="nearest",
                align_corners=None,
                is_pad=False,
            )
            for i, skip, o in zip([deepest, *outputs], reversed(skips), outputs, strict=False)
        )
        self.head = nn.Conv2d(outputs[-1], classes, 1)

    def forward(self, planes: Tensor) -> Tensor:
        *skips, features = self.encoder(planes)
        if self.keeps_plane:
            skips = [planes, *skips]
        for step, skip in zip(self.decoder, reversed(skips), strict=True):
            features = step(features, skip)
        return self.head(features)


def build_encoder(name: str, *, channels: int, first_width: int) -> nn.Module:
    """By name; `first_width` is 64 in all publications. Raises TypeError, as wrong arguments do."""
    if name == "plain":
        return PlainEncoder(channels=channels, first_width=first_width)
    if name == "vgg16":
        return Vgg16Encoder(channels=channels, first_width=first_width)
    if name in RESNET_BLOCKS:
        return ResNetEncoder(blocks=RESNET_BLOCKS[name], channels=channels, first_width=first_width)
    raise TypeError(f"encoder {name!r}")
