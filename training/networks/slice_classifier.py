"""ResNets of He et al. (CVPR 2016) by MONAI, for one grey channel and one answer."""

from monai.networks.nets.resnet import ResNet

FORMS: dict[int, tuple[str, tuple[int, int, int, int]]] = {
    10: ("basic", (1, 1, 1, 1)),
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
}
WIDTHS = (64, 128, 256, 512)


def SliceClassifier(  # noqa: N802 - named as the network it makes
    *, depth: int = 50, width: float = 1.0, channels: int = 1, answers: int = 1
) -> ResNet:
    """Slices NxCxHxW -> logits NxA; width scales the channels of all stages."""
    block, layers = FORMS[depth]
    return ResNet(
        block,
        list(layers),
        [round(width * channels_of_stage) for channels_of_stage in WIDTHS],
        spatial_dims=2,
        n_input_channels=channels,
        num_classes=answers,
        # MONAI's own default keeps the full resolution in the first layer, at four times the cost.
        conv1_t_stride=2,
        bias_downsample=False,
    )
