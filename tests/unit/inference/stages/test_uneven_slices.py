"""Slices in blocks of different steps: seen by networks as an even series, measured each by its own height."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from inference.domain.analysis_profile import HuWindows
from inference.domain.labelmap import TISSUES, LabelMap, Structure
from inference.domain.measurement import Level, Quantity
from inference.domain.volume import (
    Volume,
    affine_from_axes,
    axis_flips,
    canonical,
    flip,
    position_mm,
    slice_bounds,
)
from inference.stages.grids import resample
from inference.stages.measure import (
    measure_body_composition,
    measure_organs,
    slab_weights,
    value_of,
)
from inference.stages.organ_labels import Look, labels_from_logits, organ_map

AXES = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
UPSIDE_DOWN = ((0.0, 0.0, -1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
FINE_MM, THICK_MM = 2.5, 5.0
FIRST_Z_MM = 100.0
MUSCLE = Structure.SKELETAL_MUSCLE


def blocks(
    fine: int = 16, thick: int = 12, *, thick_first: bool = False
) -> npt.NDArray[np.float64]:
    """Heights in mm of the centres of slices that touch each other, the first at 0."""
    thickness = np.repeat([FINE_MM, THICK_MM], [fine, thick])
    if thick_first:
        thickness = thickness[::-1]
    centres = np.cumsum(thickness) - thickness / 2
    return np.asarray(centres - centres[0])


def empty(
    heights_mm: npt.NDArray[np.float64], axes: npt.ArrayLike = AXES, pixels: int = 100
) -> Volume:
    return Volume(
        hu=np.zeros((len(heights_mm), pixels, pixels), np.int16),
        affine_lps=affine_from_axes((0.0, 0.0, FIRST_Z_MM), axes, (FINE_MM, 1.0, 1.0)),
        slice_places=heights_mm / FINE_MM,
    )


def ball(volume: Volume, centre_mm: tuple[float, float, float], radius_mm: float) -> np.ndarray:
    k, i, j = np.meshgrid(volume.places, *(np.arange(n) for n in volume.shape[1:]), indexing="ij")
    offset = position_mm(volume.affine_lps, np.stack((k, i, j), axis=-1)) - centre_mm
    return np.asarray(np.linalg.norm(offset, axis=-1) <= radius_mm)


@pytest.mark.parametrize("thick_first", [False, True])
@pytest.mark.parametrize("z_mm", [25.0, 40.0, 60.0])
def test_the_volume_of_a_ball_is_that_of_its_formula(z_mm: float, *, thick_first: bool) -> None:
    volume = empty(blocks(thick_first=thick_first))
    radius = 24.0
    mask = ball(volume, (50.0, 50.0, FIRST_Z_MM + z_mm), radius)
    truth_ml = 4 / 3 * np.pi * radius**3 / 1000
    labels = LabelMap(
        labels=mask.astype(np.uint8),
        affine_lps=volume.affine_lps,
        structures={1: Structure.SPLEEN},
        slice_places=volume.slice_places,
    )

    (found,) = measure_organs(volume, labels)

    assert found.volume_ml == pytest.approx(truth_ml, rel=0.02)
    mean_step_mm = volume.places[-1] * FINE_MM / (len(volume.places) - 1)
    assert mask.sum() * mean_step_mm / 1000 != pytest.approx(truth_ml, rel=0.02)


def test_a_bounding_box_lies_where_its_slices_lie() -> None:
    volume = empty(blocks())
    labels = np.zeros(volume.shape, np.uint8)
    labels[10:20, 30:40, 50:60] = 1

    (found,) = measure_organs(
        volume,
        LabelMap(
            labels=labels,
            affine_lps=volume.affine_lps,
            structures={1: Structure.LIVER},
            slice_places=volume.slice_places,
        ),
    )

    low, high = FIRST_Z_MM + blocks()[[10, 19]]
    assert found.box_lps_mm == ((50.0, 30.0, low), (59.0, 39.0, high))


@pytest.mark.parametrize("extent_mm", [(130.0, 158.0), (112.0, 131.0), (90.0, 120.0)])
def test_slices_share_a_slab_by_their_own_heights(extent_mm: tuple[float, float]) -> None:
    volume = empty(blocks())

    weights = slab_weights(volume, extent_mm)

    seen_from = FIRST_Z_MM - FINE_MM / 2
    assert weights.sum() == pytest.approx(extent_mm[1] - max(extent_mm[0], seen_from))
    # Slices that touch each other end half way to their neighbours, but for the two beside the change of width.
    z = FIRST_Z_MM + blocks()
    half = np.repeat([FINE_MM, THICK_MM], [16, 12]) / 2
    shared = np.minimum(z + half, extent_mm[1]) - np.maximum(z - half, extent_mm[0])
    apart = np.r_[0:15, 17:28]
    assert weights[apart] == pytest.approx(np.maximum(shared, 0)[apart])


def test_a_slab_volume_across_two_blocks_is_area_times_height() -> None:
    volume = replace(empty(blocks()), hu=np.full((28, 100, 100), 40, np.int16))
    labels = np.zeros(volume.shape, np.uint8)
    labels[:, 20:60, 10:60] = 1
    tissues = LabelMap(
        labels=labels,
        affine_lps=volume.affine_lps,
        structures=dict(enumerate(TISSUES, start=1)),
        slice_places=volume.slice_places,
    )
    level = Level(slice_index=15, z_mm=140.0, confidence=1.0, extent_mm=(126.0, 154.0))

    found = measure_body_composition(volume, tissues, level, HuWindows())

    assert value_of(found, Quantity.AREA, MUSCLE) == pytest.approx(20.0)
    assert value_of(found, Quantity.VOLUME, MUSCLE) == pytest.approx(20.0 * 2.8)


@pytest.mark.parametrize("thick_first", [False, True])
def test_slices_are_put_on_even_steps_at_their_places(*, thick_first: bool) -> None:
    heights = blocks(thick_first=thick_first)
    volume = empty(heights)
    # Three HU for each millimetre: linear interpolation keeps the relation wherever it looks.
    ramp = np.round(3 * heights)[:, None, None] * np.ones((1, 100, 100))
    seen = resample(replace(volume, hu=ramp.astype(np.float32)), (FINE_MM, 1.0, 1.0))

    z = position_mm(seen.affine_lps, [(k, 0, 0) for k in range(seen.shape[0])])[:, 2] - FIRST_Z_MM
    inside = (z >= 0) & (z <= heights[-1])
    assert seen.slice_places is None
    assert seen.hu[inside, 50, 50] == pytest.approx(3 * z[inside], abs=1.6)
    # The field ends where the outer slices end, not at their centres.
    bounds = slice_bounds(volume.places) * FINE_MM
    assert (z[0] - FINE_MM / 2, z[-1] + FINE_MM / 2) == pytest.approx(
        (bounds[0], bounds[-1]), abs=FINE_MM / 2
    )


def test_networks_see_the_even_series_in_the_uneven_one() -> None:
    even = np.arange(0, 100, FINE_MM)
    rng = np.random.default_rng(3)
    hu = rng.normal(0, 100, (len(even), 20, 20)).astype(np.float32)
    affine = affine_from_axes((0, 0, 0), AXES, (FINE_MM, 1, 1))
    kept = np.r_[0:20, 20:40:2]

    coarse = resample(Volume(hu=hu, affine_lps=affine), (5.0, 2.0, 2.0))
    seen = resample(
        Volume(hu=hu[kept], affine_lps=affine, slice_places=kept.astype(float)), (5.0, 2.0, 2.0)
    )

    assert seen.affine_lps == pytest.approx(coarse.affine_lps)
    assert np.array_equal(seen.hu[:9], coarse.hu[:9])


def test_labels_come_back_at_the_places_of_the_slices() -> None:
    uneven = empty(blocks(), pixels=44)
    fine = Volume(
        hu=np.zeros((44, 44, 44), np.int16), affine_lps=uneven.affine_lps, slice_places=None
    )
    index = np.indices((22, 12, 12)).reshape(3, -1).T.astype(float)
    affine = affine_from_axes((1.0, 1.0, FIRST_Z_MM - 1), AXES, (4.0, 4.0, 4.0))
    distance = np.linalg.norm(position_mm(affine, index) - (20.0, 22.0, FIRST_Z_MM + 40), axis=1)
    inside = (16.0 - distance).reshape(22, 12, 12).astype(np.float32)
    look = Look(
        logits=np.stack([np.zeros_like(inside), inside]),
        coarse=Volume(hu=np.zeros((22, 12, 12), np.int16), affine_lps=affine),
    )

    labels = labels_from_logits([look], uneven)

    # The fine block's slices lie on the even grid: there both are the same, voxel by voxel.
    assert np.array_equal(labels[:16], labels_from_logits([look], fine)[:16])
    truth = ball(uneven, (20.0, 22.0, FIRST_Z_MM + 40.0), 16.0)
    assert (labels.astype(bool) != truth).sum() < 0.05 * truth.sum()


def test_the_smallest_organ_is_judged_by_its_real_volume() -> None:
    volume = empty(blocks())
    labels = np.zeros(volume.shape, np.uint8)
    # 1.2 ml in thick slices; counted as voxels of the fine grid it would be 0.6 ml, below the least.
    labels[20:22, 10:22, 10:20] = 1

    kept = organ_map(labels, volume, {1: Structure.GALLBLADDER})

    assert kept.mask(Structure.GALLBLADDER).sum() == 240
    assert kept.places is volume.slice_places


@pytest.mark.parametrize("axes", [AXES, UPSIDE_DOWN])
def test_canonical_order_keeps_every_slice_at_its_place(axes: npt.ArrayLike) -> None:
    volume = empty(blocks(), axes)
    volume.hu[:] = np.arange(28)[:, None, None]
    where = {
        int(volume.hu[k, 0, 0]): position_mm(volume.affine_lps, (volume.places[k], 0, 0))[2]
        for k in range(28)
    }

    upright = canonical(volume)

    z = position_mm(upright.affine_lps, [(place, 0, 0) for place in upright.places])[:, 2]
    assert np.all(np.diff(z) > 0)
    assert z == pytest.approx([where[int(plane[0, 0])] for plane in upright.hu])
    assert np.array_equal(flip(upright.hu, axis_flips(volume.affine_lps)), volume.hu)


def test_the_slice_nearest_to_a_level_is_found_by_its_place() -> None:
    volume = empty(blocks())

    for k, height in enumerate(blocks()):
        assert volume.slice_at((height + 1.0) / FINE_MM) == k
    assert volume.slice_at(-50) == 0
    assert volume.slice_at(500) == 27


def test_places_must_be_those_of_the_slices() -> None:
    with pytest.raises(ValueError, match="places"):
        Volume(hu=np.zeros((3, 4, 4), np.int16), affine_lps=np.eye(4), slice_places=np.arange(4.0))
