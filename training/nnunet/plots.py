"""Loss, Dice, epoch time and learning rate of trainings side by side, from what nnU-Net's trainer logged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference.domain.errors import ConfigurationInvalid
from training.nnunet.workspace import read_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROGRESS_NAME = "progress.json"
INCHES = (4.2, 8.4)
"""Of one run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Of one fold; one value per finished epoch."""

    title: str
    training_loss: Sequence[float]
    validation_loss: Sequence[float]
    pseudo_dice: Sequence[float]
    """Of the validation's patches, as nnU-Net estimates it while it trains."""
    epoch_s: Sequence[float]
    learning_rate: Sequence[float]


def read_curves(fold: Path, title: str) -> Curves:
    """Of a fold's folder; raises ConfigurationInvalid."""
    log = read_json(fold / PROGRESS_NAME)
    epochs = min(len(values) for values in log.values())
    if not epochs:
        raise ConfigurationInvalid(
            found=f"no finished epoch in {title}",
            wanted="one at least",
            advice="Wait for the first epoch to end.",
        )
    return Curves(
        title=title,
        training_loss=log["train_losses"][:epochs],
        validation_loss=log["val_losses"][:epochs],
        pseudo_dice=log["mean_fg_dice"][:epochs],
        epoch_s=_seconds(log, epochs),
        learning_rate=log["lrs"][:epochs],
    )


def _seconds(log: Mapping[str, Any], epochs: int) -> list[float]:
    starts, ends = log["epoch_start_timestamps"], log["epoch_end_timestamps"]
    return [end - start for start, end in zip(starts[:epochs], ends[:epochs], strict=True)]


def figure_of(runs: Sequence[Curves], note: str = "") -> "Figure":
    """A column per run with the same scales."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(INCHES[0] * len(runs), INCHES[1]), layout="constrained")
    axes = figure.subplots(4, len(runs), sharex="col", sharey="row", squeeze=False)
    for column, run in enumerate(runs):
        loss, dice, seconds, rate = axes[:, column]
        epochs = range(1, len(run.training_loss) + 1)
        loss.set_title(run.title)
        loss.plot(epochs, run.training_loss, label="training")
        loss.plot(epochs, run.validation_loss, label="validation")
        loss.legend()
        dice.plot(epochs, run.pseudo_dice, color="tab:green")
        dice.set_ylim(0, 1)
        seconds.plot(epochs, run.epoch_s, color="tab:grey")
        rate.plot(epochs, run.learning_rate, color="tab:purple")
        rate.set_xlabel("epoch")
    # Once all are drawn: a limit stops a shared axis from growing with the next run.
    axes[2, 0].set_ylim(bottom=0)
    axes[3, 0].set_ylim(bottom=0)
    for row, name in enumerate(("loss", "Dice of patches", "seconds per epoch", "learning rate")):
        axes[row, 0].set_ylabel(name)
    if note:
        figure.suptitle(note, fontsize="small")
    return figure


def draw(runs: Sequence[Curves], path: Path, note: str = "") -> None:
    """As PNG, SVG or PDF by the file's ending."""
    figure = figure_of(runs, note)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        figure.savefig(path)
    except ValueError as problem:
        raise ConfigurationInvalid(
            found=f"a picture {path.name}",
            wanted="a name that ends with .png, .svg or .pdf",
            advice="Mend --out.",
        ) from problem
