"""The trunk of a slice: what lies beside it is no part of it, whether it touches or not."""

import numpy as np
import pytest

from inference.stages.trunk import opened, trunk_in
from tests.unit.inference.stages.drawn_slices import (
    AIR,
    FAT,
    STEP_MM,
    add_arm,
    add_couch,
    drawn_trunk,
    ellipse,
    trunk,
)

TIPS_PX = 8
"""Single pixels at the four tips of a drawn ellipse."""


def wrong_pixels(mask: np.ndarray) -> int:
    return int((mask != trunk()).sum())


def test_alone_it_is_itself() -> None:
    found = trunk_in(drawn_trunk(), STEP_MM)

    assert wrong_pixels(found.mask) <= TIPS_PX
    assert not found.arms.any()
    assert not found.is_touched_by_arm
    assert not found.is_touched_by_couch


def test_gas_in_it_is_a_part_of_it() -> None:
    hu = drawn_trunk()
    hu[ellipse((110, 240), (20, 40))] = AIR

    assert wrong_pixels(trunk_in(hu, STEP_MM).mask) <= TIPS_PX


def test_an_arm_beside_it_is_no_part_of_it() -> None:
    hu = drawn_trunk()
    arm = add_arm(hu, gap_mm=8)

    found = trunk_in(hu, STEP_MM)

    assert wrong_pixels(found.mask) <= TIPS_PX
    assert (found.arms == arm).all()
    assert not found.is_touched_by_arm


@pytest.mark.parametrize("gap_mm", [-2, -4, -8])
def test_an_arm_pressed_into_it_is_left_out_and_told(gap_mm: float) -> None:
    hu = drawn_trunk()
    arm = add_arm(hu, gap_mm)

    found = trunk_in(hu, STEP_MM)

    assert found.is_touched_by_arm
    # The cut runs half way between both: of an arm of 50 cm² and more a few cm² are taken for the trunk.
    assert (found.mask & arm).sum() < 500
    assert (trunk() & ~found.mask).sum() < 500


def test_a_fold_of_the_belly_has_no_bone_and_stays() -> None:
    hu = drawn_trunk()
    fold = add_arm(hu, gap_mm=-4)
    hu[fold] = FAT

    found = trunk_in(hu, STEP_MM)

    assert not found.arms.any()
    assert (found.mask & fold).sum() > 0.95 * fold.sum()


@pytest.mark.parametrize(("gap_mm", "is_touched"), [(-6, True), (8, False)])
def test_a_couch_is_no_part_of_it_and_its_touch_is_told(gap_mm: float, is_touched: bool) -> None:
    hu = drawn_trunk()
    add_couch(hu, gap_mm)

    found = trunk_in(hu, STEP_MM)

    assert wrong_pixels(found.mask) < 60
    assert found.is_touched_by_couch == is_touched


def test_where_the_picture_ends_the_trunk_goes_on() -> None:
    hu = drawn_trunk()[:, 100:]

    assert (trunk_in(hu, STEP_MM).mask != trunk()[:, 100:]).sum() <= TIPS_PX


def test_of_air_alone_there_is_no_trunk() -> None:
    assert not trunk_in(np.full((30, 40), AIR, np.int16), STEP_MM).mask.any()


def test_the_disc_is_measured_in_mm() -> None:
    bar = np.zeros((60, 60), bool)
    bar[20:30] = True

    assert opened(bar, 4.0, (1.0, 1.0)).any()
    assert not opened(bar, 4.0, (0.5, 0.5)).any()
