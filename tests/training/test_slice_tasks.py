"""Slices of labelled CT through the loop: with prompts and without, the same split, only what is labelled."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.tiny_prompted import LABELS, SIDE, parts, tiny_config
from tests.unit.training.data.tiny import write_flare22
from training.augment import chance_for
from training.checkpoint import load_checkpoint
from training.loop import Run, train
from training.networks.prompted import PromptedNet
from training.sam.start import start_from_encoder, start_from_folder
from training.source import Source
from training.tasks.organ_slices import OrganSlicesTask
from training.tasks.prompted_slices import PromptedSlicesTask

pytestmark = pytest.mark.torch
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Three cases of boxes."""
    folder = write_flare22(tmp_path_factory.mktemp("ct"), 3)
    return Source(folder=folder, layout="flare22")


def test_prompts_belong_to_the_masks_they_were_drawn_from(source: Source) -> None:
    options = {"prompts": ["box"], "box_jitter_px": 0.0, "least_pixels": 4}
    task = PromptedSlicesTask(tiny_config("sam", options=options), source, CPU)
    task.grow()
    inputs, (truth,) = task.batch(chance_for(CPU, 1))
    images, which, points, kinds, masks, has_mask = inputs
    assert images.shape == (4, 1, 64, 64)
    assert len(which) == len(points) == len(kinds) == len(masks) == len(truth)
    assert which.max() < len(images)
    assert not has_mask.any()
    for corners, mask in zip(points.numpy(), truth[:, 0].numpy(), strict=True):
        rows, columns = np.nonzero(mask)
        box = [[columns.min(), rows.min()], [columns.max(), rows.max()]]
        np.testing.assert_allclose(corners[:2], box)


def test_what_is_not_labelled_teaches_nothing(source: Source) -> None:
    task = OrganSlicesTask(tiny_config("slices_unet", options={}), source, CPU)
    channels = torch.zeros(2, 8, 8, dtype=torch.long)
    channels[:, :4] = 1
    channels[0, 6:] = 2
    logits = torch.zeros(2, 3, 8, 8, requires_grad=True)
    everywhere, not_the_second = torch.ones(2, 2), torch.tensor([[1.0, 1], [1, 0]])
    task.loss(logits, (channels, everywhere)).backward()
    assert logits.grad is not None
    liver_and_spleen = logits.grad.clone()
    logits.grad = None
    loss = task.loss(logits, (channels, not_the_second))
    loss.backward()
    liver_alone = 1 - 2 * 64 / 3 / (64 + 128 / 3)
    assert float(loss.detach()) == pytest.approx(liver_alone, abs=1e-4)
    assert not torch.allclose(logits.grad, liver_and_spleen)


def test_cross_entropy_leaves_out_a_background_that_may_hold_something(source: Source) -> None:
    with_entropy = tiny_config("slices_unet", options={"cross_entropy": 1.0})
    tasks = [
        OrganSlicesTask(config, source, CPU)
        for config in (with_entropy, tiny_config("slices_unet", options={}))
    ]
    channels = torch.zeros(1, 4, 4, dtype=torch.long)
    channels[0, 0, 0] = 1
    logits = torch.zeros(1, 3, 4, 4)
    logits[0, 1, 0, 0] = 50
    # Everything else is called spleen: wrong where the spleen is labelled, unknown where it is not.
    logits[0, 2, 1:] = 50
    for is_labelled, added in (([[1.0, 1.0]], 50 * 12 / 16), ([[1.0, 0.0]], 0.0)):
        targets = (channels, torch.tensor(is_labelled))
        both, dice = (float(task.loss(logits, targets)) for task in tasks)
        assert both - dice == pytest.approx(added, abs=0.3)


@pytest.mark.parametrize("name", ["slices_unet", "slices_deeplab", "sam_encoder"])
def test_networks_without_prompts_learn_boxes(name: str, source: Source, tmp_path: Path) -> None:
    run = Run(source=source, out=tmp_path, max_steps=60, device="cpu")
    config = tiny_config(name, epochs=20, average_decay=0.5, learning_rate=1e-2)
    history = train(config, run)
    # Boxes of one density, told apart by their places alone. Processors round differently: of four seeds each the
    # least is 0.49, half as many steps leave one network at 0 on some.
    assert history.metrics["dice_mean"] > 0.25
    assert set(history.metrics) >= {f"dice_{label}" for label in LABELS[1:]}
    assert history.data_hash


@pytest.mark.parametrize("name", ["sam", "sam_hq"])
def test_a_decoder_learns_on_a_frozen_encoder(name: str, source: Source, tmp_path: Path) -> None:
    encoder = tmp_path / "encoder"
    run = Run(source=source, out=encoder, max_steps=12, device="cpu")
    train(tiny_config("sam_encoder", epochs=20), run)
    config = tiny_config(name, epochs=20, average_decay=0.5)
    start = start_from_encoder(
        config, encoder / "checkpoint.safetensors", tmp_path / "start.safetensors", "none"
    )
    out = tmp_path / name
    run = Run(source=source, out=out, max_steps=32, start_from=start.checkpoint, device="cpu")
    history = train(start.config, run)
    assert history.metrics["dice_liver"] > 0.6
    assert "No real weights: mechanism only." in history.training_data
    taught = load_checkpoint(encoder / "checkpoint.safetensors").network.encoder.state_dict()
    kept = load_checkpoint(out / "checkpoint.safetensors").network.sam.vision_encoder.state_dict()
    for weight_name, weight in taught.items():
        torch.testing.assert_close(kept[weight_name], weight)


def test_a_start_from_real_weights_names_them(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    PromptedNet(family="sam", side=SIDE, parts=parts("sam")).sam.save_pretrained(folder)
    start = start_from_folder(tiny_config("sam"), folder, tmp_path / "start.safetensors", "none")
    told = load_checkpoint(start.checkpoint).history.training_data
    assert "sha256" in told
    assert "mechanism" not in told
    assert str(tmp_path) not in told
