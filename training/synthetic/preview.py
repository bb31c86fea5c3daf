"""Pictures of a case: axial at L3, coronal and sagittal, in a soft-tissue window."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from inference.domain.volume import Volume

Picture = npt.NDArray[np.uint8]

WINDOW_HU = (-160.0, 240.0)
PIXEL_MM = 1.0


def preview(volume: Volume, z_mm: float) -> Picture:
    """Axial at z, coronal and sagittal through the middle, side by side, 1 mm pixels."""
    hu = volume.hu
    slice_mm, row_mm, column_mm = volume.spacing_mm
    k = int(np.clip(round((z_mm - volume.affine_lps[2, 3]) / slice_mm), 0, hu.shape[0] - 1))
    body = hu[k] > -300
    row = round(float(np.flatnonzero(body.any(1)).mean())) if body.any() else hu.shape[1] // 2
    return beside(
        [
            scaled(hu[k], row_mm, column_mm),
            scaled(hu[::-1, row, :], slice_mm, column_mm),
            scaled(hu[::-1, :, hu.shape[2] // 2], slice_mm, row_mm),
        ]
    )


def beside(pictures: Sequence[Picture]) -> Picture:
    """Pictures in one row, black where one is shorter."""
    height = max(p.shape[0] for p in pictures)
    padded = [np.pad(p, ((0, height - p.shape[0]), (0, 8))) for p in pictures]
    return np.concatenate(padded, axis=1)


def below(upper: Picture, lower: Picture) -> Picture:
    """Two pictures, one above the other."""
    width = max(upper.shape[1], lower.shape[1])
    rows = [np.pad(p, ((0, 8), (0, width - p.shape[1]))) for p in (upper, lower)]
    return np.concatenate(rows, axis=0)


def scaled(
    plane: npt.NDArray[np.int16] | npt.NDArray[np.float32], row_mm: float, column_mm: float
) -> Picture:
    """A plane in grey, resized to PIXEL_MM."""
    low, high = WINDOW_HU
    grey = np.clip((plane.astype(np.float32) - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    size = (round(plane.shape[1] * column_mm / PIXEL_MM), round(plane.shape[0] * row_mm / PIXEL_MM))
    return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR))
