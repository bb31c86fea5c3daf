"""Configurations trained one after the other on the same split, each in a folder of its own."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid
from training.checkpoint import load_checkpoint
from training.checkpoint_header import History, read_history
from training.config import TrainConfig, load_config
from training.gate import Gate
from training.loop import ENDLESS_S, Run, train
from training.networks.registry import count_parameters
from training.source import Source
from training.specification import CHECKPOINT_NAME

DONE_NAME = "done"
"""Beside a checkpoint whose run has ended by itself."""
LEAST_S = 5.0
"""A shorter rest of the time box trains nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is trained, on what, and when it ends."""

    configs: tuple[Path, ...]
    source: Source
    out: Path
    seconds: float | None = None
    """Of all runs together; None: every configuration's epochs."""
    gate: Gate | None = None
    stops_at_gate: bool = False
    code_revision: str = "unknown"
    device: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """One configuration's outcome."""

    name: str
    history: History
    parameters: int
    encoder_parameters: int | None
    """None where the network has no encoder of its own."""
    gate_holds: bool | None

    @property
    def scores(self) -> Mapping[str, float]:
        """Of the checkpoint that was kept, on validation cases, without the loss."""
        return {name: value for name, value in self.history.metrics.items() if name != "loss"}


def train_in_order(order: Order) -> list[Trained]:
    """Every configuration, or the next one until the gate holds; a call that was stopped goes on where it was.

    The gate is asked on validation cases: choosing by the test cases would spoil them.
    """
    configs = [load_config(path) for path in order.configs]
    _require_distinct(configs)
    ends = time.monotonic() + order.seconds if order.seconds else None
    trained: list[Trained] = []
    for number, config in enumerate(configs):
        seconds = _share_s(ends, len(configs) - number, order)
        if seconds is not None and seconds < LEAST_S:
            sys.stderr.write(f"{config.name}: not begun, the time is over\n")
            break
        trained.append(_trained(config, order, seconds))
        if order.stops_at_gate and trained[-1].gate_holds:
            break
    return trained


def _share_s(ends: float | None, left: int, order: Order) -> float | None:
    """Those that are compared share the time; one that is tried until the gate holds may take all that is left."""
    if ends is None:
        return None
    rest = ends - time.monotonic()
    return rest if order.stops_at_gate else rest / left


def _trained(config: TrainConfig, order: Order, seconds: float | None) -> Trained:
    folder = order.out / config.name
    if not (folder / DONE_NAME).is_file():
        run = Run(
            source=order.source,
            out=folder,
            seconds=seconds or ENDLESS_S,
            resume=True,
            device=order.device,
            code_revision=order.code_revision,
        )
        train(config, run)
        (folder / DONE_NAME).touch()
    return outcome_of(folder, order.gate)


def outcome_of(folder: Path, gate: Gate | None) -> Trained:
    """Of a run's folder."""
    checkpoint = load_checkpoint(folder / CHECKPOINT_NAME)
    encoder = getattr(checkpoint.network, "encoder", None)
    history = read_history(folder / CHECKPOINT_NAME)
    return Trained(
        name=checkpoint.config.name,
        history=history,
        parameters=count_parameters(checkpoint.network),
        encoder_parameters=count_parameters(encoder) if encoder is not None else None,
        gate_holds=gate.holds(history.metrics) if gate else None,
    )


def _require_distinct(configs: Sequence[TrainConfig]) -> None:
    names = [config.name for config in configs]
    if len(set(names)) < len(names):
        raise ConfigurationInvalid(
            found=f"configurations called {', '.join(sorted(names))}",
            wanted="a name of its own for each",
            advice="Change name in one of them.",
        )
