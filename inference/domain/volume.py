"""A CT volume in Hounsfield units with its place in patient space; the one home of index order and geometry."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Affine = npt.NDArray[np.float64]
"""4×4; maps (slice, row, column, 1) to DICOM patient coordinates (x left, y posterior, z head; mm)."""

Voxels = npt.NDArray[Any]
"""An array indexed [slice, row, column]."""


def affine_from_axes(
    origin_lps_mm: npt.ArrayLike, axes_lps: npt.ArrayLike, spacing_mm: npt.ArrayLike
) -> Affine:
    """The affine of a grid: first voxel's centre, unit directions of slice, row and column index, their steps."""
    affine = np.eye(4)
    affine[:3, :3] = (np.asarray(axes_lps, float) * np.asarray(spacing_mm, float)[:, None]).T
    affine[:3, 3] = origin_lps_mm
    return affine


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Volume:
    """Hounsfield units [slice, row, column] on a regular grid in patient space."""

    hu: npt.NDArray[np.int16] | npt.NDArray[np.float32]
    """Hounsfield units, int16 or float32, indexed [slice, row, column]."""
    affine_lps: Affine
    """Maps (slice, row, column, 1) to patient coordinates in mm (LPS)."""

    def __post_init__(self) -> None:
        if self.hu.ndim != 3 or self.affine_lps.shape != (4, 4):
            raise ValueError(f"hu {self.hu.shape}, affine {self.affine_lps.shape}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        slices, rows, columns = self.hu.shape
        return slices, rows, columns

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Steps between slices, rows and columns."""
        return spacing_mm(self.affine_lps)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel."""
        return abs(float(np.linalg.det(self.affine_lps[:3, :3]))) / 1000.0


def spacing_mm(affine_lps: Affine) -> tuple[float, float, float]:
    """Steps along slice, row and column index."""
    s, r, c = np.linalg.norm(affine_lps[:3, :3], axis=0)
    return float(s), float(r), float(c)


def position_mm(affine_lps: Affine, index: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Patient coordinates of a (slice, row, column) index, or of an array [..., 3] of them."""
    index = np.asarray(index, float)
    return index @ affine_lps[:3, :3].T + affine_lps[:3, 3]


def index_at(affine_lps: Affine, point_lps_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The fractional (slice, row, column) index of a patient coordinate."""
    offset = np.asarray(point_lps_mm, float) - affine_lps[:3, 3]
    return offset @ np.linalg.inv(affine_lps[:3, :3]).T


def axis_flips(affine_lps: Affine) -> tuple[bool, bool, bool]:
    """Which index axes run against the canonical order: slice to the head, row to the back, column to the left."""
    canonical = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], float).T
    cosines = (affine_lps[:3, :3] / np.linalg.norm(affine_lps[:3, :3], axis=0)) * canonical
    along = cosines.sum(axis=0)
    return bool(along[0] < 0), bool(along[1] < 0), bool(along[2] < 0)


def flip(voxels: Voxels, flips: tuple[bool, bool, bool]) -> Voxels:
    """The array with the named axes reversed; its own inverse."""
    return voxels[tuple(slice(None, None, -1) if f else slice(None) for f in flips)]


def canonical(volume: Volume) -> Volume:
    """The same volume in canonical index order (axes reversed, never resampled); for axial series only."""
    flips = axis_flips(volume.affine_lps)
    affine = volume.affine_lps.copy()
    for axis, flipped in enumerate(flips):
        if flipped:
            affine[:3, 3] += affine[:3, axis] * (volume.shape[axis] - 1)
            affine[:3, axis] *= -1
    return Volume(hu=np.ascontiguousarray(flip(volume.hu, flips)), affine_lps=affine)
