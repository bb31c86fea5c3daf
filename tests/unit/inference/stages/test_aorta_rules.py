"""What is known of any aorta: where it lies, where it ends, what its calcified wall encloses."""

import numpy as np

from inference.stages.aorta_rules import (
    ABOVE_MM,
    Mask,
    along_the_cava,
    ended_where_it_parts,
    within_its_calcified_wall,
)

PIXEL_MM = (2.0, 2.0)
CAVA_RC = np.array([20.0, 20.0])
BLOOD_HU, CALCIUM_HU, FAT_HU = 40, 500, -100


def vessel(sections: list[int]) -> Mask:
    """So many pixels in a row of each slice, from the lowest up."""
    mask = np.zeros((len(sections), 4, 40), np.bool_)
    for k, section in enumerate(sections):
        mask[k, 1, :section] = True
    return mask


def two_pieces() -> Mask:
    """One beside the vena cava, a larger one far in the flank."""
    mask = np.zeros((10, 40, 120), np.bool_)
    mask[7:, 20, 30:34] = True
    mask[:5, 10:30, 90:110] = True
    return mask


def test_a_piece_in_the_flank_is_no_aorta() -> None:
    kept = along_the_cava(two_pieces(), CAVA_RC, PIXEL_MM)

    assert kept[7:, 20, 30:34].all()
    assert kept.sum() == 12


def test_how_far_aside_a_piece_lies_is_told_in_millimetres() -> None:
    kept = along_the_cava(two_pieces(), CAVA_RC, (1.0, 1.0))

    assert np.array_equal(kept, two_pieces())


def test_where_no_piece_is_near_the_vena_cava_may_be_wrong() -> None:
    mask = two_pieces()
    mask[7:] = False

    assert np.array_equal(along_the_cava(mask, CAVA_RC, PIXEL_MM), mask)


def test_without_a_vena_cava_every_piece_stays() -> None:
    assert np.array_equal(along_the_cava(two_pieces(), None, PIXEL_MM), two_pieces())


def test_one_iliac_artery_below_the_aorta_is_left_out() -> None:
    ended = ended_where_it_parts(vessel([6, 7, 8, 20, 20, 20, 20]), 5.0)

    assert ended.any(axis=(1, 2)).tolist() == [False] * 3 + [True] * 4


def test_an_aorta_that_the_field_cuts_keeps_its_lowest_slice() -> None:
    mask = vessel([20, 20, 20, 20])

    assert np.array_equal(ended_where_it_parts(mask, 5.0), mask)


def test_a_narrow_part_amid_the_aorta_stays() -> None:
    mask = vessel([20, 20, 6, 20, 20])

    assert np.array_equal(ended_where_it_parts(mask, 5.0), mask)


def test_what_lies_farther_above_does_not_count() -> None:
    """Below an aneurysm the aorta has its usual width."""
    slice_mm = ABOVE_MM / 3
    mask = vessel([10, 10, 10, 10, 39, 39, 39, 39])

    assert np.array_equal(ended_where_it_parts(mask, slice_mm), mask)


def test_slices_in_which_it_was_missed_are_no_measure_of_its_width() -> None:
    ended = ended_where_it_parts(vessel([6, 0, 0, 0, 20, 20]), 5.0)

    assert ended.any(axis=(1, 2)).tolist() == [False] * 4 + [True] * 2


def ring(*, is_calcified: bool) -> tuple[Mask, np.ndarray]:
    """A wall that was found, blood behind it that was not; fat around."""
    rows, columns = np.indices((40, 40))
    distance = np.hypot(rows - 20, columns - 20)
    wall, disc = (distance <= 9) & (distance >= 6), distance <= 9
    hu = np.full((1, 40, 40), FAT_HU, np.int16)
    hu[0][disc] = BLOOD_HU
    if is_calcified:
        hu[0][wall & (columns < 20)] = CALCIUM_HU
    return wall[None], hu


def test_blood_behind_a_calcified_wall_is_aorta() -> None:
    wall, hu = ring(is_calcified=True)

    filled = within_its_calcified_wall(wall, hu)

    assert filled[0, 20, 20]
    assert filled[0, 14:27, 14:27].all()
    assert not filled[hu == FAT_HU].any()


def test_without_calcium_a_section_stays_as_it_was_found() -> None:
    wall, hu = ring(is_calcified=False)

    assert np.array_equal(within_its_calcified_wall(wall, hu), wall)


def test_fat_within_the_wall_is_not_filled() -> None:
    wall, hu = ring(is_calcified=True)
    hu[0, 17:24, 17:24] = FAT_HU

    assert not within_its_calcified_wall(wall, hu)[0, 20, 20]


def test_a_section_too_small_for_a_hull_stays() -> None:
    mask = np.zeros((2, 10, 10), np.bool_)
    mask[0, 4, 2:6] = True
    hu = np.where(mask, CALCIUM_HU, FAT_HU).astype(np.int16)
    hu[0, 4, 3:6] = BLOOD_HU

    assert np.array_equal(within_its_calcified_wall(mask, hu), mask)


def test_nothing_found_stays_nothing() -> None:
    nothing = np.zeros((3, 5, 5), np.bool_)

    assert not within_its_calcified_wall(nothing, np.zeros((3, 5, 5), np.int16)).any()
    assert not ended_where_it_parts(nothing, 5.0).any()
    assert not along_the_cava(nothing, CAVA_RC, PIXEL_MM).any()
