"""Labels of a fine grid from logits of a coarse one: trilinear interpolation and argmax, without the interpolated logits.

An interpolated logit is a mean of its eight corners with weights that are not negative. Where one channel wins at all eight, it wins
between them, too, whatever the weights; only elsewhere (2 to 4 % of an abdomen's voxels) are all channels interpolated. The result
is that of interpolating everything in double precision, voxel by voxel.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.kernels.banded import nearest_band
from inference.kernels.compiled import compiled
from inference.kernels.threads import in_shares

Float = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]


class Axis(NamedTuple):
    """Where the points of a fine axis lie between those of a coarse one."""

    lower: npt.NDArray[np.intp]
    upper: npt.NDArray[np.intp]
    weight: npt.NDArray[np.float64]
    """Of the upper one."""


def axis_between(coarse: int, fine: int, scale: float, offset: float) -> Axis:
    """Point p of the fine axis lies at p·scale + offset of the coarse one, edges repeated."""
    place = np.clip(np.arange(fine) * scale + offset, 0, coarse - 1)
    lower = np.minimum(np.floor(place).astype(np.intp), max(coarse - 2, 0))
    return Axis(lower=lower, upper=np.minimum(lower + 1, coarse - 1), weight=place - lower)


def same_field(coarse: int, fine: int) -> Axis:
    """Both axes cover the same field, border to border, as in skimage.transform.resize and torch (align_corners=False)."""
    scale = coarse / fine
    return axis_between(coarse, fine, scale, (scale - 1) / 2)


def nearest(coarse: int, fine: int) -> Axis:
    """The nearest point over the same field, as scipy.ndimage.map_coordinates takes it at order 0."""
    first = nearest_band(coarse, fine).first
    return Axis(lower=first, upper=first, weight=np.zeros(fine))


def winners(plane: Float) -> Labels:
    """The first of the highest channels of a plane of logits [row, column, channel]."""
    found = np.empty(plane.shape[:2], np.uint8)
    in_shares(plane.shape[0], lambda first, end: _winners(plane, found, first, end))
    return found


def label_slice(
    below: tuple[Float, Labels],
    above: tuple[Float, Labels],
    weight: float,
    rows: Axis,
    columns: Axis,
    found: Labels,
) -> None:
    """Fill a slice of labels between two planes of logits [row, column, channel], each with its winners; weight is that of the one
    above."""

    def share(first: int, end: int) -> None:
        _label_slice(*below, *above, weight, rows, columns, found, first, end)

    in_shares(found.shape[0], share)


@compiled
def _winners(plane: Float, found: Labels, first: int, end: int) -> None:
    for row in range(first, end):
        for column in range(plane.shape[1]):
            logits = plane[row, column]
            best, label = logits[0], 0
            for channel in range(1, len(logits)):
                if logits[channel] > best:
                    best, label = logits[channel], channel
            found[row, column] = label


@compiled
def _label_slice(
    below: Float,
    won_below: Labels,
    above: Float,
    won_above: Labels,
    weight: float,
    rows: Axis,
    columns: Axis,
    found: Labels,
    first: int,
    end: int,
) -> None:
    values = np.empty(below.shape[2], np.float64)
    for i in range(first, end):
        y0, y1, v = rows.lower[i], rows.upper[i], rows.weight[i]
        for j in range(found.shape[1]):
            x0, x1 = columns.lower[j], columns.upper[j]
            label = won_below[y0, x0]
            if (
                label == won_below[y0, x1]
                and label == won_below[y1, x0]
                and label == won_below[y1, x1]
                and label == won_above[y0, x0]
                and label == won_above[y0, x1]
                and label == won_above[y1, x0]
                and label == won_above[y1, x1]
            ):
                found[i, j] = label
                continue
            u = columns.weight[j]
            a, b, c, d = (1 - v) * (1 - u), (1 - v) * u, v * (1 - u), v * u
            low = below[y0, x0], below[y0, x1], below[y1, x0], below[y1, x1]
            high = above[y0, x0], above[y0, x1], above[y1, x0], above[y1, x1]
            # Apart from the search for the highest: this loop becomes vector instructions.
            for channel in range(len(values)):
                values[channel] = (1 - weight) * (
                    a * low[0][channel]
                    + b * low[1][channel]
                    + c * low[2][channel]
                    + d * low[3][channel]
                ) + weight * (
                    a * high[0][channel]
                    + b * high[1][channel]
                    + c * high[2][channel]
                    + d * high[3][channel]
                )
            best, label = values[0], 0
            for channel in range(1, len(values)):
                if values[channel] > best:
                    best, label = values[channel], channel
            found[i, j] = label
