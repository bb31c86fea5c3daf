"""Bands do what SciPy's own resampling does, and may be applied from the first slice to the last."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from inference.kernels.banded import (
    Intensities,
    nearest_band,
    resampled_slice,
    spline_band,
    weighted_sum,
)

WINDOW = Intensities(-160.0, 240.0, 52.5, 61.0)
SIZES = st.integers(1, 90)


@given(seed=st.integers(0, 2**32 - 1), old=st.tuples(SIZES, SIZES), new=st.tuples(SIZES, SIZES))
@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize("order", [1, 3])
def test_a_slice_is_resampled_as_scipy_does(
    order: int, seed: int, old: tuple[int, int], new: tuple[int, int]
) -> None:
    hu = np.random.default_rng(seed).integers(-1024, 1500, old).astype(np.int16)
    normal = (np.clip(hu.astype(float), WINDOW.low, WINDOW.high) - WINDOW.mean) / WINDOW.sd
    zoom: Any = ndimage.zoom
    factors = [b / a for a, b in zip(old, new, strict=True)]
    wanted = zoom(normal, factors, order=order, mode="nearest", grid_mode=True)

    found = resampled_slice(
        hu, spline_band(old[0], new[0], order), spline_band(old[1], new[1], order), WINDOW
    )

    np.testing.assert_allclose(found, wanted, atol=1e-4)


@given(old=st.integers(1, 200), new=st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_no_point_needs_a_slice_that_is_gone(old: int, new: int) -> None:
    for band in (spline_band(old, new, 3), nearest_band(old, new)):
        assert (np.diff(band.first) >= 0).all()
        assert band.first.min() >= 0
        assert (band.first + band.weights.shape[1] <= old).all()
        np.testing.assert_allclose(band.weights.sum(axis=1), 1, atol=1e-6)


def test_planes_are_summed_by_their_weights() -> None:
    planes = [np.full((20, 3), value, np.float32) for value in (1, 10, 100)]

    found = weighted_sum(planes, np.array([1, 0.5, -0.25], np.float32))

    np.testing.assert_allclose(found, np.full((20, 3), 1 + 5 - 25))
    assert (planes[0] == 1).all()
