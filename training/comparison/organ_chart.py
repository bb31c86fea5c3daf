"""Dice per organ as bars, the weak organs named."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid
from training.checkpoint_header import read_history

PREFIX = "dice_"
WEAK_COLOUR, FAIR_COLOUR = "#c0392b", "#2e86c1"
BAR_INCH, DPI = 0.33, 110


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganScores:
    """Of one checkpoint."""

    name: str
    dice: Mapping[str, float]
    """By organ."""
    mean: float

    def weak(self, below: float) -> list[str]:
        """The weakest first."""
        return sorted(
            (o for o, dice in self.dice.items() if dice < below), key=self.dice.__getitem__
        )


def organ_scores(checkpoint: Path) -> OrganScores:
    """From a checkpoint's own record; raises ConfigurationInvalid where it has no Dice."""
    metrics = read_history(checkpoint).metrics
    dice = {
        name.removeprefix(PREFIX): value
        for name, value in metrics.items()
        if name.startswith(PREFIX) and name != f"{PREFIX}mean"
    }
    if not dice:
        raise ConfigurationInvalid(
            found=f"{checkpoint.name} without Dice per organ",
            wanted="a checkpoint of an organ network",
            advice="Train one, or name another checkpoint.",
        )
    return OrganScores(name=checkpoint.parent.name, dice=dice, mean=sum(dice.values()) / len(dice))


def draw_chart(scores: list[OrganScores], weak_below: float, out: Path, note: str) -> None:
    """A panel per checkpoint: organs by Dice, the bars of weak ones red, a line where weak begins."""
    from matplotlib.figure import Figure

    rows = max(len(one.dice) for one in scores)
    figure = Figure(figsize=(6.0 * len(scores), 1.6 + BAR_INCH * rows), layout="constrained")
    panels = figure.subplots(1, len(scores), squeeze=False)[0]
    for axes, one in zip(panels, scores, strict=True):
        organs = sorted(one.dice, key=one.dice.__getitem__)
        values = [one.dice[organ] for organ in organs]
        colours = [WEAK_COLOUR if value < weak_below else FAIR_COLOUR for value in values]
        bars = axes.barh([organ.replace("_", " ") for organ in organs], values, color=colours)
        axes.bar_label(bars, fmt="%.2f", padding=3)
        axes.axvline(weak_below, color="black", linewidth=0.8, linestyle="--")
        axes.set_xlim(0, 1.08)
        axes.set_xlabel(f"Dice on kept-back cases; weak below {weak_below:g}")
        axes.set_title(f"{one.name}: mean {one.mean:.3f}")
    figure.supxlabel(note, fontsize="small")
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=DPI)
