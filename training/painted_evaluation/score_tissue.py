"""Tissues over the true extent of L3, so that an error of level is not counted twice."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from inference.domain.analysis_profile import HuWindows
from inference.domain.labelmap import TISSUES, LabelMap, Structure
from inference.domain.predictor import Predictor
from inference.domain.volume import Volume
from inference.stages.measure import slab_weights
from inference.stages.segment_tissue import segment_compartments, tissues_from_compartments
from training.evaluate_synthetic import dice
from training.painted_evaluation.score_level import slice_of
from training.painted_evaluation.scores import TissueScore
from training.synthetic.labels import COMPARTMENT_LUT, RIB_LEVEL
from training.templates.case import PaintedCase

OFF_RIBS = "skeletal_muscle_off_ribs"
"""Muscle without what lies between and upon the ribs: references disagree on that."""


def found_tissues(
    volume: Volume, slices: list[int], predictor: Predictor, windows: HuWindows
) -> LabelMap:
    """As the node finds them."""
    compartments = segment_compartments(volume, slices, predictor)
    return tissues_from_compartments(volume, compartments, windows)


def true_tissues(case: PaintedCase, slices: list[int], windows: HuWindows) -> LabelMap:
    """The painted compartments inside the same windows."""
    compartments = np.zeros(case.volume.shape, np.uint8)
    compartments[slices] = COMPARTMENT_LUT[case.tissue_labels[slices]]
    return tissues_from_compartments(case.volume, compartments, windows)


def l3_slices(case: PaintedCase) -> list[int]:
    """Slices that share in the true body of L3."""
    weights = slab_weights(case.volume, case.patient.l3_extent_mm)
    return [int(k) for k in np.flatnonzero(weights > 0)]


def tissue_scores(
    case: PaintedCase, predictor: Predictor, windows: HuWindows, reported: Mapping[str, float]
) -> dict[str, TissueScore]:
    """By tissue; `reported` are the areas in cm² that the node gives at its own level."""
    slices = l3_slices(case)
    found = found_tissues(case.volume, slices, predictor, windows).labels[slices]
    true = true_tissues(case, slices, windows).labels[slices]
    middle = slices.index(slice_of(case.volume, case.vertebrae["L3"].centre_lps_mm[2]))
    pixel_cm2 = case.volume.spacing_mm[1] * case.volume.spacing_mm[2] / 100
    scores = {}
    for label, structure in enumerate(TISSUES, start=1):
        pair = found == label, true == label
        area_cm2 = float(pair[1][middle].sum()) * pixel_cm2
        scores[structure.value] = TissueScore(
            dice=dice(*pair),
            area_percent=_area_percent(pair, middle),
            reported_percent=(
                100 * (reported[structure.value] / area_cm2 - 1)
                if structure.value in reported and area_cm2
                else None
            ),
        )
    off_ribs = ~np.isin(case.tissue_labels[slices], RIB_LEVEL)
    label = TISSUES.index(Structure.SKELETAL_MUSCLE) + 1
    pair = (found == label) & off_ribs, (true == label) & off_ribs
    scores[OFF_RIBS] = TissueScore(dice=dice(*pair), area_percent=_area_percent(pair, middle))
    return scores


def _area_percent(
    pair: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]], middle: int
) -> float | None:
    found, true = (int(mask[middle].sum()) for mask in pair)
    return 100 * (found / true - 1) if true else None
