"""One view of a case, drawn: grey values, labels in colour, a reference as an outline, levels as lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage

from inference.dicom.codes import rgb_of
from inference.domain.labelmap import Structure
from inference.domain.volume import Volume
from inference.page.typeface import shipped_typeface

Plane = npt.NDArray[Any]

SOFT_HU = (-160.0, 240.0)
BONE_HU = (-200.0, 500.0)
AIR_HU = -500
OPACITY = 0.45
OURS: tuple[int, int, int] = (255, 230, 0)
THEIRS: tuple[int, int, int] = (0, 230, 255)
INK = (235, 235, 235)
PX_PER_MM = 1.0
LARGEST_PX = 460
SMALLEST_PX = 230
"""Across: room for the title."""
LINE_PX = 17
TEXT_PX = 13
GAP_PX = 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Panel:
    """One view: grey values, our labels and the reference's masks in the same plane; rows from above."""

    title: str
    hu: Plane
    step_mm: tuple[float, float]
    window_hu: tuple[float, float] = SOFT_HU
    labels: npt.NDArray[np.uint8] | None = None
    structures: Mapping[int, Structure]
    reference: Mapping[Structure, npt.NDArray[np.bool_]]
    is_upright: bool = False
    """From the front or the side: its rows are slices."""
    lines: Sequence[tuple[float, tuple[int, int, int]]] = ()
    """Share from above, colour."""


def beside(pictures: Sequence[Image.Image]) -> Image.Image:
    size = (sum(p.width + GAP_PX for p in pictures), max(p.height for p in pictures))
    sheet = Image.new("RGB", size, (0, 0, 0))
    x = 0
    for picture in pictures:
        sheet.paste(picture, (x, 0))
        x += picture.width + GAP_PX
    return sheet


def stacked(pictures: Sequence[Image.Image]) -> Image.Image:
    size = (max(p.width for p in pictures), sum(p.height + GAP_PX for p in pictures))
    sheet = Image.new("RGB", size, (0, 0, 0))
    y = 0
    for picture in pictures:
        sheet.paste(picture, (0, y))
        y += picture.height + GAP_PX
    return sheet


def upright_rows(volume: Volume) -> npt.NDArray[np.intp]:
    """Which slice each even row from above shows."""
    places = volume.places
    steps = np.arange(places[0], places[-1] + 0.5)
    nearest: npt.NDArray[np.intp] = np.abs(places[:, None] - steps).argmin(axis=0)[::-1]
    return nearest


def drawn(panel: Panel) -> Image.Image:
    """Grey, then our colours, then the reference's outlines at the size of the picture, lines and title last."""
    rows, columns = _used(panel)
    height_mm, width_mm = (
        (part.stop - part.start) * step
        for part, step in zip((rows, columns), panel.step_mm, strict=True)
    )
    scale = max(PX_PER_MM, SMALLEST_PX / width_mm)
    scale = min(scale, LARGEST_PX / height_mm, LARGEST_PX / width_mm)
    size = (max(1, round(width_mm * scale)), max(1, round(height_mm * scale)))
    low, high = panel.window_hu
    grey = np.clip((panel.hu[rows, columns].astype(np.float32) - low) / (high - low) * 255, 0, 255)
    picture = Image.fromarray(grey.astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    rgb = np.repeat(np.asarray(picture)[..., None], 3, axis=-1).astype(np.float32)
    if panel.labels is not None:
        labels = _resized(panel.labels[rows, columns], size)
        for label, structure in panel.structures.items():
            inside = labels == label
            rgb[inside] = rgb[inside] * (1 - OPACITY) + np.array(rgb_of(structure)) * OPACITY
    for structure, mask in panel.reference.items():
        there = _resized(mask[rows, columns].astype(np.uint8), size) > 0
        outline = there & ~ndimage.binary_erosion(there)
        rgb[outline] = np.minimum(255, 80 + 0.8 * np.array(rgb_of(structure)))
    view = Image.fromarray(rgb.astype(np.uint8))
    pen = ImageDraw.Draw(view)
    for share, colour in panel.lines:
        y = round(share * (size[1] - 1))
        # Ours from the left, theirs from the right: where both agree neither hides the other.
        ends = (0, 0.6 * size[0]) if colour == OURS else (0.4 * size[0], size[0])
        pen.line((ends[0], y, ends[1], y), fill=colour, width=1)
    titled = Image.new("RGB", (size[0], size[1] + LINE_PX + 2), (0, 0, 0))
    titled.paste(view, (0, LINE_PX + 2))
    write(titled, panel.title, (2, 0))
    return titled


def _used(panel: Panel) -> tuple[slice, slice]:
    """All rows of an upright view, otherwise what is not air, and a margin."""
    dense = panel.hu > AIR_HU
    if not dense.any():
        return slice(0, panel.hu.shape[0]), slice(0, panel.hu.shape[1])
    rows, columns = (np.flatnonzero(dense.any(axis=axis)) for axis in (1, 0))
    height, width = panel.hu.shape
    whole = slice(0, height) if panel.is_upright else slice(max(0, rows[0] - 2), rows[-1] + 3)
    return (
        slice(whole.start, min(whole.stop, height)),
        slice(max(0, columns[0] - 2), min(columns[-1] + 3, width)),
    )


def _resized(labels: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))


def write(image: Image.Image, text: str, at: tuple[int, int]) -> None:
    typeface = shipped_typeface()
    font = typeface.font(TEXT_PX, is_bold=False)
    ImageDraw.Draw(image).text(at, typeface.known(text), fill=INK, font=font)
