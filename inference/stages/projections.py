"""Coronal and sagittal projections of a torso: the picture in which the L3 locator counts vertebrae."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.domain.volume import Volume
from inference.stages.grids import (
    AIR_HU,
    Float,
    body_centre_mm,
    body_mask,
    interpolate_axis,
    reduce_axis,
)

ROWS = 256
"""Rows along z; a longer scan is read in several windows."""
ROW_MM = 3.0
CORONAL_COLUMNS = 112
SAGITTAL_COLUMNS = 80
COLUMN_MM = 4.0
SAGITTAL_BAND_MM = 32.0
"""Half width of the sagittal band around the body's middle: it holds the spine of a scoliotic patient too."""
CHANNELS = 2
"""Maximum (bone) and mean (soft tissue) along the ray."""
LANDMARKS = (
    "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1", "L3_lower", "L3_upper",
)  # fmt: skip
"""Output curves of the locator: body centres from the head down, then the end plates of L3."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Projections:
    """HU [channel, row, column]; row 0 is the lowest slice, rows step towards the head."""

    hu: Float
    first_row_z_mm: float
    """Patient z of row 0's middle; row r is first_row_z_mm + r · ROW_MM."""
    rows_in_field: int
    """Rows that hold data; those beyond are air."""


def project(volume: Volume) -> Projections:
    """Projections of a canonical axial volume of about ROW_MM steps in every direction; any number of rows."""
    hu = np.asarray(volume.hu, np.float32)
    body = body_mask(hu)
    # Couch, arms beside the trunk and wires would otherwise be the brightest things of the projection.
    hu = np.where(body, hu, np.float32(AIR_HU))
    centre_x, centre_y, _ = body_centre_mm(body, volume.affine_lps)
    slice_mm, row_mm, column_mm = volume.spacing_mm
    origin = volume.affine_lps[:3, 3]
    centre_column = (centre_x - origin[0]) / column_mm
    centre_row = (centre_y - origin[1]) / row_mm
    half = max(1, round(SAGITTAL_BAND_MM / column_mm))
    low = int(np.clip(round(centre_column) - half, 0, hu.shape[2] - 1))
    band = hu[:, :, low : low + 2 * half + 1]
    views = [
        np.concatenate(
            [
                _fit(reduce(hu, 1), CORONAL_COLUMNS, column_mm, centre_column),
                _fit(reduce(band, 2), SAGITTAL_COLUMNS, row_mm, centre_row),
            ],
            axis=1,
        )
        for reduce in (_maximum, _mean)
    ]
    stacked = np.stack(views)
    rows = max(1, round(hu.shape[0] * slice_mm / ROW_MM))
    scale = ROW_MM / slice_mm
    offset = (scale - 1) / 2
    stacked = interpolate_axis(reduce_axis(stacked, 1, scale), 1, rows, scale, offset)
    return Projections(
        hu=stacked, first_row_z_mm=float(origin[2] + offset * slice_mm), rows_in_field=rows
    )


def _maximum(voxels: Float, axis: int) -> Float:
    result: Float = voxels.max(axis=axis)
    return result


def _mean(voxels: Float, axis: int) -> Float:
    result: Float = voxels.mean(axis=axis, dtype=np.float32)
    return result


def _fit(view: Float, columns: int, step_mm: float, centre: float) -> Float:
    """A view [z, u] on `columns` of COLUMN_MM around the given index; air beyond the field."""
    scale = COLUMN_MM / step_mm
    offset = centre - scale * (columns - 1) / 2
    fitted = interpolate_axis(reduce_axis(view, 1, scale), 1, columns, scale, offset)
    position = np.arange(columns) * scale + offset
    fitted[:, (position < -0.5) | (position > view.shape[1] - 0.5)] = AIR_HU
    return fitted


def window_starts(rows: int, window: int = ROWS) -> list[int]:
    """First rows of the windows that cover that many rows, overlapping by half."""
    if rows <= window:
        return [0]
    last = rows - window
    count = int(np.ceil(last / (window // 2))) + 1
    return [round(i * last / (count - 1)) for i in range(count)]


def padded_window(hu: npt.NDArray[np.float32], start: int) -> Float:
    """ROWS rows from `start`, air where the projection ends."""
    window = np.full((hu.shape[0], ROWS, hu.shape[2]), AIR_HU, np.float32)
    piece = hu[:, start : start + ROWS]
    window[:, : piece.shape[1]] = piece
    return window
