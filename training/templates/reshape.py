"""An organ of a label map resized, turned and moved as a rigid whole."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial.transform import Rotation

Mask = npt.NDArray[np.bool_]
Box = tuple[slice, ...]
Three = tuple[float, float, float]
"""z, y, x."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of one organ."""

    scale: Three = (1.0, 1.0, 1.0)
    anchor: Three = (0.0, 0.0, 0.0)
    """The point that stays when it is resized and turned, in half breadths from the middle."""
    turned_deg: Three = (0.0, 0.0, 0.0)
    """About the axes z, y, x, one after the other."""
    moved_mm: Three = (0.0, 0.0, 0.0)


def reshaped(mask: Mask, change: Change, step_mm: float) -> tuple[Box, Mask]:
    """The changed mask, and the box of the whole map that it lies in; what leaves the map is lost."""
    found = ndimage.find_objects(mask.astype(np.uint8))[0]
    first = np.array([side.start for side in found], float)
    half = (np.array([side.stop for side in found]) - first - 1) / 2
    still = first + half * (1 + np.asarray(change.anchor))
    moved = np.round(np.asarray(change.moved_mm) / step_mm)
    forwards = _turn(change.turned_deg) @ np.diag(change.scale)
    corners = first + 2 * half * np.array(list(np.ndindex(2, 2, 2)))
    there = (corners - still) @ forwards.T + still + moved
    low = np.clip(np.floor(there.min(axis=0)) - 1, 0, None).astype(int)
    high = np.maximum(np.minimum(np.ceil(there.max(axis=0)) + 2, mask.shape), low).astype(int)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    # Voxel o of the box shows what lies at still + backwards (o + low - moved - still) of the whole; beyond its own box an
    # organ ends half a voxel after the last one.
    backwards = np.linalg.inv(forwards)
    shown = ndimage.affine_transform(
        np.pad(mask[found], 1).astype(np.float32),
        backwards,
        still + backwards @ (low - moved - still) - first + 1,
        output_shape=tuple(int(b - a) for a, b in zip(low, high, strict=True)),
        order=1,
    )
    return box, shown > 0.5


def _turn(turned_deg: Sequence[float]) -> npt.NDArray[np.float64]:
    """Of vectors z, y, x; SciPy's are x, y, z."""
    turn = Rotation.from_euler("zyx", turned_deg, degrees=True).as_matrix()
    matrix: npt.NDArray[np.float64] = turn[::-1, ::-1]
    return matrix
