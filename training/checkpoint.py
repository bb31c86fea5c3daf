"""Checkpoints that rebuild themselves: weights, configuration and history in one safetensors file, never a pickle."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from inference.domain.errors import ConfigurationInvalid, UnreadableInput
from training.checkpoint_header import History, history_from
from training.config import TrainConfig, config_from_mapping, config_to_mapping
from training.networks.registry import build_network

MAY_CHANGE = frozenset({"epochs", "patience_epochs", "report_every_s", "checkpoint_every_s"})
"""Settings of a run that goes on: how long, how often it is told and kept. Its gate stays, or a missed one could be taken out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A network with its weights, and what made it."""

    network: nn.Module
    config: TrainConfig
    history: History


def save_checkpoint(
    weights: Mapping[str, Tensor], config: TrainConfig, history: History, path: Path
) -> None:
    """Write the file whole or not at all."""
    metadata = {
        "format": "habitus-checkpoint-1",
        "config": json.dumps(config_to_mapping(config), sort_keys=True),
        "step": str(history.step),
        "elapsed_s": f"{history.elapsed_s:.1f}",
        "code_revision": history.code_revision,
        "training_data": history.training_data,
        "data_hash": history.data_hash,
        "metrics": json.dumps(dict(history.metrics), sort_keys=True),
    }
    write_tensors(weights, metadata, path)


def load_checkpoint(path: Path) -> Checkpoint:
    """The network on the CPU, ready to evaluate; raises UnreadableInput."""
    tensors, metadata = read_tensors(path)
    try:
        config = config_from_mapping(json.loads(metadata["config"]))
        history = history_from(metadata)
    except (KeyError, ValueError) as exc:
        raise _unreadable(f"no checkpoint metadata in {path.name}") from exc
    network = build_network(config.specification.network, config.network)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as exc:
        raise _unreadable(f"weights in {path.name} that do not fit its own network") from exc
    return Checkpoint(network=network.eval(), config=config, history=history)


def start_weights(network: nn.Module, path: Path) -> str:
    """Put a checkpoint's weights into a network of the same shape; what the record says of it. Raises UnreadableInput."""
    earlier = load_checkpoint(path)
    try:
        network.load_state_dict(earlier.network.state_dict())
    except RuntimeError as exc:
        raise _unreadable(f"a network of another shape in {path.name}") from exc
    return f" Started from the weights of {earlier.history.step} earlier steps. Before: {earlier.history.training_data}"


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a run has come; it changes with every step."""

    step: int = 0
    elapsed_s: float = 0.0
    origin: str = ""
    """What the record says of the weights it began with."""
    best: History | None = None
    """Of the checkpoint that is kept."""
    scored_step: int = -1
    """The last one whose scores are known."""
    epochs_since_best: int = 0

    def takes(self, scores: Mapping[str, float], watch: str) -> bool:
        """Whether the scores of this step are those of the checkpoint to keep; the last ones where none is watched."""
        self.scored_step = self.step
        if not watch:
            return True
        if watch not in scores:
            raise _unwatched(watch, scores)
        if self.best is None or scores[watch] > self.best.metrics[watch]:
            self.epochs_since_best = 0
            return True
        self.epochs_since_best += 1
        return False


def save_resume(
    network: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
    progress: Progress,
    config: TrainConfig,
    path: Path,
) -> None:
    """Everything a run needs to go on: raw weights, their mean, the optimiser's moments, and how far it has come."""
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {
            f"optimiser.{index}.{name}": tensor
            for name, tensor in state.items()
            if tensor is not None
        }
    metadata = {
        "progress": json.dumps(asdict(progress)),
        "config": json.dumps(config_to_mapping(config), sort_keys=True),
    }
    write_tensors(tensors, metadata, path)


def load_resume(
    network: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
    config: TrainConfig,
    path: Path,
) -> Progress:
    """Put weights, their mean and moments back and return how far the run had come; raises UnreadableInput, or
    ConfigurationInvalid where the run was begun with other settings."""
    tensors, metadata = read_tensors(path)
    if "config" in metadata:
        _require_same(json.loads(metadata["config"]), config)
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}}
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        if part in parts:
            parts[part][rest] = tensor
        else:
            index, _, key = rest.partition(".")
            moments.setdefault(int(index), {})[key] = tensor
    try:
        network.load_state_dict(parts["network"])
        average.load_state_dict(parts["average"])
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": moments, "param_groups": groups})
        raw = json.loads(metadata["progress"])
        best = History(**raw.pop("best")) if raw["best"] else raw.pop("best")
        return Progress(**raw, best=best)
    except (KeyError, RuntimeError, TypeError, ValueError) as exc:
        raise _unreadable(f"a saved run in {path.name} of another network") from exc


def _require_same(begun: Mapping[str, Any], config: TrainConfig) -> None:
    """One half of a run by one configuration and one by another is a run of neither, whatever its record says."""
    # As JSON keeps it: tuples have become lists.
    now = json.loads(json.dumps(config_to_mapping(config)))
    other = {
        name: value
        for name, value in now.items()
        if name not in MAY_CHANGE and begun.get(name, value) != value
    }
    if other:
        raise ConfigurationInvalid(
            found="; ".join(f"{name} = {value!r:.60}" for name, value in sorted(other.items())),
            wanted="; ".join(f"{name} = {begun[name]!r:.60}" for name in sorted(other))
            + ", with which this run was begun",
            advice="Go on with that configuration, or begin another run with these weights: --start-from, another --out.",
        )


def write_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path) -> None:
    """Write beside the place, flush to disk, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    on_cpu = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    save_file(on_cpu, partial, dict(metadata))
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.chmod(0o644)
    partial.replace(path)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata of a safetensors file; raises UnreadableInput."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118 (not a dict)
    except FileNotFoundError as exc:
        raise _unreadable(f"no file {path.name}") from exc
    except SafetensorError as exc:
        raise _unreadable(f"{path.name}, which is not safetensors") from exc


def _unreadable(found: str) -> UnreadableInput:
    return UnreadableInput(
        found=found,
        wanted="a checkpoint written by python -m training",
        advice="Restore the file from the repository or train again.",
    )


def _unwatched(watch: str, scores: Mapping[str, float]) -> ConfigurationInvalid:
    return ConfigurationInvalid(
        found=f"watch = {watch!r}, which is no score of this task",
        wanted=f"one of {sorted(scores)}",
        advice="Mend the training configuration.",
    )
