"""Predicted label maps against the truth: Dice, surface Dice and HD95 per organ and case, as JSON and Markdown."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from inference.domain.errors import ConfigurationInvalid, UnreadableInput
from inference.domain.volume import Volume
from training.nifti import corners_apart_mm, read_nifti
from training.nnunet.workspace import FILE_ENDING, NOTES

if TYPE_CHECKING:
    from training.metrics import MaskScore

SAME_PLACE_MM = 0.05
LARGE = ("liver", "kidney", "kidney_right", "kidney_left", "spleen")
"""Organs of 100 ml and more that no data set leaves out."""
SYNTHETIC = "Synthetic CT made by code: it says that the steps work, and nothing about patients."

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """All scores, by case and organ."""

    scores: Mapping[str, Mapping[str, "MaskScore"]]
    tolerances_mm: Mapping[str, float]
    is_synthetic: bool

    def values(self, organ: str, measure: str) -> list[float]:
        """Of the cases where there is something to score."""
        found = (getattr(case[organ], measure) for case in self.scores.values())
        return [value for value in found if value is not None]

    @property
    def large_mean_dice(self) -> float | None:
        """The mean over large organs of their mean Dice."""
        means = [
            statistics.fmean(values)
            for organ in self.tolerances_mm
            if organ in LARGE and (values := self.values(organ, "dice"))
        ]
        return statistics.fmean(means) if means else None


def evaluate(
    found: Path, truth: Path, description: Mapping[str, Any], progress: Progress
) -> Evaluation:
    """Every case of the truth; raises ConfigurationInvalid where one has no answer."""
    from training.metrics import score_mask, tolerances_mm

    numbers = {name: n for name, n in description["labels"].items() if name != "background"}
    names = sorted(p.name.removesuffix(FILE_ENDING) for p in truth.glob(f"[!.]*{FILE_ENDING}"))
    _require(names, found, truth)
    scores = {}
    for done, name in enumerate(names, 1):
        answer, right = (_labels(folder / f"{name}{FILE_ENDING}") for folder in (found, truth))
        _require_same_grid(name, answer, right)
        scores[name] = {
            organ: score_mask(
                answer.hu == number, right.hu == number, right.spacing_mm, tolerances_mm()[organ]
            )
            for organ, number in numbers.items()
        }
        progress(done, len(names), name)
    return Evaluation(
        scores=scores,
        tolerances_mm={organ: tolerances_mm()[organ] for organ in numbers},
        is_synthetic=bool(description.get(NOTES, {}).get("is_synthetic")),
    )


def _labels(path: Path) -> Volume:
    volume = read_nifti(path)
    whole: npt.NDArray[np.float32] = np.rint(volume.hu).astype(np.float32)
    return Volume(hu=whole, affine_lps=volume.affine_lps)


def _require(names: Sequence[str], found: Path, truth: Path) -> None:
    missing = [name for name in names if not (found / f"{name}{FILE_ENDING}").is_file()]
    if missing or not names:
        raise ConfigurationInvalid(
            found=f"{len(missing)} of {len(names)} cases of {truth.name} without a prediction"
            f" ({', '.join(missing[:3])})",
            wanted="a prediction of each",
            advice="Run python -m training nnunet predict on their images; parts that are missing too.",
        )


def _require_same_grid(name: str, answer: Volume, right: Volume) -> None:
    if (
        answer.shape != right.shape
        or corners_apart_mm(answer.affine_lps, right.affine_lps, right.shape) > SAME_PLACE_MM
    ):
        raise UnreadableInput(
            found=f"{name}: an answer on another grid than the truth",
            wanted="the grid of the image that was predicted",
            advice="Predict the images that belong to these labels.",
        )


def to_json(evaluation: Evaluation) -> dict[str, Any]:
    """Everything, by case."""
    return {
        "is_synthetic": evaluation.is_synthetic,
        "large_organs_mean_dice": evaluation.large_mean_dice,
        "tolerances_mm": dict(evaluation.tolerances_mm),
        "cases": {
            name: {organ: asdict(score) for organ, score in organs.items()}
            for name, organs in evaluation.scores.items()
        },
    }


def to_markdown(evaluation: Evaluation) -> str:
    """One row per organ."""
    lines = [f"*{SYNTHETIC}*", ""] if evaluation.is_synthetic else []
    lines += [
        "| organ | cases | DSC | NSD (tolerance) | HD95, mm | missed | invented |",
        "|---|---|---|---|---|---|---|",
        *(_row(evaluation, organ) for organ in evaluation.tolerances_mm),
    ]
    if (mean := evaluation.large_mean_dice) is not None:
        lines += ["", f"Mean DSC of the large organs: **{mean:.3f}**"]
    lines += [
        "",
        "Mean ± standard deviation over cases. DSC: Dice. NSD: share of both surfaces within the tolerance of the",
        "other (`training/tolerances.toml` says where tolerances come from). Neither there nor found: not scored.",
    ]
    return "\n".join(lines) + "\n"


def _row(evaluation: Evaluation, organ: str) -> str:
    dice, nsd, hd95 = (evaluation.values(organ, m) for m in ("dice", "nsd", "hd95_mm"))
    scores = [case[organ] for case in evaluation.scores.values()]
    tolerance = evaluation.tolerances_mm[organ]
    cells = [
        organ,
        str(len(dice)),
        _spread(dice, 3),
        f"{_spread(nsd, 3)} ({tolerance:g} mm)",
        _spread(hd95, 1),
        str(sum(score.is_missed for score in scores)),
        str(sum(score.is_invented for score in scores)),
    ]
    return f"| {' | '.join(cells)} |"


def _spread(values: Sequence[float], digits: int) -> str:
    if not values:
        return "–"
    sd = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.{digits}f}{sd}"
