"""A slice network on cases it never saw: the slice that the node would choose beside the true one."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from inference.stages.grids import probability_of
from inference.stages.slice_scores import chosen_slice
from training.checkpoint import load_checkpoint
from training.config import TrainConfig, options_of
from training.data.cases import LabelledCase
from training.metrics import SliceErrors, slice_errors
from training.tasks.l3_slices import SliceOptions, SliceStack, stack_logits, stacks_of


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """Of one scan."""

    name: str
    true_mm: float | None
    """None: L3 is not in the field."""
    found_mm: float
    step_mm: float
    """Between the scan's slices."""
    lowest_mm: float
    peak: float
    confidence: float
    probabilities: tuple[float, ...]
    z_mm: tuple[float, ...]

    @property
    def true_slice(self) -> float:
        """Counted from the lowest slice."""
        assert self.true_mm is not None
        return (self.true_mm - self.lowest_mm) / self.step_mm

    @property
    def found_slice(self) -> float:
        """Counted from the lowest slice."""
        return (self.found_mm - self.lowest_mm) / self.step_mm


def evaluate_checkpoint(path: Path, cases: Iterable[LabelledCase]) -> list[CaseResult]:
    """Raises UnreadableInput, TrainingDataUnfit."""
    checkpoint = load_checkpoint(path)
    return evaluate_network(checkpoint.network, checkpoint.config, cases)


@torch.inference_mode()
def evaluate_network(
    network: torch.nn.Module, config: TrainConfig, cases: Iterable[LabelledCase]
) -> list[CaseResult]:
    """One result per case."""
    reach_mm = options_of(SliceOptions, config).reach_mm
    network.eval()
    return [
        _result(case.name, stack, network, config)
        for case in cases
        for stack in stacks_of(case.read(), config=config, reach_mm=reach_mm)
    ]


def _result(
    name: str, stack: SliceStack, network: torch.nn.Module, config: TrainConfig
) -> CaseResult:
    logits = stack_logits(network, stack, config, torch.device("cpu"))
    probabilities = probability_of(logits.numpy())
    choice = chosen_slice(probabilities, stack.z_mm)
    return CaseResult(
        name=name,
        true_mm=stack.l3_mm,
        found_mm=choice.z_mm,
        step_mm=stack.step_mm,
        lowest_mm=float(stack.z_mm[0]),
        peak=choice.peak,
        confidence=choice.confidence,
        probabilities=tuple(round(float(p), 4) for p in probabilities),
        z_mm=tuple(float(z) for z in stack.z_mm),
    )


def errors_of(results: Sequence[CaseResult]) -> SliceErrors:
    """Of the cases that show L3."""
    shown = [one for one in results if one.true_mm is not None]
    return slice_errors([one.found_slice for one in shown], [one.true_slice for one in shown])


def within_mm(results: Sequence[CaseResult], limit_mm: float) -> tuple[int, int]:
    """Cases whose level is no farther off, of those that show L3."""
    apart = [abs(one.found_mm - one.true_mm) for one in results if one.true_mm is not None]
    return int(np.sum(np.array(apart) <= limit_mm)), len(apart)


def write_results(results: Sequence[CaseResult], path: Path) -> None:
    """Every case, and the errors of all."""
    content = {"errors": asdict(errors_of(results)), "cases": [asdict(one) for one in results]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_results(path: Path) -> list[CaseResult]:
    """What write_results wrote."""
    raw = json.loads(path.read_text(encoding="utf-8"))["cases"]
    return [
        CaseResult(
            **{**one, "probabilities": tuple(one["probabilities"]), "z_mm": tuple(one["z_mm"])}
        )
        for one in raw
    ]
