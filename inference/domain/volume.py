"""A CT volume in Hounsfield units with its place in patient space; the one home of index order and geometry."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Affine = npt.NDArray[np.float64]
"""4×4; maps (slice, row, column, 1) to DICOM patient coordinates (x left, y posterior, z head; mm)."""

SlicePlaces = npt.NDArray[np.float64]
"""Where slices lie on a grid's slice axis, in steps of the grid: 0 is the first, then ascending."""

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
    """Hounsfield units [slice, row, column] on a grid in patient space, its slices at even steps or at known places."""

    hu: npt.NDArray[np.int16] | npt.NDArray[np.float32]
    """Hounsfield units, int16 or float32, indexed [slice, row, column]."""
    affine_lps: Affine
    """Maps (place of the slice, row, column, 1) to patient coordinates in mm (LPS)."""
    slice_places: SlicePlaces | None = None
    """Of a series whose slices are not evenly spaced; None: slice k lies at k."""

    def __post_init__(self) -> None:
        if self.hu.ndim != 3 or self.affine_lps.shape != (4, 4):
            raise ValueError(f"hu {self.hu.shape}, affine {self.affine_lps.shape}")
        if self.slice_places is not None and len(self.slice_places) != len(self.hu):
            raise ValueError(f"hu {self.hu.shape}, {len(self.slice_places)} places of slices")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        slices, rows, columns = self.hu.shape
        return slices, rows, columns

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Steps of the grid between slices, rows and columns."""
        return spacing_mm(self.affine_lps)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel of the grid."""
        return abs(float(np.linalg.det(self.affine_lps[:3, :3]))) / 1000.0

    @property
    def places(self) -> SlicePlaces:
        """Of every slice."""
        return places_of(self.slice_places, len(self.hu))

    def slice_at(self, place: float) -> int:
        """The slice nearest to a place."""
        return int(np.abs(self.places - place).argmin())

    def volume_ml(self, mask: npt.NDArray[np.bool_], first_slice: int = 0) -> float:
        """Of a mask [slice, row, column] that begins at a slice; each slice counts with the height it stands for."""
        heights = np.diff(slice_bounds(self.places))[first_slice : first_slice + len(mask)]
        return float(mask.sum(axis=(1, 2)) @ heights) * self.voxel_ml


def places_of(slice_places: SlicePlaces | None, slices: int) -> SlicePlaces:
    """The places of all slices; evenly spaced ones lie at their index."""
    return np.arange(slices, dtype=np.float64) if slice_places is None else slice_places


def slice_bounds(places: SlicePlaces) -> SlicePlaces:
    """Where the share of each slice begins and ends: half way to its neighbours, one bound more than slices."""
    if len(places) < 2:
        return np.array([places[0] - 0.5, places[0] + 0.5])
    between = (places[:-1] + places[1:]) / 2
    outer = 2 * places[[0, -1]] - between[[0, -1]]
    return np.concatenate((outer[:1], between, outer[1:]))


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


def slice_z_mm(volume: Volume) -> SlicePlaces:
    """Patient z of each slice of an axial volume, at the corner where its canonical order begins."""
    _, row_flipped, column_flipped = axis_flips(volume.affine_lps)
    corners = np.zeros((volume.shape[0], 3))
    corners[:, 0] = volume.places
    corners[:, 1] = volume.shape[1] - 1 if row_flipped else 0
    corners[:, 2] = volume.shape[2] - 1 if column_flipped else 0
    z_mm: SlicePlaces = position_mm(volume.affine_lps, corners)[:, 2]
    return z_mm


def flip(voxels: Voxels, flips: tuple[bool, bool, bool]) -> Voxels:
    """The array with the named axes reversed; its own inverse."""
    return voxels[tuple(slice(None, None, -1) if f else slice(None) for f in flips)]


def source_slice(volume: Volume, slice_index: int) -> int:
    """A canonical slice index in the source volume's own order."""
    flipped = axis_flips(volume.affine_lps)[0]
    return volume.shape[0] - 1 - slice_index if flipped else slice_index


def canonical(volume: Volume) -> Volume:
    """The same volume in canonical index order (axes reversed, never resampled); for axial series only."""
    flips = axis_flips(volume.affine_lps)
    affine = volume.affine_lps.copy()
    last = (volume.places[-1], volume.shape[1] - 1, volume.shape[2] - 1)
    for axis, flipped in enumerate(flips):
        if flipped:
            affine[:3, 3] += affine[:3, axis] * last[axis]
            affine[:3, axis] *= -1
    places = volume.slice_places
    if places is not None and flips[0]:
        places = places[-1] - places[::-1]
    return Volume(
        hu=np.ascontiguousarray(flip(volume.hu, flips)), affine_lps=affine, slice_places=places
    )
