"""Pictures for people: the L3 slice with its tissues, a coronal view with the organs and the level."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from inference.dicom.codes import rgb_of
from inference.domain.labelmap import LabelMap, Structure
from inference.domain.measurement import Quantity, Report, Unit
from inference.domain.outcome import Analysis
from inference.domain.volume import Volume, axis_flips, canonical, flip

WINDOW_HU = (-160.0, 240.0)
OPACITY = 0.55
HEIGHT_PX = 720
WIDTH_PX = 900
LEGEND_PX = 300
LINE_PX = 22
DASH_PX = 6

Rgb = npt.NDArray[np.uint8]


def level_picture(volume: Volume, analysis: Analysis) -> Image.Image:
    """The slice in the middle of L3, tissues in colour, beside their areas."""
    upright = canonical(volume)
    level = analysis.report.level
    if level is None or analysis.tissues is None:
        raise ValueError("a level picture needs a level and tissues")
    flips = axis_flips(volume.affine_lps)
    k = volume.shape[0] - 1 - level.slice_index if flips[0] else level.slice_index
    labels = flip(analysis.tissues.labels, flips)[k]
    picture = _overlay(upright.hu[k], labels, analysis.tissues)
    _, row_mm, column_mm = upright.spacing_mm
    lines = [f"L3, z {level.z_mm:.1f} mm, confidence {level.confidence:.2f}"]
    return _with_legend(
        _scaled(picture, row_mm, column_mm), lines, _tissue_lines(analysis.report), "R", "L"
    )


def coronal_picture(volume: Volume, analysis: Analysis) -> Image.Image:
    """A coronal maximum of the organs over the mean of a thick coronal slab, with the L3 level."""
    upright = canonical(volume)
    flips = axis_flips(volume.affine_lps)
    middle = _body_row(upright)
    half = max(1, round(15 / upright.spacing_mm[1]))
    slab = upright.hu[:, max(0, middle - half) : middle + half + 1]
    grey = slab.mean(axis=1, dtype=np.float32)
    organs = analysis.organs
    if organs is not None:
        labels = _front_label(flip(organs.labels, flips))
        picture = _overlay(grey, labels, organs)
    else:
        picture = _grey(grey)
    slice_mm, _, column_mm = upright.spacing_mm
    scaled = _scaled(picture[::-1].copy(), slice_mm, column_mm)
    level = analysis.report.level
    if level is not None:
        index = (level.z_mm - upright.affine_lps[2, 3]) / upright.affine_lps[2, 0]
        _dashed_line(scaled, scaled.height * (1 - (index + 0.5) / upright.shape[0]))
    lines = ["Coronal view; dashed line: L3"]
    return _with_legend(scaled, lines, _organ_lines(analysis.report), "R", "L")


def _dashed_line(picture: Image.Image, y: float) -> None:
    draw = ImageDraw.Draw(picture)
    for x in range(0, picture.width, 2 * DASH_PX):
        draw.line((x, y, x + DASH_PX, y), fill=(255, 255, 0), width=1)


def save_png(picture: Image.Image, path: Path) -> Path:
    """Write the picture; returns its path."""
    picture.save(path, format="PNG", optimize=True)
    return path


def _body_row(volume: Volume) -> int:
    """The row (front to back) in the middle of the tissue."""
    dense = (volume.hu[:: max(1, volume.shape[0] // 32)] > -300).sum(axis=(0, 2))
    total = int(dense.sum())
    if total == 0:
        return volume.shape[1] // 2
    return int(np.searchsorted(np.cumsum(dense), total / 2))


def _front_label(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """For each (slice, column) the label met first from the front."""
    first = (labels > 0).argmax(axis=1)
    front: npt.NDArray[np.uint8] = np.take_along_axis(labels, first[:, None], axis=1)[:, 0]
    return front


def _grey(hu: npt.NDArray[np.generic]) -> Rgb:
    low, high = WINDOW_HU
    value = np.clip((hu.astype(np.float32) - low) / (high - low), 0, 1) * 255
    return np.repeat(value.astype(np.uint8)[..., None], 3, axis=-1)


def _overlay(hu: npt.NDArray[np.generic], labels: npt.NDArray[np.uint8], named: LabelMap) -> Rgb:
    picture = _grey(hu)
    colours = np.zeros((256, 3), np.float32)
    for label, structure in named.structures.items():
        colours[label] = rgb_of(structure)
    inside = labels > 0
    mixed = picture[inside] * (1 - OPACITY) + colours[labels[inside]] * OPACITY
    picture[inside] = mixed.astype(np.uint8)
    return picture


def _scaled(picture: Rgb, row_mm: float, column_mm: float) -> Image.Image:
    """The picture with square pixels, as large as fits HEIGHT_PX and WIDTH_PX."""
    height_mm, width_mm = picture.shape[0] * row_mm, picture.shape[1] * column_mm
    px_per_mm = min(HEIGHT_PX / height_mm, WIDTH_PX / width_mm)
    size_px = (max(1, round(width_mm * px_per_mm)), max(1, round(height_mm * px_per_mm)))
    return Image.fromarray(picture).resize(size_px, Image.Resampling.BILINEAR)


def _tissue_lines(report: Report) -> list[tuple[Structure, str]]:
    return [
        (m.structure, f"{m.structure.value.replace('_', ' ')}: {m.value:.1f} cm2")
        for m in report.body_composition
        if m.quantity == Quantity.AREA and m.unit == Unit.CM2 and m.structure is not None
    ]


def _organ_lines(report: Report) -> list[tuple[Structure, str]]:
    return [
        (
            organ.structure,
            f"{organ.structure.value.replace('_', ' ')}: {organ.volume_ml:.0f} ml"
            + (" (cut)" if organ.is_incomplete else ""),
        )
        for organ in report.organs
    ]


def _with_legend(
    picture: Image.Image,
    lines: list[str],
    entries: list[tuple[Structure, str]],
    left: str,
    right: str,
) -> Image.Image:
    """The picture with side marks and a legend beside it."""
    height_px = max(picture.height, LINE_PX * (len(lines) + len(entries) + 4))
    page = Image.new("RGB", (picture.width + LEGEND_PX, height_px), (16, 18, 22))
    page.paste(picture, (0, 0))
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(size=15)
    draw.text((8, picture.height // 2), left, fill=(255, 255, 255), font=font)
    draw.text((picture.width - 20, picture.height // 2), right, fill=(255, 255, 255), font=font)
    x, y = picture.width + 14, 14
    for line in [*lines, "For research use only"]:
        draw.text((x, y), line, fill=(220, 224, 230), font=font)
        y += LINE_PX
    y += LINE_PX // 2
    for structure, text in entries:
        draw.rectangle((x, y + 3, x + 12, y + 15), fill=rgb_of(structure))
        draw.text((x + 20, y), text, fill=(220, 224, 230), font=font)
        y += LINE_PX
    return page
