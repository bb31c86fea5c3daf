"""Checkpoints that rebuild themselves: weights, configuration and history in one safetensors file, never a pickle."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from inference.domain.errors import UnreadableInput
from training.checkpoint_header import History, history_from
from training.config import TrainConfig, config_from_mapping, config_to_mapping
from training.networks import build_network
from training.specification import specification

RESUME_NAME = "resume.safetensors"


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
    network = build_network(specification(config.task).network, config.network)
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


def save_resume(
    network: nn.Module, optimiser: torch.optim.Optimizer, progress: Mapping[str, str], path: Path
) -> None:
    """Everything a run needs to go on: raw weights and the optimiser's moments."""
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": tensor for name, tensor in state.items()}
    write_tensors(tensors, progress, path)


def load_resume(network: nn.Module, optimiser: torch.optim.Optimizer, path: Path) -> dict[str, str]:
    """Put weights and moments back and return the progress that was saved with them; raises UnreadableInput."""
    tensors, progress = read_tensors(path)
    weights: dict[str, Tensor] = {}
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        if part == "network":
            weights[rest] = tensor
        else:
            index, _, key = rest.partition(".")
            moments.setdefault(int(index), {})[key] = tensor
    try:
        network.load_state_dict(weights)
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": moments, "param_groups": groups})
    except (RuntimeError, ValueError) as exc:
        raise _unreadable(f"a saved run in {path.name} of another network") from exc
    return progress


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
