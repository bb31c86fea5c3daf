"""Organs beside the painted truth: overlap, volume, what the field cuts, sides."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from inference.domain.errors import ImplausibleResult
from inference.domain.labelmap import LabelMap, Structure
from inference.stages.measure import measure_organs
from inference.stages.sides import side_flags
from training.painted_evaluation.scores import OrganScore
from training.synthetic.labels import ORGAN_LUT
from training.templates.case import PaintedCase
from training.templates.painter import outside_field

SMALLEST_ML = 1.0
"""An organ of which the field holds less is not scored."""
INVENTED_ML = 10.0
"""Found of an organ that is not scored, from which on it is said."""
PAIRS = (
    (Structure.KIDNEY_RIGHT, Structure.KIDNEY_LEFT),
    (Structure.ADRENAL_RIGHT, Structure.ADRENAL_LEFT),
)
LABELS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganScores:
    """Of one case."""

    organs: Mapping[str, OrganScore]
    invented_ml: Mapping[str, float]
    """Found of organs of which the field holds next to nothing."""
    swapped: tuple[str, ...]
    side_doubts: tuple[str, ...]


def organ_scores(case: PaintedCase, found: LabelMap) -> OrganScores:
    """Every organ of which the field holds enough."""
    true = ORGAN_LUT[case.tissue_labels]
    pairs = np.bincount((true * LABELS + found.labels).ravel(), minlength=LABELS**2)
    shared = pairs.reshape(LABELS, LABELS)
    measured = measure_organs(case.volume, found)
    flagged = {organ.structure for organ in measured if organ.is_incomplete}
    touching = cut_labels(true, case)
    ml = case.volume.voxel_ml
    scores, invented = {}, {}
    for label, structure in found.structures.items():
        true_ml, found_ml = shared[label].sum() * ml, shared[:, label].sum() * ml
        if true_ml >= SMALLEST_ML:
            scores[structure.value] = OrganScore(
                dice=float(2 * shared[label, label] * ml / (true_ml + found_ml)),
                true_ml=float(true_ml),
                found_ml=float(found_ml),
                is_cut=label in touching,
                is_flagged=structure in flagged,
            )
        elif found_ml >= INVENTED_ML:
            invented[structure.value] = float(found_ml)
    try:
        doubts = tuple(side_flags(measured))
    except ImplausibleResult as refusal:
        doubts = (refusal.found,)
    return OrganScores(
        organs=scores,
        invented_ml=invented,
        swapped=_swapped(shared, found),
        side_doubts=doubts,
    )


def cut_labels(labels: npt.NDArray[np.uint8], case: PaintedCase) -> frozenset[int]:
    """Labels that reach the first or last slice, the edge of the image or that of the round field of view."""
    outside = outside_field(case.scan, case.grid)[0]
    rim = np.ones(outside.shape, np.bool_)
    rim[1:-1, 1:-1] = False
    rim |= ndimage.binary_dilation(outside)
    seen = [labels[0].ravel(), labels[-1].ravel(), labels[:, rim].ravel()]
    return frozenset(int(n) for n in np.unique(np.concatenate(seen)) if n)


def _swapped(shared: npt.NDArray[np.int64], found: LabelMap) -> tuple[str, ...]:
    """Sides whose true voxels carry the other side's label more often than their own."""
    numbers = {structure: label for label, structure in found.structures.items()}
    names = []
    for pair in PAIRS:
        if not all(structure in numbers for structure in pair):
            continue
        for own, other in (pair, pair[::-1]):
            row = shared[numbers[own]]
            if row[numbers[other]] > row[numbers[own]]:
                names.append(own.value)
    return tuple(names)
