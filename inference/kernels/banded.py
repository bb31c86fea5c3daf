"""Resampling as a band matrix per axis: each point of the new axis is a weighted sum of few neighbours on the old one.

The matrix is what SciPy's zoom does to unit vectors, so that the spline of any order, its prefilter and its edges are SciPy's own
(and skimage.transform.resize's, which calls it); applying it costs an eighth of SciPy's time.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from inference.kernels.compiled import compiled
from inference.kernels.threads import in_shares

Float = npt.NDArray[np.float32]
Ints = npt.NDArray[np.intp]

NEGLIGIBLE = 1e-6
"""Weights of a spline's far neighbours; what is left sums to one again."""


class Band(NamedTuple):
    """Of one axis: point k of the new one is the sum of weights[k] times the points from first[k] of the old one; no first is lower
    than the one before."""

    first: Ints
    weights: Float


class Intensities(NamedTuple):
    """What becomes of Hounsfield units before they are interpolated: clipped, less the mean, by the deviation."""

    low: float
    high: float
    mean: float
    sd: float


@lru_cache(maxsize=16)
def spline_band(old: int, new: int, order: int) -> Band:
    """Both axes cover the same field, border to border; edges are repeated."""
    if old == new:
        return Band(np.arange(old, dtype=np.intp), np.ones((old, 1), np.float32))
    whole: Any = ndimage.zoom  # its types want a literal order
    ratio, units = new / old, np.eye(old)
    columns = [whole(one, ratio, order=order, mode="nearest", grid_mode=True) for one in units]
    return _band(np.stack(columns, axis=1))


@lru_cache(maxsize=16)
def nearest_band(old: int, new: int) -> Band:
    """The nearest point, as map_coordinates takes it."""
    places = (np.arange(new) + 0.5) * (old / new) - 0.5
    first = ndimage.map_coordinates(
        np.arange(old, dtype=float), places[None], order=0, mode="nearest"
    )
    return Band(first.astype(np.intp), np.ones((new, 1), np.float32))


def _band(matrix: npt.NDArray[np.float64]) -> Band:
    heavy = np.abs(matrix) > NEGLIGIBLE
    end = heavy.shape[1] - heavy[:, ::-1].argmax(axis=1)
    # Points that lie on old ones have one neighbour: without this, a later point could begin before an earlier one.
    first = np.minimum.accumulate(heavy.argmax(axis=1)[::-1])[::-1]
    taps = int((end - first).max())
    first = np.minimum(first, heavy.shape[1] - taps)
    weights = np.take_along_axis(matrix, first[:, None] + np.arange(taps), axis=1)
    weights /= weights.sum(axis=1, keepdims=True)
    return Band(first.astype(np.intp), np.ascontiguousarray(weights, np.float32))


def resampled_slice(
    hu: npt.NDArray[np.int16] | Float, rows: Band, columns: Band, intensities: Intensities
) -> Float:
    """A slice [row, column] on new axes, its intensities normalised before."""
    narrow = np.empty((hu.shape[0], len(columns.first)), np.float32)
    in_shares(
        hu.shape[0], lambda first, end: _along_rows(hu, columns, intensities, narrow, first, end)
    )
    if len(rows.first) == hu.shape[0] and rows.weights.shape[1] == 1:
        return narrow
    result = np.empty((len(rows.first), narrow.shape[1]), np.float32)
    in_shares(len(rows.first), lambda first, end: _over_planes(narrow, rows, result, first, end))
    return result


def weighted_sum(planes: list[Float], weights: Float) -> Float:
    """Of planes [row, column]; those of a slice axis's band."""
    total: Float = planes[0] * weights[0]
    for plane, weight in zip(planes[1:], weights[1:], strict=True):
        _add_weighted(total, plane, weight)
    return total


@compiled
def _along_rows(
    hu: npt.NDArray[np.int16] | Float,
    band: Band,
    intensities: Intensities,
    result: Float,
    first: int,
    end: int,
) -> None:
    line = np.empty(hu.shape[1], np.float32)
    for i in range(first, end):
        for j in range(hu.shape[1]):
            clipped = min(max(np.float64(hu[i, j]), intensities.low), intensities.high)
            line[j] = (clipped - intensities.mean) / intensities.sd
        for j in range(len(band.first)):
            total = np.float32(0)
            for tap in range(band.weights.shape[1]):
                total += band.weights[j, tap] * line[band.first[j] + tap]
            result[i, j] = total


@compiled
def _over_planes(lines: Float, band: Band, result: Float, first: int, end: int) -> None:
    for i in range(first, end):
        for j in range(lines.shape[1]):
            result[i, j] = band.weights[i, 0] * lines[band.first[i], j]
        for tap in range(1, band.weights.shape[1]):
            for j in range(lines.shape[1]):
                result[i, j] += band.weights[i, tap] * lines[band.first[i] + tap, j]


@compiled
def _add_weighted(total: Float, plane: Float, weight: float) -> None:
    for i in range(total.shape[0]):
        for j in range(total.shape[1]):
            total[i, j] += weight * plane[i, j]
