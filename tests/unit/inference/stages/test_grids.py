"""Resampling keeps places: what is at a patient coordinate stays there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.domain.volume import Volume, affine_from_axes, canonical, index_at, position_mm
from inference.stages.grids import PlaneGrid, body_mask, centred_plane, plane_back, resample

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
