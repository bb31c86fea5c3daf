"""Networks of slices: sizes as published, answers as the library's own, nothing learned but the decoder."""

from pathlib import Path

import pytest
import torch

from inference.domain.errors import ConfigurationInvalid, UnreadableInput
from tests.training.tiny_prompted import SIDE, VISION, parts
from training.networks.deeplab import DeepLabV3Plus
from training.networks.plane_unet import PlaneUNet
from training.networks.prompted import EncoderNet, PromptedNet, pretrained
from training.networks.registry import build_network, count_parameters

pytestmark = pytest.mark.torch
FAMILIES = ("sam", "sam-hq")


def prompted(family: str) -> PromptedNet:
    """With weights of its own seed, larger than at the start so that differences show."""
    torch.manual_seed(5)
    network = PromptedNet(family=family, side=SIDE, parts=parts(family)).eval()
    with torch.no_grad():
        for weight in network.sam.mask_decoder.parameters():
            weight.normal_(0, 0.3)
    return network


@pytest.mark.parametrize(
    ("encoder", "parameters"),
    # segmentation_models_pytorch 0.5, DeepLabV3Plus(encoder, in_channels=3, classes=1)
    [("resnet34", 22_437_457), ("resnet50", 26_677_585)],
)
def test_deeplab_is_as_large_as_others_are(encoder: str, parameters: int) -> None:
    assert count_parameters(DeepLabV3Plus(encoder=encoder, in_channels=3, classes=1)) == parameters


def test_deeplab_looks_wider_instead_of_coarser() -> None:
    network = DeepLabV3Plus(encoder="resnet18", widths=(8, 8, 16, 16), channels=8, classes=3).eval()
    deep: list[tuple[int, ...]] = []
    network.encoder.layer4.register_forward_hook(lambda _m, _i, out: deep.append(out.shape))
    assert network(torch.zeros(2, 1, 64, 96)).shape == (2, 3, 64, 96)
    assert deep == [(2, 16, 4, 6)]
    rates = {conv.dilation for conv in network.modules() if isinstance(conv, torch.nn.Conv2d)}
    assert rates == {(1, 1), (2, 2), (6, 6), (12, 12), (18, 18)}


def test_unet_has_the_size_of_the_published_one() -> None:
    # Ronneberger's has 31.03 M (with two classes, without batch normalisation).
    assert count_parameters(PlaneUNet(classes=2)) == pytest.approx(31.03e6, rel=0.02)


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_are_those_of_the_library(family: str) -> None:
    network = prompted(family)
    image = torch.rand(1, 1, SIDE, SIDE)
    pixels = network.colours(image, (SIDE, SIDE))
    box = torch.tensor([[[8.0, 10.0, 40.0, 50.0]]])
    point = torch.tensor([[[[20.0, 30.0]]]])
    mask = torch.randn(1, 1, network.mask_side, network.mask_side)
    nothing, one = torch.zeros(1), torch.zeros(1, dtype=torch.long)
    corners = box.view(1, 2, 2)
    alone = torch.cat([point[:, 0], torch.zeros(1, 1, 2)], 1)
    with torch.inference_mode():
        for theirs, points, kinds, shown in (
            ({"input_boxes": box}, corners, [[2, 3]], nothing),
            (
                {"input_points": point, "input_labels": torch.ones(1, 1, 1)},
                alone,
                [[1, -1]],
                nothing,
            ),
            ({"input_boxes": box, "input_masks": mask}, corners, [[2, 3]], torch.ones(1)),
        ):
            wanted = network.sam(pixel_values=pixels, multimask_output=False, **theirs)
            found = network(image, one, points, torch.tensor(kinds), mask, shown)
            torch.testing.assert_close(found, wanted.pred_masks[:, 0])


@pytest.mark.parametrize("family", FAMILIES)
def test_prompts_of_several_kinds_in_a_batch_change_nothing(family: str) -> None:
    network = prompted(family)
    images = torch.rand(2, 1, SIDE, SIDE)
    points = torch.tensor([[[8.0, 10], [40, 50], [0, 0]], [[0, 0], [0, 0], [20, 30]]])
    kinds = torch.tensor([[2, 3, -1], [-1, -1, 1]])
    masks = torch.randn(2, 1, network.mask_side, network.mask_side)
    which, shown = torch.tensor([1, 0]), torch.tensor([1.0, 0.0])
    with torch.inference_mode():
        both = network(images, which, points, kinds, masks, shown)
        for n in range(2):
            one = slice(n, n + 1)
            alone = network(images, which[one], points[one], kinds[one], masks[one], shown[one])
            torch.testing.assert_close(both[one], alone)


@pytest.mark.parametrize("family", FAMILIES)
def test_only_the_decoder_learns(family: str) -> None:
    network = prompted(family).train()
    learned = {name for name, weight in network.named_parameters() if weight.requires_grad}
    assert learned
    assert all(name.startswith("sam.mask_decoder.") for name in learned)


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_of_a_local_folder_are_taken_as_they_are(family: str, tmp_path: Path) -> None:
    network = prompted(family)
    network.sam.save_pretrained(tmp_path)
    arguments, loaded = pretrained(family, tmp_path, SIDE)
    again = build_network("PromptedNet", arguments)
    again.load_state_dict(loaded.state_dict())
    for name, weight in network.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name


def test_pickles_and_other_families_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UnreadableInput, match=r"model\.safetensors"):
        pretrained("sam", tmp_path, SIDE)
    with pytest.raises(ConfigurationInvalid):
        pretrained("sam3", tmp_path, SIDE)


def test_an_encoder_taught_here_has_the_shape_of_sams() -> None:
    encoder = EncoderNet(classes=3, vision=VISION)
    assert encoder(torch.zeros(1, 1, SIDE, SIDE)).shape == (1, 3, SIDE, SIDE)
    for family in FAMILIES:
        prompted(family).sam.vision_encoder.load_state_dict(encoder.encoder.state_dict())
