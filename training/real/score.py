"""An answer beside a reference: Dice, volumes, areas, level."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from inference.domain.analysis_profile import HuWindows
from inference.domain.labelmap import TISSUES, LabelMap, Structure
from inference.domain.volume import Volume
from inference.pipeline import Models
from inference.stages.segment_tissue import segment_compartments, tissues_from_compartments
from training.evaluate_synthetic import dice
from training.real.answer import Answer
from training.real.case import RealCase
from training.real.reference import Mask

RIB_MM = 10.0
"""References disagree on the muscle between and upon ribs: it is also compared without what lies so near to one."""
SCORED_TISSUES = tuple(t for t in TISSUES if t is not Structure.INTERMUSCULAR_FAT)
APART = "away from ribs"


Masks = dict[Structure, Mask]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One structure found beside the reference."""

    structure: Structure
    part: str = ""
    """Which part of it was compared; empty: all."""
    dice: float | None
    """None where neither has any of it."""
    found: float
    reference: float
    unit: str = "ml"
    quantity: str = "volume"

    @property
    def label(self) -> str:
        """For tables."""
        name = self.structure.value.replace("_", " ")
        return f"{name}, {self.part}" if self.part else name


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scored:
    """Everything compared in one case."""

    scores: tuple[Score, ...] = ()
    level_error_mm: float | None = None
    """Found minus reference; None where one of them is missing."""
    level_error_slices: int | None = None
    tissues: LabelMap | None = None
    """On the slices that have reference tissues."""
    tissue_slices: tuple[int, ...] = ()


def scored(case: RealCase, answer: Answer, models: Models) -> Scored:
    """Everything that the reference allows."""
    volume = case.volume
    assert volume is not None
    error_mm, error_slices = None, None
    if answer.z_mm is not None and case.l3_z_mm is not None:
        error_mm = answer.z_mm - case.l3_z_mm
        error_slices = slice_of(volume, answer.z_mm) - slice_of(volume, case.l3_z_mm)
    true: Masks = {t: mask for t in SCORED_TISSUES if (mask := case.reference.of(t)) is not None}
    slices = tissue_slices(true)
    tissues = tissues_on(volume, slices, models) if slices else None
    scores = []
    if tissues is not None:
        scores += list(_tissue_scores(case, tissues, true, slices))
        scores += list(_area_scores(case, answer, true))
    if answer.organs is not None:
        scores += list(_organ_scores(case, answer.organs))
    return Scored(
        scores=tuple(scores),
        level_error_mm=error_mm,
        level_error_slices=error_slices,
        tissues=tissues,
        tissue_slices=tuple(slices),
    )


def slice_of(volume: Volume, z_mm: float) -> int:
    """The slice nearest to a patient z."""
    return volume.slice_at((z_mm - volume.affine_lps[2, 3]) / volume.affine_lps[2, 0])


def tissue_slices(true: Masks) -> list[int]:
    """Slices with any tissue in the reference: somebody drew these."""
    drawn = [mask.any(axis=(1, 2)) for mask in true.values()]
    return np.flatnonzero(np.logical_or.reduce(drawn)).tolist() if drawn else []


def tissues_on(volume: Volume, slices: list[int], models: Models) -> LabelMap:
    """The node's tissues on any slices."""
    compartments = segment_compartments(volume, slices, models.tissue)
    return tissues_from_compartments(volume, compartments, models.profile.windows)


def windowed(mask: Mask, hu: np.ndarray, structure: Structure, windows: HuWindows) -> Mask:
    """A reference within the HU window that defines the tissue here."""
    low, high = {
        Structure.SKELETAL_MUSCLE: windows.muscle,
        Structure.SUBCUTANEOUS_FAT: windows.subcutaneous_fat,
        Structure.VISCERAL_FAT: windows.visceral_fat,
    }[structure]
    inside: Mask = mask & (hu >= low) & (hu <= high)
    return inside


def _tissue_scores(
    case: RealCase, tissues: LabelMap, true: Masks, slices: list[int]
) -> Iterator[Score]:
    assert case.volume is not None
    drawn = np.zeros(case.volume.shape[0], np.bool_)
    drawn[slices] = True
    ribs = case.reference.ribs
    for structure, mask in true.items():
        wanted = windowed(mask, case.volume.hu, structure, HuWindows())
        found = tissues.mask(structure) & drawn[:, None, None]
        yield _volume_score(case.volume, structure, found, wanted)
        if structure is Structure.SKELETAL_MUSCLE and ribs is not None and ribs[drawn].any():
            far = away_from(ribs, case.volume, RIB_MM, slices)
            part = f"{APART} ({RIB_MM:.0f} mm)"
            yield _volume_score(case.volume, structure, found & far, wanted & far, part)


def away_from(mask: Mask, volume: Volume, distance_mm: float, slices: list[int]) -> Mask:
    """Where everything of a mask is further away, on some slices; they are taken as evenly spaced."""
    margin = int(np.ceil(distance_mm / volume.spacing_mm[0]))
    box = slice(max(0, slices[0] - margin), slices[-1] + margin + 1)
    far = np.zeros(mask.shape, np.bool_)
    far[box] = ndimage.distance_transform_edt(~mask[box], sampling=volume.spacing_mm) > distance_mm
    return far


def _area_scores(case: RealCase, answer: Answer, true: Masks) -> Iterator[Score]:
    """Areas as the node reports them, at its own level, beside the reference's at the reference's level."""
    volume = case.volume
    assert volume is not None
    if case.l3_z_mm is None or not answer.areas_cm2:
        return
    k = slice_of(volume, case.l3_z_mm)
    pixel_cm2 = volume.spacing_mm[1] * volume.spacing_mm[2] / 100
    for structure, mask in true.items():
        if mask[k].any() and structure in answer.areas_cm2:
            wanted = windowed(mask[k], volume.hu[k], structure, HuWindows())
            yield Score(
                structure=structure,
                part="as reported at L3",
                dice=None,
                found=answer.areas_cm2[structure],
                reference=float(wanted.sum()) * pixel_cm2,
                unit="cm²",
                quantity="area at L3",
            )


def _organ_scores(case: RealCase, organs: LabelMap) -> Iterator[Score]:
    assert case.volume is not None
    for structure in organs.structures.values():
        if (wanted := case.reference.of(structure)) is not None:
            yield _volume_score(case.volume, structure, organs.mask(structure), wanted)


def _volume_score(
    volume: Volume, structure: Structure, found: Mask, wanted: Mask, part: str = ""
) -> Score:
    is_anywhere = bool(found.any() or wanted.any())
    return Score(
        structure=structure,
        part=part,
        dice=dice(found, wanted) if is_anywhere else None,
        found=volume.volume_ml(found),
        reference=volume.volume_ml(wanted),
    )
