"""The figures of a slice network: found against true slices, and what every epoch was worth."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from training.l3_slices.evaluate import CaseResult, errors_of

PANEL_INCHES = 4.2


def scatter(sets: Mapping[str, Sequence[CaseResult]], path: Path, note: str) -> None:
    """Found against true slices with the line through them, a panel per set."""
    figure = Figure((PANEL_INCHES * len(sets), PANEL_INCHES + 0.4), layout="constrained")
    axes = figure.subplots(1, len(sets), squeeze=False)[0]
    for panel, (name, results) in zip(axes, sets.items(), strict=True):
        shown = [one for one in results if one.true_mm is not None]
        true = np.array([one.true_slice for one in shown])
        found = np.array([one.found_slice for one in shown])
        errors = errors_of(shown)
        ends = np.array([min(true.min(), found.min()) - 1, max(true.max(), found.max()) + 1])
        panel.plot(ends, ends, color="0.8", linewidth=1)
        panel.plot(ends, errors.slope * ends + errors.intercept, color="C1", linewidth=1)
        panel.plot(true, found, "o", color="C0", markersize=4)
        panel.set_title(
            f"{name}: error {errors.mean_absolute:.2f} ± {errors.sd_absolute:.2f} slices\n"
            f"y = {errors.slope:.3f} x {errors.intercept:+.2f}, R² {errors.r_squared:.3f}",
            fontsize=9,
        )
        panel.set_xlabel("true slice")
        panel.set_ylabel("found slice")
    figure.suptitle(note, fontsize=8)
    figure.savefig(path, dpi=110)


def epochs(
    sets: Mapping[str, Sequence[Sequence[Mapping[str, float]]]], path: Path, note: str
) -> None:
    """Accuracy, F1 and loss per epoch; a thin line per seed, a thick one for their mean."""
    scores = (("accuracy", "accuracy"), ("f1", "F1 of L3"), ("validation_loss", "loss"))
    figure = Figure((PANEL_INCHES * len(scores), PANEL_INCHES), layout="constrained")
    axes = figure.subplots(1, len(scores))
    for panel, (score, title) in zip(axes, scores, strict=True):
        for number, (name, runs) in enumerate(sets.items()):
            lines = [[row[score] for row in run] for run in runs]
            shortest = min(len(line) for line in lines)
            for line in lines:
                panel.plot(range(1, len(line) + 1), line, color=f"C{number}", alpha=0.3)
            mean = np.mean([line[:shortest] for line in lines], axis=0)
            panel.plot(range(1, shortest + 1), mean, color=f"C{number}", linewidth=2, label=name)
        panel.set_title(title, fontsize=9)
        panel.set_xlabel("epoch")
    axes[0].legend(fontsize=8)
    figure.suptitle(note, fontsize=8)
    figure.savefig(path, dpi=110)
