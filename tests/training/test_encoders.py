"""Networks of the publications: sizes as published, shapes as the node wants them."""

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (make test-training)")

import torch
from torch import nn

from training.networks.encoders import build_encoder
from training.networks.registry import build_network, count_parameters

pytestmark = pytest.mark.torch
SMALL = {"first_width": 4, "decoder_widths": [16, 12, 8, 8, 8]}


def convolution_parameters(network: nn.Module) -> int:
    kinds = (nn.Conv2d,)
    return sum(count_parameters(part) for part in network.modules() if isinstance(part, kinds))


def test_vgg16_has_the_convolutions_of_its_paper() -> None:
    # Simonyan and Zisserman 2014, configuration D, less its three fully connected layers.
    encoder = build_encoder("vgg16", channels=3, first_width=64)
    assert convolution_parameters(encoder) == 14_714_688


@pytest.mark.parametrize(
    ("name", "parameters"),
    # torchvision states 25,557,032 and 44,549,160, of which the last layer has 2048 × 1000 + 1000.
    [("resnet50", 25_557_032 - 2_049_000), ("resnet101", 44_549_160 - 2_049_000)],
)
def test_resnets_have_the_size_of_the_published_ones(name: str, parameters: int) -> None:
    assert count_parameters(build_encoder(name, channels=3, first_width=64)) == parameters


@pytest.mark.parametrize("encoder", ["plain", "vgg16", "resnet50", "resnet101"])
def test_every_pixel_gets_logits(encoder: str) -> None:
    network = build_network("EncoderUNet", {"encoder": encoder, "classes": 4, **SMALL}).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 1, 64, 96)).shape == (2, 4, 64, 96)


@pytest.mark.parametrize("name", ["ResidualUNet", "ResidualSliceUNet"])
def test_eighteen_convolutions_lie_on_the_way_through_a_residual_unet(name: str) -> None:
    network = build_network(name, {"classes": 14})
    kinds = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    on_the_way = [
        part
        for path, part in network.named_modules()
        if isinstance(part, kinds) and not path.endswith("residual")
    ]
    assert len(on_the_way) == 18


def test_a_network_of_slices_sees_every_slice_alone() -> None:
    torch.manual_seed(0)
    network = build_network("ResidualSliceUNet", {"classes": 3, "widths": [4, 8, 8]}).eval()
    stack = torch.randn(2, 1, 4, 16, 24)
    changed = stack.clone()
    changed[1, :, 2] += 1
    with torch.inference_mode():
        moved = (network(stack) != network(changed)).any(1).any(-1).any(-1)
    assert network(stack).shape == (2, 3, 4, 16, 24)
    assert moved.nonzero().tolist() == [[1, 2]]
