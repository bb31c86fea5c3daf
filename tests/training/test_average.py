"""The mean of weights: half of each, told in the history, never with figures of its parts."""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (make test-training)")

import torch

from inference.domain.errors import ConfigurationInvalid
from training.average import average_checkpoints
from training.checkpoint import load_checkpoint, save_checkpoint
from training.checkpoint_header import History
from training.config import TrainConfig
from training.networks.registry import build_network
from training.specification import specification

pytestmark = pytest.mark.torch


def saved(config: TrainConfig, value: float, path: Path) -> Path:
    network = build_network(specification(config.task).network, config.network)
    weights = {
        name: torch.full_like(tensor, value) for name, tensor in network.state_dict().items()
    }
    history = History(
        step=int(value),
        elapsed_s=10.0,
        code_revision="abc",
        training_data=f"boxes of {value:g}",
        metrics={"dice_mean": 0.5},
    )
    save_checkpoint(weights, config, history, path)
    return path


def test_every_weight_is_the_mean_and_the_record_names_all_runs_but_no_scores(
    tiny_configs: dict[str, TrainConfig], tmp_path: Path
) -> None:
    config = tiny_configs["organs"]
    first = saved(config, 2.0, tmp_path / "a.safetensors")
    second = saved(replace(config, seed=9), 6.0, tmp_path / "b.safetensors")

    average_checkpoints([first, second], tmp_path / "c.safetensors", "def")
    mean = load_checkpoint(tmp_path / "c.safetensors")

    weights = mean.network.state_dict().values()
    assert {float(one.mean()) for one in weights if one.is_floating_point()} == {4.0}
    assert {float(one) for one in weights if not one.is_floating_point()} <= {6.0}
    assert (mean.config.seed, mean.history.step, mean.history.elapsed_s) == (9, 6, 20.0)
    assert mean.history.metrics == {}
    assert "boxes of 2" in mean.history.training_data
    assert "boxes of 6" in mean.history.training_data


def test_what_has_no_mean_is_refused(tiny_configs: dict[str, TrainConfig], tmp_path: Path) -> None:
    organs = saved(tiny_configs["organs"], 1.0, tmp_path / "a.safetensors")
    tissue = saved(tiny_configs["l3-tissue"], 1.0, tmp_path / "b.safetensors")

    other = saved(tiny_configs["organs"], 2.0, tmp_path / "other.safetensors")
    for paths in ([organs, tissue], [organs], [organs, other, organs]):
        with pytest.raises(ConfigurationInvalid, match="found"):
            average_checkpoints(paths, tmp_path / "c.safetensors", "def")
    with pytest.raises(ConfigurationInvalid, match="already"):
        average_checkpoints([organs, other], tissue, "def")
    assert not (tmp_path / "c.safetensors").exists()
