"""Loss, Dice, epoch time and learning rate of trainings side by side, from what nnU-Net's trainer logged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.domain.errors import ConfigurationInvalid
from training.nnunet.workspace import read_json

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


def draw(runs: Sequence[Curves], path: Path, note: str = "") -> None:
    """A column per run with the same scales, as PNG, SVG or PDF by the file's ending."""
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
        seconds.set_ylim(bottom=0)
        rate.plot(epochs, run.learning_rate, color="tab:purple")
        rate.set_ylim(bottom=0)
        rate.set_xlabel("epoch")
    for row, name in enumerate(("loss", "Dice of patches", "seconds per epoch", "learning rate")):
        axes[row, 0].set_ylabel(name)
    if note:
        figure.suptitle(note, fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        figure.savefig(path)
    except ValueError as problem:
        raise ConfigurationInvalid(
            found=f"a picture {path.name}",
            wanted="a name that ends with .png, .svg or .pdf",
            advice="Mend --out.",
        ) from problem
