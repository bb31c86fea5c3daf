"""Folds of a run: what is finished is left alone, what was stopped goes on, what cannot begin is refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid
from training.nnunet.child import Order, run_children
from training.nnunet.plans import CASCADE, LOW
from training.nnunet.predict import FINAL
from training.nnunet.workspace import (
    SPLITS_NAME,
    Workspace,
    plans_of,
    read_json,
)

CHECKPOINTS = (FINAL, "checkpoint_latest.pth", "checkpoint_best.pth")
SUMMARY = Path("validation") / "summary.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A run's folds."""

    run: str
    configuration: str
    folds: tuple[int, ...]
    devices: tuple[str, ...]
    processes: int
    resumes: bool = False
    keeps_probabilities: bool = False
    """Of the validation: what ensembles of configurations need."""


def all_folds(space: Workspace) -> tuple[int, ...]:
    """Of the split."""
    splits = read_json(space.raw / SPLITS_NAME)
    return tuple(range(len(splits)))


def is_finished(fold: Path) -> bool:
    """Trained and validated."""
    return (fold / FINAL).is_file() and (fold / SUMMARY).is_file()


def is_begun(fold: Path) -> bool:
    """Whether there is something to go on from, or to lose."""
    return any((fold / name).is_file() for name in CHECKPOINTS)


def train_folds(space: Workspace, wanted: Trained) -> dict[int, float]:
    """Validation Dice of every fold; raises ConfigurationInvalid and NnunetFailed."""
    model = space.model(wanted.run, wanted.configuration)
    _require_planned(space, wanted)
    places = {fold: model / f"fold_{fold}" for fold in wanted.folds}
    waiting = [fold for fold, place in places.items() if not is_finished(place)]
    begun = [fold for fold in waiting if is_begun(places[fold])]
    if begun and not wanted.resumes:
        raise ConfigurationInvalid(
            found=f"fold {begun[0]} of {wanted.run}, begun and not finished",
            wanted="a run that is not there yet",
            advice="Go on with --resume, or name another --run.",
        )
    orders = [_order(space, wanted, fold, resume=fold in begun) for fold in waiting]
    run_children(orders, space, processes=wanted.processes, devices=wanted.devices)
    return {fold: validation_dice(place) for fold, place in places.items()}


def validation_dice(fold: Path) -> float:
    """Mean over all labels and cases, as nnU-Net counts it."""
    return float(read_json(fold / SUMMARY)["foreground_mean"]["Dice"])


def _order(space: Workspace, wanted: Trained, fold: int, *, resume: bool) -> Order:
    return Order(
        step="train",
        arguments={
            "dataset": space.dataset,
            "configuration": wanted.configuration,
            "fold": fold,
            "plans": plans_of(wanted.run),
            "probabilities": wanted.keeps_probabilities,
            "resume": resume,
        },
    )


def _require_planned(space: Workspace, wanted: Trained) -> None:
    parts = read_json(space.plans_file(plans_of(wanted.run)))["configurations"]
    folds = all_folds(space)
    rules = {
        f"the configuration {wanted.configuration}": (
            wanted.configuration in parts,
            ", ".join(parts),
            "Plan it, or leave it: nnU-Net drops a low resolution that is not worth it.",
        ),
        f"folds {wanted.folds}": (
            set(wanted.folds) <= set(folds),
            f"some of {folds}",
            "Mend --folds, or convert with more --folds.",
        ),
    }
    for found, (holds, wish, advice) in rules.items():
        if not holds:
            raise ConfigurationInvalid(found=found, wanted=wish, advice=advice)
    if wanted.configuration == CASCADE:
        _require_first_stage(space, wanted.run, folds)


def _require_first_stage(space: Workspace, run: str, folds: Sequence[int]) -> None:
    """The second network reads what the first one answered to cases that it had not been trained on."""
    splits: list[dict[str, list[str]]] = read_json(space.raw / SPLITS_NAME)
    validated = {name for split in splits for name in split["val"]}
    if validated != {name for split in splits for part in split.values() for name in part}:
        raise ConfigurationInvalid(
            found="a cascade on a hold-out",
            wanted="folds, so that every case is once validated on",
            advice="Convert again with --folds 2 or more.",
        )
    missing = [n for n in folds if not is_finished(space.model(run, LOW) / f"fold_{n}")]
    if missing:
        raise ConfigurationInvalid(
            found=f"a cascade whose {LOW} lacks the folds {', '.join(map(str, missing))}",
            wanted=f"all folds of {LOW}, trained and validated",
            advice=f"Run python -m training nnunet train --configuration {LOW} --run {run} first.",
        )
