"""Where a second, finer organ network is asked, and how what it says fades out towards the border of that."""

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from inference.domain.volume import Volume, index_at, position_mm
from inference.stages.grids import Float
from inference.stages.organ_labels import Box, Look

MARGIN_MM = (45.0, 24.0, 24.0)
"""Along z, y and x about what the first network found: it ends a vessel too early more often than it draws it too narrow."""
FADES_MM = 9.0
"""Within so much of the region's border the second opinion loses its weight, so that no step is left there."""


def region_about(
    look: Look, channels: Collection[int], grid: Volume, least: Sequence[int]
) -> Box | None:
    """Slices, rows and columns of a grid about the largest piece of each of these organs, at least so many where the grid
    has them; None where the look found none of them."""
    bounds = _bounds(look.logits.argmax(axis=0), channels)
    if bounds is None:
        return None
    parts = []
    # Both grids have the axes of one volume: an index depends on the same axis of the other alone.
    ends = position_mm(look.coarse.affine_lps, np.transpose(bounds))
    indices = np.sort([index_at(grid.affine_lps, end) for end in ends], axis=0)
    for low, high, size, step, margin_mm, wanted in zip(
        *indices, grid.shape, grid.spacing_mm, MARGIN_MM, least, strict=True
    ):
        margin = max(margin_mm / step, (wanted - (high - low + 1)) / 2)
        parts.append(slice(max(int(low - margin), 0), min(int(np.ceil(high + margin)) + 1, size)))
    slices, rows, columns = parts
    return slices, rows, columns


def _bounds(
    labels: npt.NDArray[np.intp], channels: Collection[int]
) -> list[tuple[int, int]] | None:
    """First and last index along each axis."""
    boxes = []
    for channel in channels:
        pieces, count = ndimage.label(labels == channel)
        if count:
            largest = int(np.argmax(np.bincount(pieces.ravel())[1:]))
            boxes.append(ndimage.find_objects(pieces)[largest])
    if not boxes:
        return None
    return [
        (min(box[axis].start for box in boxes), max(box[axis].stop for box in boxes) - 1)
        for axis in range(3)
    ]


def of_these_alone(logits: Float, channels: Collection[int]) -> Float:
    """What a network says of some channels, and of all others together: which of them it is, others may decide."""
    others = [channel for channel in range(len(logits)) if channel not in channels]
    together: Float = np.logaddexp.reduce(logits[others], axis=0)
    spoken = logits.copy()
    spoken[others] = together
    return spoken


def fading(box: Box, shape: Sequence[int], spacing_mm: Sequence[float]) -> Float:
    """1 inside a box of a grid, 0 at those of its faces beyond which the grid goes on."""
    weight = np.ones((1, 1, 1), np.float32)
    for axis, (part, size, step) in enumerate(zip(box, shape, spacing_mm, strict=True)):
        place = np.arange(part.stop - part.start, dtype=np.float32)
        inner = np.ones(len(place), np.float32)
        if part.start > 0:
            inner = np.minimum(inner, place * step / FADES_MM)
        if part.stop < size:
            inner = np.minimum(inner, place[::-1] * step / FADES_MM)
        weight = weight * np.expand_dims(inner, tuple(a for a in range(3) if a != axis))
    return weight
