"""The figures of a benchmark as tables, verdicts and a chart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.nnunet_speed.one_run import STAGES

Run = dict[str, Any]
REFERENCE = "nnunetv2"
PARITY = ("ours-ort", "ours-openvino")
FAST = "ours-fast"
LEAST_VOXELS, LEAST_DICE = 0.9995, 0.999
MOST_DEPTH_RATIO = 1.35
TITLES = {
    "trained": "The trained network of the tests: two folds of 1.24 M parameters, 7 mm",
    "1M": "Random weights: 1.0 M parameters, 14 labels, 1.5 mm",
    "17M": "Random weights: 16.6 M parameters, 14 labels, 1.5 mm",
}
MOST_AT_PARITY = {"1M": 0.25, "17M": 0.5}
"""Of nnunetv2's CPU time, by the better of both engines."""
MOST_FAST = {"17M": 0.25}
MOST_REST, MOST_MEMORY = 0.1, 1 / 3
COLOURS = ("#9aa5b1", "#7b8794", "#2f80ed", "#c0392b", "#f2a33a", "#8e5bb5", "#27ae60", "#d0d5db")


@dataclass(frozen=True, slots=True, kw_only=True)
class Raced:
    """All runs with one network, and how far each answer is from nnunetv2's."""

    kind: str
    slices: int
    runs: Mapping[str, Sequence[Run]]
    gates: Mapping[str, tuple[float, float]]
    """Share of voxels with the same label, and the lowest Dice of any."""

    @property
    def agrees(self) -> bool:
        """Where labels mean anything: random weights leave most voxels between two of them."""
        return self.kind != "trained" or all(
            self.gates[name][0] >= LEAST_VOXELS and self.gates[name][1] >= LEAST_DICE
            for name in self.runs
            if name in PARITY
        )


def cpu_s(run: Run) -> float:
    """Of the whole run."""
    return float(run["cpu_s"])


def rest_s(run: Run) -> float:
    """All that is not the network."""
    return cpu_s(run) - float(run["stages_cpu_s"]["network"])


def grown_mb(run: Run) -> float:
    """Above what the process had before."""
    return max(1.0, float(run["peak_mb"]) - float(run["base_mb"]))


def section(raced: Raced) -> str:
    """Two tables and a sentence for each thing wanted."""
    texts = (_table(raced), _stages(raced), _verdicts(raced))
    return "\n\n".join([f"## {TITLES[raced.kind]}, {raced.slices} slices", *texts])


