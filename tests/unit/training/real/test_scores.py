"""What an answer is compared with, what is wanted of it, and agreement over cases."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from inference.domain.errors import LevelNotFound
from inference.domain.labelmap import Structure
from inference.domain.level_outcome import LevelOutcome
from inference.domain.measurement import Level, OrganResult, Patient, Report
from tests.unit.training.real.phantom import l3_z_mm, masks, models, volume
from training.label_names import plain
from training.real.agreement import Agreement, agreements, bland_altman_svg
from training.real.answer import Answer, Outcome, answer_of, outcome_of
from training.real.case import NOTHING_KNOWN, RealCase
from training.real.checks import Check, checks_of
from training.real.known_cases import KnownCase, known_cases
from training.real.reference import Mask, Reference
from training.real.score import Score, Scored, scored


def reader(mask: Mask) -> Callable[[], Mask]:
    return lambda: mask


REFERENCE = Reference(readers={plain(name): reader(mask) for name, mask in masks().items()})


def case() -> RealCase:
    return RealCase(name="case-001", volume=volume(), reference=REFERENCE, l3_z_mm=l3_z_mm())


def answer(
    outcome: Outcome = Outcome.FOUND,
    z_mm: float | None = None,
    organs: tuple[OrganResult, ...] = (),
) -> Answer:
    return Answer(
        outcome=outcome,
        z_mm=z_mm,
        areas_cm2={},
        tissues=None,
        organs=None,
        organ_results=organs,
    )


def checked(outcome: Outcome, error_mm: float | None, *, absent: bool = False) -> Check:
    real = RealCase(name="x", volume=volume(), l3_z_mm=None if absent else 0.0, is_l3_absent=absent)
    z_mm = None if error_mm is None else error_mm
    (check,) = checks_of(real, answer(outcome, z_mm), Scored(level_error_mm=error_mm))
    return check


def test_the_phantom_is_scored_against_its_masks() -> None:
    found = answer_of(volume(), NOTHING_KNOWN, models())
    result = scored(case(), found, models())
    scores = {score.label: score for score in result.scores}

    assert found.outcome is Outcome.FOUND
    assert result.level_error_mm == pytest.approx(0, abs=2.0)
    assert result.level_error_slices in (-1, 0, 1)
    assert (scores["skeletal muscle"].dice or 0) > 0.95
    assert scores["liver"].reference == pytest.approx(36 * 12 * 18 * 0.048)
    assert (scores["liver"].dice or 0) > 0.9
    area = scores["skeletal muscle, as reported at L3"]
    assert area.unit == "cm²"
    assert area.found == pytest.approx(area.reference, rel=0.03)


def test_muscle_is_compared_again_without_what_lies_at_a_rib() -> None:
    rib = np.zeros(volume().shape, np.bool_)
    rib[:, 14:16, 16:30] = True
    reference = Reference(readers={"rib_left_9": lambda: rib}).beside(REFERENCE)
    real = RealCase(name="x", volume=volume(), reference=reference)

    found = answer_of(volume(), NOTHING_KNOWN, models(with_organs=False))
    scores = {s.label: s for s in scored(real, found, models(with_organs=False)).scores}

    whole, apart = scores["skeletal muscle"], scores["skeletal muscle, away from ribs (10 mm)"]
    near = (masks()["skeletal_muscle"] & ~far_from(rib)).sum() * volume().voxel_ml
    assert apart.reference == pytest.approx(whole.reference - near)
    assert near > 0


def far_from(rib: np.ndarray) -> np.ndarray:
    points = np.argwhere(rib) * volume().spacing_mm
    index = np.argwhere(masks()["skeletal_muscle"])
    far = np.ones(rib.shape, np.bool_)
    for k, i, j in index[index[:, 0] == 0]:
        distance = np.linalg.norm(points - np.array([k, i, j]) * volume().spacing_mm, axis=1).min()
        far[:, i, j] = distance > 10
    return far


def test_a_reference_counts_only_within_the_window_of_its_tissue() -> None:
    everything = Reference(readers={"skeletal_muscle": lambda: volume().hu > -2000})
    real = RealCase(name="x", volume=volume(), reference=everything)
    found = answer_of(volume(), NOTHING_KNOWN, models(with_organs=False))

    (score,) = scored(real, found, models(with_organs=False)).scores

    couch_ml = volume().shape[0] * 60 * volume().voxel_ml
    muscle_ml = masks()["skeletal_muscle"].sum() * volume().voxel_ml
    assert score.reference == pytest.approx(muscle_ml + couch_ml)


def test_a_doubted_level_is_told_from_a_plain_one() -> None:
    level = Level(slice_index=1, z_mm=3.0, confidence=0.5, extent_mm=(0, 6))
    plain_report = Report(patient=Patient(), level=level)
    doubted = replace(
        plain_report, level_outcome=LevelOutcome.UNCERTAIN, level_reasons=("near the edge",)
    )

    assert outcome_of(plain_report) == (Outcome.FOUND, "")
    assert outcome_of(doubted)[0] is Outcome.UNCERTAIN
    assert "near the edge" in outcome_of(doubted)[1]


def test_without_a_level_organs_are_still_looked_at() -> None:
    without = volume()
    without.hu[without.hu > 600] = 50

    found = answer_of(without, NOTHING_KNOWN, models())

    assert found.outcome is Outcome.ABSENT
    assert found.organ(Structure.LIVER) is not None
    assert any("not in the field" in flag for flag in found.flags)


def test_without_a_level_and_organs_nothing_is_delivered() -> None:
    empty = volume()
    empty.hu[empty.hu > 150] = 50

    found = answer_of(empty, NOTHING_KNOWN, models())

    assert found.outcome is Outcome.ABSENT
    assert found.organs is None


@pytest.mark.parametrize(
    ("outcome", "error_mm", "holds"),
    [
        (Outcome.FOUND, 9.0, True),
        (Outcome.FOUND, -32.0, False),
        (Outcome.UNCERTAIN, -32.0, True),
        (Outcome.ABSENT, None, False),
    ],
)
def test_a_level_is_near_or_doubted(outcome: Outcome, error_mm: float | None, holds: bool) -> None:
    assert checked(outcome, error_mm).holds is holds


def test_where_there_is_no_l3_even_a_doubtful_one_is_wrong() -> None:
    assert checked(Outcome.ABSENT, None, absent=True).holds
    assert not checked(Outcome.UNCERTAIN, 3.0, absent=True).holds


def test_organs_of_public_cases_are_held_to_their_limits() -> None:
    known = KnownCase(
        says="",
        volume_ml={Structure.LIVER: (200, 1500)},
        cut=(Structure.LIVER, Structure.SPLEEN),
        least_dice={Structure.AORTA: 0.85},
    )
    liver = OrganResult(
        structure=Structure.LIVER,
        volume_ml=100.0,
        mean_hu=None,
        sd_hu=None,
        box_lps_mm=((0, 0, 0), (1, 1, 1)),
        is_incomplete=False,
    )
    aorta = Score(structure=Structure.AORTA, dice=0.9, found=1, reference=1)
    real = RealCase(name="x", volume=volume(), known=known)

    checks = list(checks_of(real, answer(organs=(liver,)), Scored(scores=(aorta,))))

    assert [check.holds for check in checks] == [True, False, False, True]


def test_a_rejection_is_held_to_its_code() -> None:
    known = KnownCase(says="", rejection="gantry-tilt")
    other = LevelNotFound(found="", wanted="", advice="")
    checks = checks_of(RealCase(name="x", volume=None, known=known, rejection=other), None, None)

    assert [check.holds for check in checks] == [False]


def test_the_table_of_public_cases_can_be_read() -> None:
    assert known_cases()["example_ct"].least_dice[Structure.LIVER] == 0.85
    assert not known_cases()["kits_liver_slab"].may_show


def test_bias_and_limits_of_agreement() -> None:
    one = Agreement(label="liver", unit="ml", pairs=((11.0, 10.0), (13.0, 10.0), (12.0, 10.0)))

    assert one.bias == pytest.approx(2.0)
    assert one.limits == pytest.approx((2 - 1.96, 2 + 1.96))
    assert Agreement(label="x", unit="ml", pairs=((1.0, 2.0),)).limits is None


def test_agreement_is_kept_apart_by_structure_part_and_unit() -> None:
    volume_score = Score(structure=Structure.LIVER, dice=1.0, found=1, reference=2)
    area = Score(
        structure=Structure.LIVER, dice=None, found=3, reference=4, unit="cm²", quantity="area"
    )

    found = agreements([volume_score, area, volume_score])

    assert [(one.label, one.unit, len(one.pairs)) for one in found] == [
        ("liver: volume", "ml", 2),
        ("liver: area", "cm²", 1),
    ]


def test_every_case_is_a_point_of_the_drawing() -> None:
    one = Agreement(label="fat < skin", unit="cm²", pairs=((1.0, 2.0), (3.0, 3.0), (5.0, 4.0)))

    drawing = bland_altman_svg([one, one])

    assert drawing.count("<circle") == 6
    assert drawing.count("bias") == 0
    assert "fat &lt; skin" in drawing
