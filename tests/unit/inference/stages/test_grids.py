"""Resampling keeps places: what is at a patient coordinate stays there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.domain.volume import Volume, affine_from_axes, canonical, index_at, position_mm
from inference.stages.grids import (
    SLAB_VOXELS,
    Float,
    PlaneGrid,
    at_even_steps,
    body_mask,
    centred_plane,
    interpolate_axis,
    plane_back,
    reduce_axis,
    resample,
)

AXES = [[0, 0, 1], [0, 1, 0], [1, 0, 0]]


def _ramp(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Volume:
    """HU that equals x + 2y + 3z in mm at every voxel."""
    affine = affine_from_axes([-40, -30, 20], AXES, spacing)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    points = position_mm(affine, index)
    return Volume(hu=(points @ [1.0, 2.0, 3.0]).astype(np.float32), affine_lps=affine)


@given(
    wanted=st.tuples(*[st.floats(0.9, 6.0)] * 3),
    spacing=st.tuples(*[st.floats(0.7, 4.0)] * 3),
)
def test_a_linear_ramp_survives_resampling_in_place(
    wanted: tuple[float, float, float], spacing: tuple[float, float, float]
) -> None:
    volume = _ramp((24, 22, 20), spacing)

    coarse = resample(volume, wanted)

    # Borders are repeated, so only the middle can be exact.
    middle = tuple(n // 2 for n in coarse.shape)
    found = float(coarse.hu[middle])
    expected = float(position_mm(coarse.affine_lps, middle) @ [1.0, 2.0, 3.0])
    assert found == pytest.approx(expected, abs=0.05)


def resampled_at_once(volume: Volume, spacing_mm: tuple[float, ...], shift: float) -> Float:
    """Axis by axis over the whole scan."""
    voxels = volume.hu.astype(np.float32)
    for axis in (2, 1, 0):
        if axis == 0 and volume.slice_places is not None:
            voxels, _ = at_even_steps(voxels, volume.slice_places)
        n_in, scale = voxels.shape[axis], spacing_mm[axis] / volume.spacing_mm[axis]
        n_out = max(1, round(n_in * volume.spacing_mm[axis] / spacing_mm[axis]))
        offset = (scale - 1) / 2 + shift * scale
        voxels = interpolate_axis(reduce_axis(voxels, axis, scale), axis, n_out, scale, offset)
    return voxels


@pytest.mark.parametrize("places", [None, np.r_[np.arange(20.0), np.arange(21.0, 43.0)]])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_slab_by_slab_gives_the_same_bits_as_all_at_once(
    shift: float, places: np.typing.NDArray[np.float64] | None
) -> None:
    rng = np.random.default_rng(0)
    shape = (42, 150, 170)
    assert shape[0] * shape[1] * shape[2] > 2 * SLAB_VOXELS
    volume = Volume(
        hu=rng.integers(-1000, 1000, shape, np.int16),
        affine_lps=affine_from_axes((-60, 5, 33.3), np.eye(3)[::-1], (1.9, 0.7, 0.8)),
        slice_places=places,
    )
    wanted = (3.0, 3.0, 4.0)
    np.testing.assert_array_equal(
        resample(volume, wanted, shift).hu, resampled_at_once(volume, wanted, shift)
    )


def test_a_plane_goes_to_the_network_grid_and_back() -> None:
    rows, columns = np.mgrid[0:200, 0:200].astype(np.float32)
    disc = ((rows - 95) ** 2 + (columns - 110) ** 2 < 60**2).astype(np.float32) * 100
    grid = PlaneGrid((320, 320), (1.6, 1.6))

    there = centred_plane(disc, (1.0, 1.0), (95.0, 110.0), grid)
    back = plane_back(there[None], grid, (200, 200), (1.0, 1.0), (95.0, 110.0))[0]

    assert ((back > 50) != (disc > 50)).mean() < 0.01


@pytest.mark.parametrize("direction", [1, -1])
def test_canonical_order_keeps_the_voxel_at_its_place(direction: int) -> None:
    affine = affine_from_axes([10, 20, 30], [[0, 0, direction], [0, -1, 0], [1, 0, 0]], [3, 2, 1])
    hu = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    volume = Volume(hu=hu, affine_lps=affine)

    upright = canonical(volume)

    point = position_mm(affine, (1, 2, 3))
    index = tuple(np.rint(index_at(upright.affine_lps, point)).astype(int))
    assert upright.hu[index] == hu[1, 2, 3]
    assert np.all(np.diag(upright.affine_lps[:3, :3][::-1]) > 0)


@pytest.mark.parametrize("slices", [1, 2, 5])
def test_the_body_reaches_the_first_and_the_last_slice(slices: int) -> None:
    hu = np.full((slices, 40, 40), -1000, np.float32)
    hu[:, 10:30, 8:32] = 40

    body = body_mask(hu)

    assert body[0, 20, 20]
    np.testing.assert_array_equal(body.sum(axis=(1, 2)), np.full(slices, 20 * 24 - 4))


def test_the_body_is_the_largest_thing_without_its_holes() -> None:
    hu = np.full((3, 60, 60), -1000, np.float32)
    hu[:, 10:40, 10:50] = 40
    hu[:, 20:30, 20:30] = -900
    hu[:, 52:54, :] = 100

    body = body_mask(hu)

    assert body[1, 25, 25]
    assert not body[1, 52:54].any()


def test_a_body_that_fills_the_picture_reaches_its_corners() -> None:
    assert body_mask(np.full((2, 20, 20), 40, np.float32)).all()