def _table(raced: Raced) -> str:
    lines = [
        "| | CPU s | wall s | network, CPU s | all else, CPU s | memory grown, MB | CPU, of nnunetv2's | all else | memory | voxels as nnunetv2 | lowest Dice |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, own in raced.runs.items():
        share = _shares(raced, name)
        network = median(float(run["stages_cpu_s"]["network"]) for run in own)
        wall = median(float(run["wall_s"]) for run in own)
        lines.append(
            f"| {name} | {median(map(cpu_s, own)):.1f} | {wall:.1f} | {network:.1f} | {median(map(rest_s, own)):.2f} | "
            f"{median(map(grown_mb, own)):.0f} | {share[0]:.2f} | {share[1]:.3f} | {share[2]:.2f} | {raced.gates[name][0]:.6f} | {raced.gates[name][1]:.5f} |"
        )
    return "\n".join(lines)


def _shares(raced: Raced, name: str) -> tuple[float, float, float]:
    """Of nnunetv2's CPU time, CPU time without the network, and memory."""
    base, own = raced.runs[REFERENCE], raced.runs[name]
    cpu, rest, memory = (
        median(map(f, own)) / median(map(f, base)) for f in (cpu_s, rest_s, grown_mb)
    )
    return cpu, rest, memory


def _stages(raced: Raced) -> str:
    lines = [
        "| CPU s by stage | " + " | ".join(STAGES) + " |",
        "|---|" + "---:|" * len(STAGES),
    ]
    for name, own in raced.runs.items():
        cells = [f"{_stage_s(own, stage):.2f}" for stage in STAGES]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    plans = {name: own[0]["plan"][0] for name, own in raced.runs.items() if own[0]["plan"]}
    lines += ["", *(f"{name}: {plan}.  " for name, plan in plans.items())]
    return "\n".join(lines)


def _stage_s(runs: Sequence[Run], stage: str) -> float:
    return median(float(run["stages_cpu_s"].get(stage, 0.0)) for run in runs)


def _verdicts(raced: Raced) -> str:
    ours = [name for name in raced.runs if name in PARITY]
    best = min((_shares(raced, name) for name in ours), default=None)
    if best is None:
        return ""
    said = []
    if raced.kind in MOST_AT_PARITY:
        said.append(_verdict("CPU time at parity", best[0], MOST_AT_PARITY[raced.kind]))
    if raced.kind in MOST_FAST and FAST in raced.runs:
        said.append(_verdict("CPU time, fast", _shares(raced, FAST)[0], MOST_FAST[raced.kind]))
    said.append(_verdict("all but the network", best[1], MOST_REST))
    said.append(_verdict("memory", best[2], MOST_MEMORY))
    if raced.kind == "trained":
        worst = min(raced.gates[name] for name in ours)
        word = "holds" if raced.agrees else "**missed**"
        said.append(
            f"agreement {worst[0]:.6f} of voxels, Dice {worst[1]:.5f} "
            f"(wanted {LEAST_VOXELS}, {LEAST_DICE}): {word}"
        )
    else:
        said.append(
            "agreement says nothing here: with random weights most voxels lie between two labels, which nnunetv2 decides in half precision"
        )
    return "Of nnunetv2's: " + "; ".join(said) + "."


def _verdict(what: str, found: float, most: float) -> str:
    word = "holds" if found <= most else "**missed**"
    return f"{what} {found:.2f} (wanted {most:.2f}): {word}"


def depth_section(label_mb: Mapping[int, float], runs: Mapping[int, Sequence[Run]]) -> str:
    """How memory grows with the length of a scan, labels left out."""
    beyond = {n: median(map(grown_mb, own)) - label_mb[n] for n, own in runs.items()}
    shortest, longest = min(beyond), max(beyond)
    lines = [
        "## Memory and the length of a scan",
        "",
        "| slices | grown, MB | labels, MB | beyond |",
    ]
    lines.append("|---:|---:|---:|---:|")
    for n, own in runs.items():
        lines.append(
            f"| {n} | {median(map(grown_mb, own)):.0f} | {label_mb[n]:.0f} | {beyond[n]:.0f} |"
        )
    verdict = _verdict(
        f"{longest} slices need, of what {shortest} need",
        beyond[longest] / beyond[shortest],
        MOST_DEPTH_RATIO,
    )
    return "\n".join([*lines, "", f"{verdict} (ours-ort, 1 M parameters)."])


def draw(raced: Sequence[Raced], path: Path) -> None:
    """CPU seconds by stage, a bar for each contender."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.1 + 0.42 * sum(len(r.runs) + 1 for r in raced)))
    parts = figure.subplots(
        len(raced), 1, squeeze=False, gridspec_kw={"height_ratios": [len(r.runs) for r in raced]}
    )
    for one, axes in zip(raced, parts[:, 0], strict=True):
        names = list(one.runs)
        left = [0.0] * len(names)
        for stage, colour in zip(STAGES, COLOURS, strict=True):
            widths = [_stage_s(one.runs[name], stage) for name in names]
            axes.barh(names, widths, left=left, color=colour, label=stage)
            left = [a + b for a, b in zip(left, widths, strict=True)]
        for row, (name, end) in enumerate(zip(names, left, strict=True)):
            axes.text(end, row, f" {_shares(one, name)[0]:.2f}", va="center", fontsize=8)
        axes.invert_yaxis()
        axes.margins(x=0.1)
        axes.set_title(f"{TITLES[one.kind]}, {one.slices} slices", fontsize=9, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
    parts[-1, 0].set_xlabel("CPU seconds, all threads; beside each bar: of nnunetv2's")
    parts[0, 0].legend(fontsize=7, ncols=len(STAGES) // 2, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
