"""From the planes of single slices to one regular grid in patient space, or the reason why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.dicom.slice_steps import is_even, step_tolerance_mm, uneven_steps
from inference.domain.errors import UnsupportedGeometry
from inference.domain.volume import Affine, affine_from_axes

MIN_SLICES = 10
MAX_SHEAR_DEGREES = 0.5
"""Between the slice normal and the direction in which the slices advance."""
MAX_OBLIQUE_DEGREES = 10.0
"""Between the slice normal and the patient's long axis."""
DUPLICATE_MM = 0.05
"""Slices closer than this are at the same position."""
LATERAL_TOLERANCE_MM = 0.2
COSINE_TOLERANCE = 1e-3
FAR_CORNER_PIXELS = 0.45
"""How much the farthest pixel may move by orientations that differ: results state one, and are proven to half a pixel."""
FARTHEST_MM = 1e7
"""A position farther from the origin is damage, and may overflow what is computed from it."""
MIN_PIXEL_MM = 0.05
"""Below the finest micro-detail reconstruction; a header with less would make the grid filters take all memory."""
MIN_STEP_MM = 0.05
MAX_STEP_MM = 30.0
MAX_PIXEL_MM = 10.0

_ADVICE = {
    "too-few-slices": "Send the whole axial reconstruction of the abdomen, not single images of it.",
    "slice-gap": "Send the missing slices, or a reconstruction with even steps.",
    "duplicate-position": "Send every slice of one reconstruction once.",
    "gantry-tilt": "Send an axial reconstruction without gantry tilt.",
    "oblique": "Send an axial reconstruction.",
    "mixed-geometry": "Send one complete axial reconstruction.",
}

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plane:
    """Where one slice lies in patient space (LPS, mm)."""

    position_mm: Vector
    """Centre of the first pixel."""
    column_axis: Vector
    """Unit direction in which the column index grows (first half of Image Orientation)."""
    row_axis: Vector
    """Unit direction in which the row index grows."""
    row_mm: float
    """Step between rows."""
    column_mm: float
    rows: int
    columns: int
    thickness_mm: float | None = None
    """As the scanner states it."""
    image_number: int | None = None

    @property
    def normal(self) -> Vector:
        """Unit normal; slices are ordered along it."""
        normal = np.cross(self.column_axis, self.row_axis)
        return np.asarray(normal / np.linalg.norm(normal), np.float64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stack:
    """The order that turns slices into a volume, and that volume's affine."""

    order: tuple[int, ...]
    """Index of the given plane at each slice of the volume."""
    affine_lps: Affine
    slice_places: Vector | None = None
    """Of each slice on the affine's slice axis, in its steps; None where slice k lies at k."""


def stack_planes(planes: Sequence[Plane]) -> Stack:
    """The grid the planes form, regular or in blocks of different steps; raises UnsupportedGeometry with a coded reason."""
    if len(planes) < MIN_SLICES:
        raise _refused(
            "too-few-slices",
            f"{len(planes)} slice{'s' if len(planes) != 1 else ''}",
            f"at least {MIN_SLICES} axial slices",
        )
    _check_same_plane(planes)
    first = planes[0]
    positions = np.array([plane.position_mm for plane in planes])
    along_mm = positions @ first.normal
    order = np.argsort(along_mm, kind="stable")
    positions, along_mm = positions[order], along_mm[order]
    _check_distinct(along_mm)
    _check_direction(positions, first.normal)
    advance = (positions[-1] - positions[0]) / (len(planes) - 1)
    mean_mm = float(np.linalg.norm(advance))
    if is_even(along_mm):
        step_mm, places = mean_mm, None
    else:
        step_mm = _finest_step_mm(along_mm, [planes[index] for index in order])
        places = (along_mm - along_mm[0]) / step_mm
    _check_straight(positions, along_mm)
    _check_width(step_mm, float(np.diff(along_mm).max()))
    affine = affine_from_axes(
        positions[0],
        [advance / mean_mm, first.row_axis, first.column_axis],
        (step_mm, first.row_mm, first.column_mm),
    )
    return Stack(order=tuple(int(index) for index in order), affine_lps=affine, slice_places=places)


def checked_plane(
    position: Sequence[float] | None,
    orientation: Sequence[float] | None,
    spacing: Sequence[float] | None,
    shape: tuple[int, int],
    *,
    thickness_mm: float | None = None,
    image_number: int | None = None,
) -> Plane:
    """A plane from the values of a header; raises UnsupportedGeometry where they make none."""
    if position is None or len(position) != 3 or orientation is None or len(orientation) != 6:
        raise _refused("mixed-geometry", "a slice without position or orientation", "both")
    if max(map(abs, position)) > FARTHEST_MM:
        raise _refused(
            "mixed-geometry",
            f"a slice more than {FARTHEST_MM / 1e6:g} km from the origin",
            "a patient's slice",
        )
    if (
        spacing is None
        or len(spacing) != 2
        or not all(MIN_PIXEL_MM <= mm <= MAX_PIXEL_MM for mm in spacing)
    ):
        raise _refused(
            "mixed-geometry",
            "a slice without a usable pixel spacing",
            f"{MIN_PIXEL_MM:g} to {MAX_PIXEL_MM:g} mm",
        )
    axes = np.array(orientation, np.float64).reshape(2, 3)
    lengths = np.linalg.norm(axes, axis=1)
    far_px = np.abs(lengths - 1) * (shape[1], shape[0])
    is_skew = abs(axes[0] @ axes[1]) > 10 * COSINE_TOLERANCE
    if (
        is_skew
        or np.any(np.abs(lengths - 1) > 10 * COSINE_TOLERANCE)
        or far_px.max() > (FAR_CORNER_PIXELS)
    ):
        raise _refused("mixed-geometry", "an image orientation that is no rotation", "unit axes")
    axes /= lengths[:, None]
    return Plane(
        position_mm=np.array(position, np.float64),
        column_axis=axes[0],
        row_axis=axes[1],
        row_mm=float(spacing[0]),
        column_mm=float(spacing[1]),
        rows=shape[0],
        columns=shape[1],
        thickness_mm=thickness_mm,
        image_number=image_number,
    )


def _refused(reason: str, found: str, wanted: str) -> UnsupportedGeometry:
    return UnsupportedGeometry(found=found, wanted=wanted, advice=_ADVICE[reason], reason=reason)


def _check_same_plane(planes: Sequence[Plane]) -> None:
    first = planes[0]
    shapes = {(plane.rows, plane.columns) for plane in planes}
    if len(shapes) > 1:
        raise _refused("mixed-geometry", f"{len(shapes)} matrix sizes", "one matrix size")
    spacings = np.array([(plane.row_mm, plane.column_mm) for plane in planes])
    if np.ptp(spacings, axis=0).max() > 1e-3 * spacings.max():
        raise _refused("mixed-geometry", "several pixel spacings", "one pixel spacing")
    axes = np.array([(plane.column_axis, plane.row_axis) for plane in planes])
    if np.ptp(axes, axis=0).max() > COSINE_TOLERANCE:
        raise _refused("mixed-geometry", "several image orientations", "one orientation")
    # Row spacing is the step along the row axis; the last column lies along the column axis.
    ends_mm = axes * (spacings[:, ::-1] * (first.columns, first.rows))[..., None]
    apart_mm = float(np.linalg.norm(np.ptp(ends_mm, axis=0), axis=-1).max())
    if apart_mm > FAR_CORNER_PIXELS * spacings.max():
        raise _refused(
            "mixed-geometry",
            f"orientations and spacings that differ by {apart_mm:.2f} mm at the far corners",
            f"at most {FAR_CORNER_PIXELS:g} pixels",
        )


def _check_distinct(along_mm: Vector) -> None:
    duplicates = int((np.diff(along_mm) < DUPLICATE_MM).sum())
    if duplicates:
        raise _refused(
            "duplicate-position",
            f"{duplicates} of {len(along_mm)} slices at the position of another",
            "one slice per position",
        )


def _check_direction(positions: Vector, normal: Vector) -> None:
    advance = positions[-1] - positions[0]
    shear = _degrees(float(advance @ normal / np.linalg.norm(advance)))
    if shear > MAX_SHEAR_DEGREES:
        raise _refused(
            "gantry-tilt",
            f"slices that advance at {shear:.1f}° to their normal",
            f"at most {MAX_SHEAR_DEGREES:g}°",
        )
    oblique = _degrees(abs(float(normal[2])))
    if oblique > MAX_OBLIQUE_DEGREES:
        raise _refused(
            "oblique",
            f"slices {oblique:.0f}° off the axial plane",
            f"at most {MAX_OBLIQUE_DEGREES:g}°",
        )


def _degrees(cosine: float) -> float:
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def _finest_step_mm(along_mm: Vector, planes: Sequence[Plane]) -> float:
    """Of slices that are not evenly spaced; raises UnsupportedGeometry where one may be missing."""
    uneven = uneven_steps(
        along_mm,
        [plane.thickness_mm for plane in planes],
        [plane.image_number for plane in planes],
    )
    if uneven.doubt:
        steps = np.diff(along_mm)
        typical = float(np.median(steps))
        raise _refused(
            "slice-gap",
            f"slice steps from {steps.min():.2f} to {steps.max():.2f} mm, {uneven.doubt}",
            f"even steps ({typical:.2f} ± {step_tolerance_mm(typical):.2f} mm), or blocks of them",
        )
    return uneven.step_mm


def _check_width(narrowest_mm: float, widest_mm: float) -> None:
    for step_mm in (narrowest_mm, widest_mm):
        if not MIN_STEP_MM <= step_mm <= MAX_STEP_MM:
            raise _refused(
                "mixed-geometry",
                f"slices {step_mm:.3g} mm apart",
                f"{MIN_STEP_MM:g} to {MAX_STEP_MM:g} mm",
            )


def _check_straight(positions: Vector, along_mm: Vector) -> None:
    fraction = (along_mm - along_mm[0]) / (along_mm[-1] - along_mm[0])
    line = positions[0] + fraction[:, None] * (positions[-1] - positions[0])
    lateral_mm = float(np.linalg.norm(positions - line, axis=1).max())
    if lateral_mm > LATERAL_TOLERANCE_MM:
        raise _refused(
            "mixed-geometry",
            f"slices shifted sideways by up to {lateral_mm:.1f} mm",
            f"at most {LATERAL_TOLERANCE_MM:g} mm",
        )
