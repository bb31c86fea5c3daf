"""The figures of the benchmark on a GPU as a page: milliseconds by stage, and how far the network is from its arithmetic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from tests.benchmarks.nnunet_gpu.floor import REACHED, floor_ms, tflops_of
from tests.benchmarks.nnunet_speed.one_run import STAGES

Run = dict[str, Any]
MEASURED = tuple(stage for stage in STAGES if stage != "load")


@dataclass(frozen=True, slots=True, kw_only=True)
class RacedOnGpu:
    """All runs with one network."""

    kind: str
    multiplications: int
    """Of one patch."""
    runs: Mapping[str, Sequence[Run]]
    refused: Mapping[str, str]
    """Contenders that did not run, and why."""
    gates: Mapping[str, tuple[float, float]]
    """Share of voxels labelled as nnunetv2 labels them, and the lowest Dice of any."""


def section(raced: RacedOnGpu, gpu: str) -> str:
    """A table; every contender that did not run is named below."""
    header = ["", "all", *MEASURED, "floor", "network of floor", "first time", "voxels", "Dice"]
    lines = [
        f"## {raced.kind}: {raced.multiplications / 1e9:.1f} GMAC a patch",
        "",
        f"| {' | '.join(header)} |",
        f"|---|{'---:|' * (len(header) - 1)}",
        *(_row(name, runs, raced, gpu) for name, runs in raced.runs.items()),
        "",
        *(f"- {name} did not run: {why}" for name, why in raced.refused.items()),
        *(f"- {name}: {runs[0]['proof']}" for name, runs in raced.runs.items() if runs[0]["proof"]),
    ]
    return "\n".join(lines).rstrip()


def _row(name: str, runs: Sequence[Run], raced: RacedOnGpu, gpu: str) -> str:
    stages = [median(run["stages_s"].get(stage, 0.0) for run in runs) * 1e3 for stage in MEASURED]
    network_ms = stages[MEASURED.index("network")]
    tflops = tflops_of(gpu)
    least, ratio = "unknown", "unknown"
    if tflops is not None:
        least_ms = floor_ms(raced.multiplications, runs[0]["network_calls"], tflops)
        least, ratio = f"{least_ms:.1f}", f"{network_ms / least_ms:.1f}"
    first_ms = median(run["first_labels_s"] for run in runs) * 1e3
    voxels, dice = raced.gates[name]
    cells = [
        name,
        f"{median(run['wall_s'] for run in runs) * 1e3:.0f}",
        *(f"{ms:.1f}" for ms in stages),
        least,
        ratio,
        f"{first_ms:.0f}",
        f"{voxels:.6f}",
        f"{dice:.5f}",
    ]
    return f"| {' | '.join(cells)} |"


def assumption(gpu: str) -> str:
    """What the floor rests on."""
    tflops = tflops_of(gpu)
    if tflops is None:
        return (
            f"{gpu} is not in the table of tests/benchmarks/nnunet_gpu/floor.py: no floor is told."
        )
    return (
        f"Floor: multiplications of the graph's convolutions, twice, at an assumed {REACHED:.0%} of the {tflops:g} TFLOP/s that "
        f"the data sheet of {gpu} states (dense float16); reading and writing memory is left out."
    )
