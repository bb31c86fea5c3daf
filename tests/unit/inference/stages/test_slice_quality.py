"""What is wrong with the slice at L3 becomes a sentence: cut, arms, couch, metal, noise; what is right says nothing."""

import numpy as np
import pytest
from scipy import ndimage

from inference.stages.slice_quality import NOISE_HU, cut_share, noise_hu, slice_flags
from inference.stages.trunk import trunk_in
from tests.unit.inference.stages.drawn_slices import (
    AIR,
    MIDDLE,
    SHAPE,
    STEP_MM,
    Hu,
    add_arm,
    add_couch,
    drawn_trunk,
    ellipse,
    trunk,
)


def noisy(hu: Hu, sd: float, blur: float = 0.6) -> Hu:
    """With grains as of a usual kernel, and air no darker than the reader lets it be."""
    grain = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=hu.shape), blur)
    result: Hu = np.clip(hu + grain * sd / grain.std(), -1024, 3071).astype(np.int16)
    return result


def round_field(hu: Hu, radius: float) -> Hu:
    """As scanners fill it in around."""
    result = hu.copy()
    result[~ellipse(MIDDLE, (radius, radius))] = -1024
    return result


def flags(hu: Hu) -> list[str]:
    return slice_flags(hu, [hu], STEP_MM)


def test_a_good_slice_says_nothing() -> None:
    assert flags(noisy(drawn_trunk(), 15.0)) == []


@pytest.mark.parametrize("background", [AIR, -1024])
def test_a_background_without_noise_is_no_edge_of_the_field(background: int) -> None:
    hu = drawn_trunk()
    hu[~trunk()] = background

    assert flags(hu) == []


def test_a_round_field_around_the_whole_body_says_nothing() -> None:
    assert flags(round_field(noisy(drawn_trunk(), 15.0), 168.0)) == []


def test_a_round_field_that_cuts_the_body_is_told_with_its_share() -> None:
    hu = round_field(noisy(drawn_trunk(), 15.0), 140.0)

    length_mm, share = cut_share(hu, trunk_in(hu, STEP_MM).mask, STEP_MM)

    outline = trunk() & ellipse(MIDDLE, (140.0, 140.0))
    edge = outline & ~ndimage.binary_erosion(outline)
    rim = edge & ~ndimage.binary_erosion(ellipse(MIDDLE, (140.0, 140.0)), iterations=2)
    assert share == pytest.approx(rim.sum() / edge.sum(), abs=0.03)
    assert length_mm == pytest.approx(rim.sum(), rel=0.15)
    assert flags(hu) == [
        f"body clipped by the field of view at L3, {100 * share:.0f} % of its outline: areas are too small"
    ]


def test_the_edge_of_the_picture_cuts_as_well() -> None:
    (flag,) = flags(noisy(drawn_trunk()[:, 100:], 15.0))

    assert flag.startswith("body clipped by the field of view at L3, ")


def test_a_body_that_ends_one_pixel_before_the_picture_is_whole() -> None:
    hu = drawn_trunk()
    rows, columns = np.nonzero(trunk())
    box = slice(rows.min() - 1, rows.max() + 2), slice(columns.min() - 1, columns.max() + 2)

    assert flags(hu[box]) == []
    assert flags(hu[rows.min() + 1 :])[0].startswith("body clipped by the field of view at L3, ")


def test_an_arm_is_told_beside_and_touching() -> None:
    beside, touching = drawn_trunk(), drawn_trunk()
    add_arm(beside, 8.0)
    add_arm(touching, -4.0)

    assert flags(noisy(beside[:, :476], 10.0))[0].startswith("an arm lies beside")
    assert any(flag.startswith("an arm touches") for flag in flags(noisy(touching, 10.0)))


def test_a_couch_against_the_skin_is_told() -> None:
    hu = drawn_trunk()
    add_couch(hu, -6.0)

    assert flags(hu) == [
        "couch or bedding lies against the body at L3: left out, fat there may be off"
    ]


def test_metal_is_told_also_in_the_slices_around() -> None:
    hu, other = drawn_trunk(), drawn_trunk()
    other[ellipse((195, 240), (5, 5))] = 3000

    assert slice_flags(hu, [hu, other], STEP_MM) == [
        f"metal near L3, {(other > 2000).sum() / 100:.1f} cm² above 2000 HU: streaks may shift areas and densities"
    ]


@pytest.mark.parametrize("sd", [10.0, 30.0, 60.0])
def test_noise_is_measured_within_a_fifth(sd: float) -> None:
    hu = noisy(drawn_trunk(), sd)

    assert noise_hu(hu, trunk(), STEP_MM) == pytest.approx(sd, rel=0.2)


def test_only_very_noisy_images_are_told() -> None:
    assert flags(noisy(drawn_trunk(), NOISE_HU * 0.75)) == []
    (flag,) = flags(noisy(drawn_trunk(), NOISE_HU * 1.5))
    assert flag.startswith("very noisy images at L3, SD ")


def test_without_a_trunk_there_is_no_noise() -> None:
    nothing = np.full(SHAPE, AIR, np.int16)

    assert noise_hu(nothing, np.zeros(SHAPE, bool), STEP_MM) == 0.0
    assert flags(nothing) == []


def test_the_noise_that_is_told_is_that_which_costs_area() -> None:
    """One voxel in twenty of fat and one in forty of muscle, of a normal distribution, as the limit's text says."""
    from statistics import NormalDist

    fat, muscle = NormalDist(-105, NOISE_HU), NormalDist(55, NOISE_HU)

    assert 1 - (fat.cdf(-30) - fat.cdf(-190)) == pytest.approx(1 / 20, abs=0.005)
    assert 1 - (muscle.cdf(150) - muscle.cdf(-29)) == pytest.approx(1 / 40, abs=0.005)
