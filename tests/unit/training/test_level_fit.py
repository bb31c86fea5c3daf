"""The fit of the L3 decision: weights by the truth, confidences that are shares, thresholds that let no more errors pass than allowed."""

import math
from dataclasses import replace

import numpy as np
import pytest

from inference.domain.level_calibration import UNCALIBRATED
from inference.stages.decide_level import Evidence, confidence_of
from tests.unit.inference.stages.drawn_spines import curves_of, spine_mm
from training.calibrate_level import reliability, summary
from training.level_cases import LevelCase
from training.level_fit import (
    LEAST_CONFIDENT,
    WEIGHT_OF_THE_OTHER,
    Answer,
    answers,
    cross_fitted,
    fitted,
    fitted_decision,
    fitted_field,
    fitted_slopes,
    least_threshold,
    likelihood,
)


def _answer(
    *, joint: float = 0.9, error_mm: float = 0.0, has_l3: bool = True, is_doubted: bool = False,
    in_field: float = 0.95, difference_mm: float = 0.0, alone: tuple[float, ...] = (0.9,),
) -> Answer:  # fmt: skip
    return Answer(
        seed=7_000_000,
        has_l3=has_l3,
        error_mm=error_mm if has_l3 else math.nan,
        evidence=Evidence(
            z_mm=0.0, in_field=in_field, joint=joint, alone=alone, difference_mm=difference_mm
        ),
        is_doubted=is_doubted,
    )


def _drawn(
    seed: int, l3_mm: float, *said_mm: float, field_mm: tuple[float, float] = (-330, 210)
) -> LevelCase:
    """A case whose networks see the spine there."""
    return LevelCase(
        seed=seed,
        opinions=tuple(curves_of(spine_mm(said), field_mm) for said in said_mm),
        l3_mm=(l3_mm - 14, l3_mm, l3_mm + 14),
        variants="",
    )


def test_a_confidence_is_the_share_of_answers_that_are_right() -> None:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(3000):
        joint = float(rng.uniform(0.05, 0.99))
        found.append(_answer(joint=joint, error_mm=0.0 if rng.random() < joint else 34.0))

    slopes = fitted_slopes(found, opinions=1)
    decision = replace(UNCALIBRATED.one_opinion, **slopes)

    for low in (0.2, 0.5, 0.8):
        near = [one for one in found if low <= confidence_of(one.evidence, decision) < low + 0.15]
        share = np.mean([one.is_right for one in near])
        assert share == pytest.approx(low + 0.075, abs=0.07)


def test_no_slope_is_negative() -> None:
    """Where the surer answers happen to be the wrong ones, a confidence does not fall with the evidence."""
    found = [_answer(joint=0.99, error_mm=34.0), _answer(joint=0.2)] * 20

    assert fitted_slopes(found, opinions=1)["joint"] == 0


def test_the_field_is_told_where_most_cases_are_right() -> None:
    found = [_answer(in_field=0.4)] * 5 + [_answer(in_field=0.2, has_l3=False)] * 5

    assert 0.2 < fitted_field(found) < 0.28


@pytest.mark.parametrize(("allowed", "wanted"), [(0, 0.95), (1, 0.85), (2, LEAST_CONFIDENT)])
def test_the_threshold_lets_no_more_silent_errors_pass_than_allowed(
    allowed: int, wanted: float
) -> None:
    reported = [_answer(error_mm=34.0), _answer(error_mm=-34.0), _answer(), _answer()]
    confidences = np.array([0.85, 0.95, 0.9, 0.99])
    doubted = np.zeros(4, np.bool_)

    threshold = least_threshold(reported, confidences, doubted, allowed)

    assert threshold == pytest.approx(wanted, abs=2e-4)
    silent = [
        one for one, c in zip(reported, confidences, strict=True) if one.is_wrong and c >= threshold
    ]
    assert len(silent) == allowed


def test_an_error_that_is_doubted_anyway_raises_no_threshold() -> None:
    reported = [_answer(error_mm=34.0), _answer()]

    assert (
        least_threshold(reported, np.array([0.9, 0.9]), np.array([True, False]), 0)
        == LEAST_CONFIDENT
    )


def test_a_level_where_there_is_none_counts_as_wrong() -> None:
    assert _answer(has_l3=False).is_wrong
    assert not _answer(error_mm=12.0).is_wrong
    assert not _answer(error_mm=12.0).is_right


def test_of_all_differences_the_one_is_taken_with_which_least_is_flagged() -> None:
    """Right answers differ by 11 mm, wrong ones by 18: between them nothing right is flagged."""
    two = (0.9, 0.9)
    right = [_answer(difference_mm=11.0, alone=two)] * 50
    wrong = [_answer(difference_mm=18.0, error_mm=34.0, alone=two)] * 3

    decision, difference_mm = fitted_decision([*right, *wrong], 0.0, UNCALIBRATED.two_opinions)

    assert difference_mm in (12.0, 15.0)
    assert decision.confident_from == LEAST_CONFIDENT


def test_weights_that_believe_right_curves_are_likelier_the_more_they_believe() -> None:
    cases = [_drawn(7_000_000, 0.0, 0.0, 0.0)]

    shy, bold = (replace(UNCALIBRATED, spine_weight=weight) for weight in (0.2, 1.2))

    assert likelihood(cases, bold) > likelihood(cases, shy)


def test_projections_never_decide_beside_the_volume_however_right_they_are() -> None:
    """On the anatomy they were trained on they always are."""
    cases = [_drawn(7_000_000 + n, 0.0, 0.0, 34.0 * (-1) ** n) for n in range(4)]
    cases += [_drawn(7_000_010, -90.0, -90.0, -56.0, field_mm=(-20.0, 210.0))]

    calibration = fitted(cases, 0.005)

    assert calibration.level_weight <= calibration.spine_weight
    assert calibration.level_weight == WEIGHT_OF_THE_OTHER


def test_what_was_fitted_is_told_with_shares_and_reliability() -> None:
    cases = [_drawn(7_000_000 + n, 0.0, float(n), 0.0) for n in range(6)]
    cases += [_drawn(7_000_010 + n, -90.0, -90.0, -90.0, field_mm=(-20.0, 210.0)) for n in range(2)]
    calibration = replace(fitted(cases, 0.005), statement="8 cases")

    told = summary(cases, calibration)

    assert "Synthetic. 8 cases." in told
    assert "### one opinion" in told
    assert "### two opinions" in told
    assert "| within 10 mm, of cases with L3 | 6 of 6 | 100.0% |" in told
    assert "| not in the field, and said so | 2 of 2 | 100.0% |" in told
    assert "Silent: seeds none." in told


def test_confidences_for_the_table_are_not_fitted_on_their_own_case() -> None:
    found = answers([_drawn(7_000_000 + n, 0.0, 0.0) for n in range(6)], UNCALIBRATED, opinions=1)
    decision = replace(UNCALIBRATED.one_opinion, **fitted_slopes(found, 1))

    lone = [replace(found[0], error_mm=34.0), *found[1:]]
    own = cross_fitted(lone, decision)

    assert own[0] > 0.9
    assert min(own[1:5]) < own[0]


def test_the_table_counts_the_right_ones_of_each_confidence() -> None:
    reported = [_answer(), _answer(), _answer(error_mm=34.0)]

    lines = reliability(reported, np.array([0.96, 0.97, 0.3]))

    assert any(line.startswith("| 0.95 to 0.98 | 2 | 0.965 | 100.0% |") for line in lines)
    assert any(line.startswith("| 0 to 0.5 | 1 | 0.300 | 0.0% |") for line in lines)
