"""The node's answer on L3: found, uncertain, not in the field, refused; and its distance to the truth."""

from dataclasses import replace

import numpy as np
import pytest

from inference.domain.labelmap import Structure
from inference.domain.level_outcome import LevelOutcome
from inference.domain.measurement import Level, Measurement, Patient, Quantity, Report, Unit
from inference.domain.outcome import Analysis
from tests.unit.training.templates.tiny_torso import tiny_template
from training.painted_evaluation.cases import FIRST_SEED, Part, make_case, order_of
from training.painted_evaluation.score_level import (
    LevelAnswer,
    answer_in,
    level_score,
    reported_cm2,
    slice_of,
)
from training.painted_evaluation.scores import Answer, Truth
from training.templates.case import PaintedCase

SURE = "height missing: muscle area per height² and per BMI are not reported"


def report(*flags: str, z_mm: float = 0.0) -> Report:
    return Report(
        patient=Patient(),
        level=Level(slice_index=3, z_mm=z_mm, confidence=0.8, extent_mm=(z_mm - 14, z_mm + 14)),
        flags=flags,
        body_composition=(
            Measurement(
                quantity=Quantity.AREA,
                value=130.0,
                unit=Unit.CM2,
                structure=Structure.SKELETAL_MUSCLE,
            ),
            Measurement(quantity=Quantity.TOTAL_FAT_AREA, value=300.0, unit=Unit.CM2),
        ),
    )


def answer(of: Report) -> LevelAnswer:
    return answer_in(Analysis(report=of, tissues=None, organs=None))


def made() -> PaintedCase:
    order = order_of(FIRST_SEED, ["tiny"], frozenset({Part.TISSUE}), 200_000)
    return make_case(order, tiny_template()).painted


def test_a_result_without_doubt_is_found() -> None:
    found = answer(report(SURE))
    assert (found.answer, found.reasons, found.confidence) == (Answer.FOUND, (), 0.8)


def test_a_doubt_makes_it_uncertain() -> None:
    why = "the two networks place it 34 mm apart"
    found = answer(
        replace(report(SURE), level_outcome=LevelOutcome.UNCERTAIN, level_reasons=(why,))
    )
    assert (found.answer, found.reasons) == (Answer.UNCERTAIN, (why,))


def test_a_result_without_a_level_is_not_in_the_field() -> None:
    without = replace(report(), level=None)
    assert answer(without).answer is Answer.NOT_IN_FIELD


def test_the_error_is_the_distance_to_the_middle_of_l3_and_names_what_was_hit() -> None:
    case = made()
    l4_mm = case.vertebrae["L4"].centre_lps_mm[2]
    score = level_score(case, answer(report(z_mm=l4_mm)))

    assert score.truth is Truth.WHOLE
    assert score.error_mm == pytest.approx(l4_mm - case.vertebrae["L3"].centre_lps_mm[2])
    assert score.error_mm is not None
    assert score.error_mm < -20
    assert score.nearest == "L4"


def test_areas_are_those_of_structures() -> None:
    assert reported_cm2(answer(report())) == {"skeletal_muscle": 130.0}


def test_the_slice_nearest_to_a_height() -> None:
    volume = made().volume
    z = volume.affine_lps[2, 3] + np.arange(volume.shape[0]) * volume.spacing_mm[0]
    assert slice_of(volume, float(z[4]) + 0.4 * volume.spacing_mm[0]) == 4
    assert slice_of(volume, -1e6) == 0
