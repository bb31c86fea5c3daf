"""Which structures a network learns, and under which numbers; the two kidneys as one, or one told into two."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from inference.domain.errors import ConfigurationInvalid
from inference.domain.volume import position_mm
from inference.stages.grids import body_centre_mm, body_mask
from training.data.cases import LabelledVolume
from training.data.problems import Problem
from training.label_names import KIDNEY, OUR_NUMBERS, our_name

TABLE = Path(__file__).with_suffix(".toml")
SIDES = ("kidney_right", "kidney_left")
LEAST_SHARE = 0.05
"""A smaller piece of a kidney label is a speck: it takes the side it lies on and decides nothing."""

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelChoice:
    """Names in the order of their numbers, from 1."""

    names: tuple[str, ...]
    splits_kidneys: bool = False
    """Whether kidneys under one number may be told into right and left."""

    @property
    def has_sides(self) -> bool:
        """Whether a mirrored body would have other labels."""
        return any(name.endswith(("_right", "_left")) for name in self.names)

    def numbers(self) -> dict[str, int]:
        """As dataset.json has them."""
        return {"background": 0} | {name: number for number, name in enumerate(self.names, 1)}

    def chosen(self, case: LabelledVolume) -> Labels:
        """The case's labels in the numbers of the choice; `unfit` must have nothing against it."""
        lookup = np.zeros(256, np.uint8)
        for number, name in enumerate(self.names, 1):
            lookup[OUR_NUMBERS[name]] = number
            if name == KIDNEY:
                for side in SIDES:
                    lookup[OUR_NUMBERS[side]] = number
        return lookup[self._by_side(case) if self._must_split(case) else case.labels]

    def unfit(self, case: LabelledVolume) -> Problem | None:
        """What is chosen and not labelled: it would be learnt as background."""
        there = set(case.names)
        if set(SIDES) <= there:
            there.add(KIDNEY)
        if KIDNEY in case.names and self.splits_kidneys:
            there.update(SIDES)
        missing = [name for name in self.names if name not in there]
        if missing:
            merged = KIDNEY in case.names and set(missing) <= set(SIDES)
            return Problem(
                where="label",
                found=f"no labels of {', '.join(missing)}",
                wanted="every chosen structure labelled in every case",
                advice="Give --kidneys-by-side to tell a merged kidney label into two, or choose kidney."
                if merged
                else "Choose fewer --labels, or leave the case out.",
            )
        if self._must_split(case) and (piece := crossing_piece(case)):
            return Problem(
                where="label",
                found=f"a kidney label of one piece on both sides of the body ({piece:.0%} on one)",
                wanted="two kidneys apart",
                advice="A horseshoe kidney, or a wrong label: take the case out, or choose kidney.",
            )
        return None

    def _must_split(self, case: LabelledVolume) -> bool:
        return self.splits_kidneys and KIDNEY in case.names and bool(set(SIDES) & set(self.names))

    def _by_side(self, case: LabelledVolume) -> Labels:
        labels = case.labels.copy()
        pieces, is_left = _pieces(case)
        for number, left in enumerate(is_left, 1):
            labels[pieces == number] = OUR_NUMBERS[SIDES[int(left > 0.5)]]
        return labels


def crossing_piece(case: LabelledVolume) -> float:
    """The smaller share of a large piece of kidney on one side where it lies on both; 0 without one."""
    pieces, is_left = _pieces(case)
    sizes = np.bincount(pieces.ravel(), minlength=len(is_left) + 1)[1:]
    large = sizes > LEAST_SHARE * sizes.sum()
    smaller = np.minimum(is_left, 1 - is_left)[large]
    return float(smaller.max()) if smaller.size and smaller.max() > LEAST_SHARE else 0.0


def _pieces(case: LabelledVolume) -> tuple[npt.NDArray[np.signedinteger], npt.NDArray[np.float64]]:
    """Connected pieces of the merged label, and of each the share left of the body's middle."""
    pieces, count = ndimage.label(case.labels == OUR_NUMBERS[KIDNEY])
    affine = case.volume.affine_lps
    middle_mm = body_centre_mm(body_mask(case.volume.hu), affine)[0]
    where = np.argwhere(pieces)
    left = position_mm(affine, where)[:, 0] > middle_mm
    number = pieces[tuple(where.T)]
    totals = np.bincount(number, minlength=count + 1)[1:]
    lefts = np.bincount(number, weights=left, minlength=count + 1)[1:]
    return pieces, lefts / np.maximum(totals, 1)


def choice_of(wanted: str, *, splits_kidneys: bool) -> LabelChoice:
    """A preset, or names with commas; raises ConfigurationInvalid."""
    presets = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    asked = presets[wanted]["labels"] if wanted in presets else wanted.split(",")
    names = tuple(our_name(name) for name in asked)
    if not all(names) or len(set(names)) != len(names):
        unknown = [text for text, name in zip(asked, names, strict=True) if not name]
        raise ConfigurationInvalid(
            found=f"labels {', '.join(unknown) or wanted!r}",
            wanted=f"{', '.join(presets)}, or different names of {', '.join(OUR_NUMBERS)}",
            advice="Separate names with commas: --labels liver,spleen.",
        )
    if KIDNEY in names and set(SIDES) & set(names):
        raise ConfigurationInvalid(
            found="kidney beside kidney_right or kidney_left",
            wanted="both kidneys as one, or each by its side",
            advice="Choose one of them.",
        )
    return LabelChoice(names=names, splits_kidneys=splits_kidneys)
