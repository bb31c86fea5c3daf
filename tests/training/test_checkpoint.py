"""Checkpoints rebuild themselves and never run code."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (make test-training)")

import torch

from inference.domain.errors import ConfigurationInvalid, UnreadableInput
from training.checkpoint import load_checkpoint, save_checkpoint, write_tensors
from training.checkpoint_header import History, read_history
from training.config import TrainConfig
from training.networks.registry import build_network
from training.specification import specification

pytestmark = pytest.mark.torch
HISTORY = History(
    step=7,
    elapsed_s=1.5,
    code_revision="abc",
    training_data="boxes",
    metrics={"dice_mean": 0.5},
)


@pytest.mark.parametrize("task", ["l3-level", "l3-spine", "l3-tissue", "organs"])
def test_a_checkpoint_comes_back_with_the_same_output(
    task: str, tiny_configs: dict[str, TrainConfig], tmp_path: Path
) -> None:
    config = tiny_configs[task]
    spec = specification(task)
    network = build_network(spec.network, config.network).eval()
    image = torch.randn(1, spec.channels, *config.input_shape)

    save_checkpoint(network.state_dict(), config, HISTORY, tmp_path / "c.safetensors")
    back = load_checkpoint(tmp_path / "c.safetensors")

    assert back.config == config
    assert back.history == HISTORY
    assert read_history(tmp_path / "c.safetensors") == HISTORY
    with torch.inference_mode():
        assert torch.equal(back.network(image), network(image))


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    torch.save({"a": torch.zeros(3)}, path)

    with pytest.raises(UnreadableInput, match="not safetensors"):
        load_checkpoint(path)


def test_tensors_without_our_metadata_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    write_tensors({"a": torch.zeros(3)}, {}, path)

    with pytest.raises(UnreadableInput, match="no checkpoint metadata"):
        load_checkpoint(path)


def test_weights_of_another_network_are_refused(
    tiny_configs: dict[str, TrainConfig], tmp_path: Path
) -> None:
    path = tmp_path / "c.safetensors"
    save_checkpoint({"a": torch.zeros(3)}, tiny_configs["organs"], HISTORY, path)

    with pytest.raises(UnreadableInput, match="do not fit"):
        load_checkpoint(path)


def test_an_unknown_network_argument_is_named(tiny_configs: dict[str, TrainConfig]) -> None:
    with pytest.raises(ConfigurationInvalid, match="depth"):
        build_network("OrganNet", {"depth": 3})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match=r"no file c\.safetensors"):
        load_checkpoint(tmp_path / "c.safetensors")
