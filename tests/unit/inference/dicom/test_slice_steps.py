"""Blocks of different steps and jitter are told apart from slices that are missing."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from inference.dicom.slice_steps import is_even, uneven_steps

Blocks = list[tuple[int, float]]

FINE_THEN_THICK: Blocks = [(12, 2.5), (10, 5.0)]
THREE_PARTS: Blocks = [(8, 5.0), (20, 1.25), (7, 5.0)]


def slabs(blocks: Blocks) -> tuple[list[float], list[float]]:
    """Positions and thicknesses of slices that touch each other."""
    thickness = [mm for count, mm in blocks for _ in range(count)]
    return list(np.cumsum(thickness) - np.array(thickness) / 2), thickness


def doubt(
    along_mm: list[float],
    thickness_mm: Sequence[float | None],
    numbers: list[int | None] | None = None,
) -> str:
    assert not is_even(np.array(along_mm))
    return uneven_steps(np.array(along_mm), thickness_mm, numbers or ()).doubt


def overlapping(steps_mm: list[float]) -> list[float]:
    return [0.0, *np.cumsum(steps_mm)]


@pytest.mark.parametrize("blocks", [FINE_THEN_THICK, THREE_PARTS, [(6, 2.5), (6, 5.0)]], ids=str)
def test_blocks_of_different_steps_lack_nothing(blocks: Blocks) -> None:
    along, thickness = slabs(blocks)

    found = uneven_steps(np.array(along), thickness, range(1, len(along) + 1))

    assert found.doubt == ""
    assert found.step_mm == pytest.approx(min(mm for _, mm in blocks))


@pytest.mark.parametrize("blocks", [FINE_THEN_THICK, THREE_PARTS], ids=str)
def test_any_single_slice_lost_inside_blocks_is_a_gap(blocks: Blocks) -> None:
    along, thickness = slabs(blocks)

    for lost in range(1, len(along) - 1):
        rest = [*along[:lost], *along[lost + 1 :]], [*thickness[:lost], *thickness[lost + 1 :]]
        assert doubt(*rest), lost


@pytest.mark.parametrize("count", [2, 3, 7])
def test_several_slices_lost_in_a_row_are_a_gap(count: int) -> None:
    along, thickness = slabs(FINE_THEN_THICK)

    for lost in range(1, len(along) - count):
        rest = (
            [*along[:lost], *along[lost + count :]],
            [
                *thickness[:lost],
                *thickness[lost + count :],
            ],
        )
        assert doubt(*rest), lost


@pytest.mark.parametrize("lost", range(1, 23))
def test_a_slice_lost_from_an_even_overlapping_series_is_a_gap(lost: int) -> None:
    along = [2.5 * k for k in range(24) if k != lost]

    assert doubt(along, [5.0] * 23)


@pytest.mark.parametrize("seed", range(20))
def test_slices_lost_at_random_are_a_gap(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kept = np.sort(rng.choice(np.arange(1, 79), 78 - 1 - seed, replace=False))
    along = [0.0, *(2.5 * kept), 2.5 * 79]

    assert doubt(along, [5.0] * len(along))


def test_every_other_slice_lost_is_a_gap_where_the_rest_does_not_cover_the_body() -> None:
    along = overlapping([2.5] * 10 + [5.0] * 6 + [2.5] * 10)

    assert "thick" in doubt(along, [2.5] * len(along))
    assert doubt(along, [5.0] * len(along)) == ""


def test_overlapping_slices_whose_numbers_skip_are_a_gap() -> None:
    along = overlapping([2.5] * 10 + [5.0] * 6 + [2.5] * 10)
    numbers = [round(mm / 2.5) + 1 for mm in along]

    assert "numbers" in doubt(along, [5.0] * len(along), list(numbers))
    assert "numbers" in doubt(along, [5.0] * len(along), [200 - n for n in numbers])


def test_numbers_that_do_not_follow_the_slices_prove_nothing() -> None:
    along, thickness = slabs(FINE_THEN_THICK)
    shuffled = list(np.random.default_rng(1).permutation(len(along)))

    assert doubt(along, [*thickness], shuffled) == ""
    assert doubt(along, [*thickness], [None, *range(2, len(along) + 1)]) == ""


def test_slices_that_do_not_state_their_thickness_may_leave_a_gap() -> None:
    along, thickness = slabs(FINE_THEN_THICK)

    assert "thickness" in doubt(along, [None, *thickness[1:]])
    assert "thickness" in doubt(along, [0.0, *thickness[1:]])


def test_a_step_between_blocks_may_be_narrower_but_not_wider() -> None:
    narrow = overlapping([4.0] * 7 + [1.1] + [7.0] * 6)
    wide = overlapping([4.0] * 7 + [8.0] + [7.0] * 6)

    assert doubt(narrow, [7.5] * 15) == ""
    assert "8.00 mm between blocks" in doubt(wide, [8.0] * 15)


def test_two_odd_steps_between_blocks_are_a_gap() -> None:
    along = overlapping([4.0] * 7 + [1.1, 1.9] + [7.0] * 6)

    assert "blocks" in doubt(along, [7.5] * 16)


def test_a_block_of_few_steps_is_a_gap() -> None:
    assert "blocks" in doubt(overlapping([2.5] * 10 + [5.0] * 4 + [2.5] * 10), [6.0] * 25)
    assert "blocks" in doubt(overlapping([2.5] * 10 + [5.0] * 4), [6.0] * 15)


def test_many_blocks_are_no_protocol() -> None:
    steps = ([2.5] * 5 + [5.0] * 5) * 4

    assert "8 blocks" in doubt(overlapping(steps), [6.0] * 41)


def test_jitter_is_no_gap_even_without_thickness() -> None:
    steps = list(2.5 * (1 + np.random.default_rng(5).uniform(-0.2, 0.2, 40)))
    along = overlapping(steps)

    found = uneven_steps(np.array(along), [None] * 41)

    assert found.doubt == ""
    assert found.step_mm == pytest.approx(np.median(steps))


@pytest.mark.parametrize("lost", range(2, 39))
def test_a_slice_lost_from_a_series_with_jitter_is_a_gap(lost: int) -> None:
    steps = list(2.5 * (1 + np.random.default_rng(5).uniform(-0.2, 0.2, 40)))
    along = overlapping(steps)
    del along[lost]

    assert doubt(along, [5.0] * 40)


def test_positions_rounded_to_a_tenth_of_a_millimetre_keep_their_blocks() -> None:
    along, thickness = slabs([(20, 1.25), (20, 2.5), (12, 5.0)])
    rounded = [round(mm, 1) for mm in along]
    assert len({round(b - a, 3) for a, b in pairwise(rounded)}) > 4

    assert doubt(rounded, [*thickness]) == ""


def test_even_steps_rounded_to_a_tenth_of_a_millimetre_are_even() -> None:
    rounded = [round(1.25 + 2.5 * k, 1) for k in range(41)]
    assert {round(b - a, 1) for a, b in pairwise(rounded)} == {2.4, 2.6}

    assert is_even(np.array(rounded))
