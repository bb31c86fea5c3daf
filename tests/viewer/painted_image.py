"""Which CT image OHIF paints under the colours, told by the pixels themselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom import dcmread

from tests.viewer.ohif_page import COLOURED, OhifPage

MOST_APART = 3.0
"""Grey levels, on average over grey pixels: 0.6 seen; neighbouring images of the demo's CT are 4.7 or more apart."""
FAR_APART = 255.0
"""While nothing is painted."""
PLACED = """
(corners) => {
  const viewport = window.cornerstone.getRenderingEngines()[0].getViewports()[0];
  const { lower, upper } = viewport.getProperties().voiRange;
  return { lower, upper, corners: corners.map((corner) => viewport.worldToCanvas(corner)) };
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CtImage:
    """One file of the CT."""

    hu: npt.NDArray[np.float64]
    corners_mm: tuple[list[float], list[float], list[float]]
    """Centre of the first pixel; of that past the end of its row; of that past the end of its column."""


def ct_images(folder: Path) -> dict[int, CtImage]:
    """By InstanceNumber."""
    images = {}
    for path in folder.glob("*.dcm"):
        header = dcmread(path)
        first = np.array(header.ImagePositionPatient, float)
        along_row, along_column = np.array(header.ImageOrientationPatient, float).reshape(2, 3)
        row_spacing_mm, column_spacing_mm = map(float, header.PixelSpacing)
        past_row = first + along_row * column_spacing_mm * header.Columns
        past_column = first + along_column * row_spacing_mm * header.Rows
        images[int(header.InstanceNumber)] = CtImage(
            hu=header.pixel_array * float(header.RescaleSlope) + float(header.RescaleIntercept),
            corners_mm=(first.tolist(), past_row.tolist(), past_column.tolist()),
        )
    return images


def grey_levels_apart(ohif: OhifPage, images: Mapping[int, CtImage]) -> dict[int, float]:
    """How far each image is from what is painted, where no colour lies over it."""
    shown = images.get(ohif.shown_instance_number())
    picture = ohif.picture().astype(int)
    if shown is None or not picture.any():
        return dict.fromkeys(images, FAR_APART)
    placed = ohif.page.evaluate(PLACED, list(shown.corners_mm))
    first, past_row, past_column = np.array(placed["corners"])
    row, column = np.mgrid[: shown.hu.shape[0], : shown.hu.shape[1]][..., None]
    at = first + (past_row - first) * column / shown.hu.shape[1]
    at = at + (past_column - first) * row / shown.hu.shape[0]
    x, y = np.moveaxis(np.floor(at).astype(int), -1, 0)
    inside = (x >= 0) & (y >= 0) & (x < picture.shape[1]) & (y < picture.shape[0])
    painted = picture[np.where(inside, y, 0), np.where(inside, x, 0)]
    grey = inside & (np.ptp(painted, axis=2) <= COLOURED // 3)
    width = placed["upper"] - placed["lower"]
    return {
        number: float(
            np.abs(
                painted.mean(axis=2) - np.clip((image.hu - placed["lower"]) / width, 0, 1) * 255
            )[grey].mean()
        )
        for number, image in images.items()
    }


def wait_for_the_numbered_image(ohif: OhifPage, images: Mapping[int, CtImage]) -> None:
    """Until the image whose number is written is the one that is painted."""

    def painted() -> bool:
        apart = grey_levels_apart(ohif, images)
        nearest = min(apart, key=lambda number: apart[number])
        return nearest == ohif.shown_instance_number() and apart[nearest] < MOST_APART

    ohif.wait_until(painted, "the CT image whose number is shown")
