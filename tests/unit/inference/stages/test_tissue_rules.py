"""Rules on the tissue network's answer: no specks, no muscle within the cavity, nothing outside the trunk."""

import numpy as np

from inference.stages.tissue_rules import (
    CAVITY_CM2,
    ISLAND_CM2,
    MUSCLE,
    SUBCUTANEOUS,
    VISCERAL,
    Plane,
    tidied,
)
from tests.unit.inference.stages.drawn_slices import (
    HALF_MM,
    MIDDLE,
    STEP_MM,
    drawn_trunk,
    ellipse,
    trunk,
)


def answer() -> Plane:
    """What a perfect network says of the drawn trunk."""
    plane = np.zeros(trunk().shape, np.uint8)
    for shrink, compartment in ((0, SUBCUTANEOUS), (20, MUSCLE), (35, VISCERAL)):
        plane[ellipse(MIDDLE, (HALF_MM[0] - shrink, HALF_MM[1] - shrink))] = compartment
    for column in (200, 280):
        plane[ellipse((190, column), (18, 16))] = MUSCLE
    plane[ellipse((195, 240), (18, 22))] = 0
    return plane


def after(plane: Plane) -> Plane:
    return tidied(plane, trunk(), drawn_trunk(), STEP_MM)


def test_a_perfect_answer_is_left_as_it_is() -> None:
    assert (after(answer()) == answer()).all()


def test_nothing_outside_the_trunk_counts() -> None:
    plane = answer()
    plane[ellipse((150, 440), (30, 30))] = MUSCLE

    assert (after(plane) == answer()).all()


def test_a_speck_becomes_what_lies_around_it() -> None:
    plane = answer()
    plane[ellipse((52, 240), (4, 4))] = MUSCLE
    plane[ellipse((66, 240), (2, 2))] = VISCERAL

    assert (after(plane) == answer()).all()


def test_islands_of_subcutaneous_fat_stay_however_small() -> None:
    plane = answer()
    plane[ellipse((150, 240), (2, 2))] = SUBCUTANEOUS

    assert (after(plane) == plane).all()


def test_an_island_that_is_large_enough_stays() -> None:
    plane = answer()
    radius = np.sqrt(ISLAND_CM2[MUSCLE] * 100 / np.pi) * 1.1
    plane[ellipse((53, 240), (radius, radius))] = MUSCLE

    assert (after(plane) == plane).all()


def test_muscle_within_visceral_fat_is_none() -> None:
    plane = answer()
    radius = np.sqrt(CAVITY_CM2 * 100 / np.pi) * 0.9
    loop = ellipse((110, 240), (radius, radius))
    plane[loop] = MUSCLE

    found = after(plane)

    assert not found[loop].any()
    assert (found[~loop] == answer()[~loop]).all()


def test_a_wasted_psoas_lies_by_its_vertebra_and_stays() -> None:
    plane = answer()
    plane[ellipse((190, 200), (18, 16))] = VISCERAL
    wasted = ellipse((190, 209), (10, 9))
    plane[wasted] = MUSCLE

    assert (after(plane)[wasted] == MUSCLE).all()


def test_a_kidney_within_visceral_fat_is_no_muscle() -> None:
    plane = answer()
    kidney = ellipse((150, 160), (24, 20))
    plane[kidney] = MUSCLE

    found = after(plane)

    assert not found[kidney].any()
    assert (found[~kidney] == answer()[~kidney]).all()


def test_a_larger_muscle_that_leans_on_something_else_than_fat_stays() -> None:
    plane = answer()
    radius = np.sqrt(CAVITY_CM2 * 100 / np.pi) * 1.1
    muscle, bowel = ellipse((110, 240), (radius, radius)), ellipse((110, 240), (radius, 60))
    plane[bowel & (np.indices(plane.shape)[0] > 110)] = 0
    plane[muscle] = MUSCLE

    assert (after(plane) == plane).all()


def test_a_wasted_rectus_touches_subcutaneous_fat_and_stays() -> None:
    plane = answer()
    plane[ellipse(MIDDLE, (90, 140)) & (np.indices(plane.shape)[0] < 90)] = VISCERAL
    rectus = ellipse((66, 240), (6, 16))
    plane[rectus] = MUSCLE

    assert (after(plane)[rectus] == MUSCLE).all()
