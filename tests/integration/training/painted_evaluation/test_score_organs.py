"""Organs: overlap, what the field cuts, and sides that were mixed up."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pytest

from inference.domain.labelmap import FLARE22_ORGANS, LabelMap, Structure
from tests.unit.training.templates.tiny_torso import tiny_template
from training.painted_evaluation.score_organs import cut_labels, organ_scores
from training.synthetic.labels import ORGAN_LUT, Tissue
from training.templates.case import FieldKind, PaintedCase, make_painted_case

STRUCTURES: Mapping[int, Structure] = dict(
    enumerate((*FLARE22_ORGANS, Structure.PORTAL_SPLENIC_VEIN), start=1)
)
RIGHT, LEFT = 2, 13


@lru_cache(maxsize=1)
def whole() -> PaintedCase:
    case = make_painted_case(
        tiny_template(),
        7,
        spacing_mm=(5.0, 3.0, 3.0),
        shape_rc=(120, 150),
        field=FieldKind.WHOLE,
    )
    return replace(case, scan=replace(case.scan, field_radius_mm=1e6))


def answer(case: PaintedCase, labels: npt.NDArray[np.uint8]) -> LabelMap:
    return LabelMap(labels=labels, affine_lps=case.volume.affine_lps, structures=STRUCTURES)


def true_labels(case: PaintedCase) -> npt.NDArray[np.uint8]:
    return np.asarray(ORGAN_LUT[case.tissue_labels], np.uint8)


def test_the_truth_scores_one_and_swaps_nothing() -> None:
    case = whole()
    scores = organ_scores(case, answer(case, true_labels(case)))

    assert {"liver", "spleen", "kidney_right", "kidney_left", "stomach"} <= set(scores.organs)
    assert {organ.dice for organ in scores.organs.values()} == {1.0}
    assert scores.swapped == ()
    assert scores.side_doubts == ()
    liver = scores.organs["liver"]
    counted = (true_labels(case) == 1).sum() * case.volume.voxel_ml
    assert liver.true_ml == pytest.approx(counted)
    assert liver.found_ml == pytest.approx(counted)


def test_an_organ_that_is_not_found_scores_nothing() -> None:
    case = whole()
    labels = true_labels(case)
    labels[labels == 3] = 0
    spleen = organ_scores(case, answer(case, labels)).organs["spleen"]
    assert (spleen.dice, spleen.found_ml, spleen.is_flagged) == (0.0, 0.0, False)


def test_an_organ_that_swallows_another_has_the_dice_of_both() -> None:
    case = whole()
    labels = true_labels(case)
    liver_ml, spleen_ml = ((labels == n).sum() * case.volume.voxel_ml for n in (1, 3))
    labels[labels == 3] = 1
    liver = organ_scores(case, answer(case, labels)).organs["liver"]
    assert liver.dice == pytest.approx(2 * liver_ml / (2 * liver_ml + spleen_ml))
    assert liver.found_ml == pytest.approx(liver_ml + spleen_ml)


def test_swapped_kidneys_are_named_and_the_node_would_refuse_them() -> None:
    case = whole()
    labels = true_labels(case)
    right, left = labels == RIGHT, labels == LEFT
    labels[right], labels[left] = LEFT, RIGHT
    scores = organ_scores(case, answer(case, labels))

    assert set(scores.swapped) == {"kidney_right", "kidney_left"}
    assert len(scores.side_doubts) == 1


def test_a_field_through_the_liver_cuts_it_and_the_node_says_so() -> None:
    case = whole()
    labels = true_labels(case)
    slices = np.flatnonzero((labels == 1).any(axis=(1, 2)))
    middle = int(slices.mean())
    part = replace(
        case,
        tissue_labels=case.tissue_labels[:middle],
        volume=replace(case.volume, hu=case.volume.hu[:middle]),
        grid=replace(case.grid, shape=(middle, *case.grid.shape[1:])),
    )
    organs = organ_scores(part, answer(part, labels[:middle])).organs

    assert (organs["liver"].is_cut, organs["liver"].is_flagged) == (True, True)
    assert not organ_scores(case, answer(case, labels)).organs["liver"].is_cut


def test_the_round_field_of_view_cuts_too() -> None:
    case = whole()
    labels = true_labels(case)
    assert 1 not in cut_labels(labels, case)
    x = case.grid.axis_mm(2)[np.nonzero(labels == 1)[2]]
    narrow = replace(
        case.scan, field_radius_mm=float(np.abs(x).max()) - 20.0, field_centre_mm=(0.0, 0.0)
    )
    assert 1 in cut_labels(labels, replace(case, scan=narrow))


def test_an_organ_of_less_than_a_millilitre_is_not_scored() -> None:
    case = whole()
    fine = case.tissue_labels.copy()
    fine[ORGAN_LUT[fine] == 3] = Tissue.VISCERAL_FAT
    fine[60, 60, 60] = Tissue.SPLEEN
    small = replace(case, tissue_labels=fine)
    assert "spleen" not in organ_scores(small, answer(small, true_labels(small))).organs


def test_an_organ_that_is_not_in_the_field_is_invented() -> None:
    case = make_painted_case(
        tiny_template(),
        7,
        spacing_mm=(5.0, 3.0, 3.0),
        shape_rc=(120, 150),
        field=FieldKind.PELVIS,
    )
    labels = true_labels(case)
    assert not (labels == 1).any()
    labels[:, 40:60, 40:60] = 1

    scores = organ_scores(case, answer(case, labels))

    assert "liver" not in scores.organs
    assert scores.invented_ml["liver"] == pytest.approx((labels == 1).sum() * case.volume.voxel_ml)
    assert organ_scores(case, answer(case, true_labels(case))).invented_ml == {}
