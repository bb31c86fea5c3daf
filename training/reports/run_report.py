"""The report of one training: its configuration, its data, its curves, on one page."""

import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from inference.domain.errors import UnreadableInput
from training.checkpoint_header import History, history_from, read_metadata
from training.reports.page import Picture, Section, page
from training.specification import CHECKPOINT_NAME
from training.training_log import METRICS_NAME, read_metrics

CURVES_NAME = "curves.png"
PANELS = 3
PANEL_INCHES = (4.2, 3.0)
NOTE = "Scores are of cases kept back to choose by: they flatter the checkpoint. See the evaluation for cases that nothing was chosen by."


def write_report(run: Path, out: Path) -> None:
    """Raises UnreadableInput where the folder holds no finished training."""
    rows = read_metrics(run / METRICS_NAME)
    if not rows:
        raise UnreadableInput(
            found=f"no {METRICS_NAME} in {run.name}",
            wanted="the folder of a training",
            advice="Name the --out of python -m training train.",
        )
    metadata = read_metadata(run / CHECKPOINT_NAME)
    history, config = history_from(metadata), json.loads(metadata["config"])
    curves = run / CURVES_NAME
    draw_curves(rows, curves)
    sections = [
        Section(title="What was trained", text=_facts(history, config)),
        Section(
            title="Curves",
            text=f"{len(rows)} rows of `{METRICS_NAME}`.",
            pictures=[Picture(path=curves, caption="Loss, learning rate, and every score")],
        ),
        Section(title="Scores of the checkpoint", text=_scores(history)),
        Section(title="Configuration", text=f"```\n{json.dumps(config, indent=1)}\n```"),
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page(f"Training {config['name']}", NOTE, sections), encoding="utf-8")


def draw_curves(rows: list[dict[str, Any]], path: Path) -> None:
    """Loss and rate as reported, then every score, over steps."""
    series: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        for name in ("loss", "rate"):
            if name in row:
                series.setdefault(name, []).append((row["step"], row[name]))
        for name, value in row.get("validation", {}).items():
            title = "training loss, mean" if name == "loss" else f"kept back: {name}"
            series.setdefault(title, []).append((row["step"], value))
    lines = -(-len(series) // PANELS)
    size = (PANEL_INCHES[0] * PANELS, PANEL_INCHES[1] * lines)
    figure = Figure(size, layout="constrained")
    axes = figure.subplots(lines, PANELS, squeeze=False).ravel()
    for panel in axes[len(series) :]:
        panel.set_axis_off()
    for panel, (name, points) in zip(axes, series.items(), strict=False):
        panel.plot(*zip(*points, strict=True), marker="." if len(points) < 40 else "")
        panel.set_title(name, fontsize=9)
        panel.set_xlabel("step", fontsize=8)
        if name == "rate":
            panel.set_yscale("log")
    figure.savefig(path, dpi=100)


def _facts(history: History, config: dict[str, Any]) -> str:
    lines = [
        history.training_data,
        "",
        f"- {history.step} steps in {history.elapsed_s:.0f} s; code {history.code_revision[:12]}; seed {config['seed']}",
        f"- task {config['task']}, input {config['input_shape']}, batch {config['batch_size']} × {config.get('accumulate', 1)}",
    ]
    if history.data_hash:
        lines.append(f"- data hash {history.data_hash}")
    return "\n".join(lines)


def _scores(history: History) -> str:
    rows = "\n".join(f"| {name} | {value:.4f} |" for name, value in history.metrics.items())
    return f"| score | value |\n|---|---:|\n{rows}"
