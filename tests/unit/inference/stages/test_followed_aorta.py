"""An aorta is followed beyond where it was found: a tube in fat, at either end, and nothing that is no tube."""

import numpy as np
import numpy.typing as npt
import pytest

from inference.stages.aorta_rules import Mask
from inference.stages.followed_aorta import FARTHEST_MM, FAT_HU, MOVES, followed

SPACING_MM = (3.0, 1.0, 1.0)
PLAIN_HU, BRIGHT_HU, MUSCLE_HU = 40.0, 250.0, 55.0
SLICES, SIZE, RADIUS = 40, 100, 11.0
FOUND = slice(20, 30)
"""Slices of it that the networks have."""

Scan = npt.NDArray[np.float32]


def disc(row: float, column: float, radius: float, size: int = SIZE) -> Mask:
    rows, columns = np.ogrid[:size, :size]
    inside: Mask = np.hypot(rows - row, columns - column) <= radius
    return inside


def tube(slices: int = SLICES) -> Mask:
    return np.stack([disc(50, 50, RADIUS)] * slices)


def scan_of(vessel: Mask, blood_hu: float = PLAIN_HU) -> Scan:
    noise = np.random.default_rng(1).normal(0, 8, vessel.shape)
    return (np.where(vessel, blood_hu, FAT_HU) + noise).astype(np.float32)


def part_of(vessel: Mask, slices: slice = FOUND) -> Mask:
    found = np.zeros_like(vessel)
    found[slices] = vessel[slices]
    return found


def longer(found: Mask, hu: Scan, taken: Mask | None = None) -> Mask:
    free = ~found if taken is None else ~found & ~taken
    return followed(found, hu, free, SPACING_MM)


def slices_of(mask: Mask) -> tuple[int, int]:
    """The lowest and the highest."""
    used = np.flatnonzero(mask.any(axis=(1, 2)))
    return int(used[0]), int(used[-1])


@pytest.mark.parametrize(("blood_hu", "share"), [(PLAIN_HU, 0.95), (BRIGHT_HU, 0.8)])
def test_a_tube_in_fat_is_followed_both_ways(blood_hu: float, share: float) -> None:
    """Without the blurred rim of bright blood, which is as bright as muscle."""
    vessel = tube()

    aorta = longer(part_of(vessel), scan_of(vessel, blood_hu))

    assert slices_of(aorta) == (0, SLICES - 1)
    assert (aorta & vessel).sum() > share * vessel.sum()
    assert (aorta & ~vessel).sum() < 0.05 * vessel.sum()


def test_poor_last_sections_are_made_good() -> None:
    vessel = tube()
    found = part_of(vessel)
    found[20:22] &= disc(50, 45, 4)

    aorta = longer(found, scan_of(vessel))

    assert aorta[20:22].sum() > 0.95 * vessel[20:22].sum()


def test_it_ends_where_it_parts() -> None:
    vessel = tube()
    parted = disc(50, 42, 5) | disc(50, 58, 5)
    vessel[:10] = parted

    aorta = longer(part_of(vessel), scan_of(vessel))

    assert slices_of(aorta) == (10, SLICES - 1)


def test_it_does_not_run_into_muscle() -> None:
    vessel = tube()
    muscle = np.zeros_like(vessel)
    muscle[:10, 40:, 20:] = True
    hu = scan_of(vessel)
    hu[muscle] = MUSCLE_HU

    aorta = longer(part_of(vessel & ~muscle), hu)

    assert slices_of(aorta)[0] >= 8
    assert aorta[:10].sum() < 2 * vessel[0].sum()


def test_beside_tissue_as_bright_as_blood_it_goes_on_a_little_and_ends() -> None:
    """What it is followed into grows by the few millimetres a section may move, until it is too large for a section."""
    vessel = tube()
    spine = np.stack([disc(75, 50, 15)] * SLICES)
    hu = scan_of(vessel | spine)

    aorta = longer(part_of(vessel), hu)
    lowest, highest = slices_of(aorta)

    assert 10 <= lowest <= 17
    assert 32 <= highest <= 39
    assert (aorta & spine & ~vessel).sum() < 0.1 * aorta.sum()


def test_what_is_something_else_already_is_left_alone() -> None:
    vessel = tube()
    other = part_of(vessel, slice(0, 15))

    aorta = longer(part_of(vessel), scan_of(vessel), taken=other)

    assert slices_of(aorta) == (15, SLICES - 1)


def test_bright_blood_is_not_followed_into_plain_tissue() -> None:
    """Muscle is well above what is half fat and half such blood."""
    vessel = tube()
    hu = scan_of(vessel, 150.0)
    hu[:10][vessel[:10]] = MUSCLE_HU

    assert slices_of(longer(part_of(vessel), hu))[0] == 10


@pytest.mark.parametrize("blood_hu", [PLAIN_HU, BRIGHT_HU])
def test_tissue_that_stretches_far_aside_is_no_section(blood_hu: float) -> None:
    """As an oval of a third more than the usual area that shares half of the last section, and leaves the window."""
    vessel = tube()
    rows, columns = np.ogrid[:SIZE, :SIZE]
    vessel[:15] = np.hypot((rows - 50) / 9, (columns - 69) / 20) <= 1

    assert slices_of(longer(part_of(vessel), scan_of(vessel, blood_hu)))[0] == 15


def test_a_leaning_vessel_is_followed_and_a_leap_is_not() -> None:
    shift = MOVES * SPACING_MM[0]
    leaning = np.stack([disc(50, 30 + 0.5 * shift * k, RADIUS) for k in range(SLICES)])
    leaping = tube()
    leaping[:15] = disc(50, 50 + 1.6 * RADIUS, RADIUS)

    followed_down = slices_of(longer(part_of(leaning), scan_of(leaning)))[0]
    stopped = slices_of(longer(part_of(leaping), scan_of(leaping)))[0]

    assert (followed_down, stopped) == (0, 15)


def test_too_little_of_it_is_not_followed() -> None:
    vessel = tube()
    found = part_of(vessel, slice(20, 22))

    assert np.array_equal(longer(found, scan_of(vessel)), found)
    nothing = np.zeros_like(vessel)
    assert not longer(nothing, scan_of(vessel)).any()


def test_thin_slivers_have_no_blood_to_know() -> None:
    vessel = np.stack([disc(50, 50, 2)] * SLICES)
    found = part_of(vessel, slice(20, 23))

    assert np.array_equal(longer(found, scan_of(vessel)), found)


def test_it_is_not_followed_for_ever() -> None:
    vessel = tube(slices=120)

    lowest, _ = slices_of(longer(part_of(vessel, slice(100, 120)), scan_of(vessel)))

    assert lowest == 100 - round(FARTHEST_MM / SPACING_MM[0])


def test_a_lump_in_its_way_is_no_section_of_it() -> None:
    vessel = tube()
    lump = np.stack([disc(50, 50, 1.6 * RADIUS)] * 10)
    vessel[:10] = lump
    aorta = longer(part_of(vessel), scan_of(vessel))

    assert slices_of(aorta)[0] >= 0
    assert aorta[:10].sum() < 0.8 * lump.sum()
