"""Single pictures for the node's web page: the L3 slice with its tissues, a coronal view with organs and the level."""

from pathlib import Path

from PIL import Image, ImageDraw

from inference.dicom.codes import rgb_of
from inference.domain.labelmap import Structure
from inference.domain.level_outcome import LevelOutcome
from inference.domain.measurement import Level, Quantity, Report, Unit
from inference.page.sheet import BACKGROUND, INK
from inference.page.typeface import Typeface
from inference.page.views import Scene, coronal_view, overlay_view

HEIGHT_PX = 720
WIDTH_PX = 900
LEGEND_PX = 300
LINE_PX = 22
TEXT_PX = 15
LEVEL_LINE = (255, 230, 0)


def level_picture(scene: Scene, report: Report, typeface: Typeface) -> Image.Image:
    """The slice in the middle of L3, tissues in colour, beside their areas."""
    lines = []
    if report.level is not None:
        lines = [f"L3, z {report.level.z_mm:.1f} mm, {_certainty(report.level)}", *_doubts(report)]
    picture = overlay_view(scene).picture(HEIGHT_PX, WIDTH_PX)
    return _with_legend(picture, lines, _tissue_lines(report), typeface)


def coronal_picture(scene: Scene, report: Report, typeface: Typeface) -> Image.Image:
    """A coronal slab through the spine, the organs over it, with the L3 level."""
    view = coronal_view(scene)
    picture = view.picture(HEIGHT_PX, WIDTH_PX)
    if view.level_share is not None:
        y = round(view.level_share * (picture.height - 1))
        ImageDraw.Draw(picture).line((0, y, picture.width, y), fill=LEVEL_LINE, width=2)
    legend = "Coronal view; line: L3" if view.level_share is not None else "Coronal view; no L3"
    return _with_legend(picture, [legend, *_doubts(report)], _organ_lines(report), typeface)


def _doubts(report: Report) -> list[str]:
    return ["L3 UNCERTAIN"] if report.level_outcome is LevelOutcome.UNCERTAIN else []


def save_png(picture: Image.Image, path: Path) -> Path:
    """Write the picture; returns its path."""
    picture.save(path, format="PNG")
    return path


def _certainty(level: Level) -> str:
    return "set by hand" if level.confidence is None else f"confidence {level.confidence:.2f}"


def _tissue_lines(report: Report) -> list[tuple[Structure, str]]:
    return [
        (m.structure, f"{_named(m.structure, report)}: {m.value:.1f} cm²")
        for m in report.body_composition
        if m.quantity == Quantity.AREA and m.unit == Unit.CM2 and m.structure is not None
    ]


def _named(tissue: Structure, report: Report) -> str:
    trial = " (experimental)" if tissue in report.experimental else ""
    return tissue.value.replace("_", " ") + trial


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
    typeface: Typeface,
) -> Image.Image:
    """The picture with side marks (the patient's right on the left) and a legend beside it."""
    height_px = max(picture.height, LINE_PX * (len(lines) + len(entries) + 4))
    page = Image.new("RGB", (picture.width + LEGEND_PX, height_px), BACKGROUND)
    page.paste(picture, (0, 0))
    draw = ImageDraw.Draw(page)
    font = typeface.font(TEXT_PX, is_bold=False)
    draw.text((8, picture.height // 2), "R", fill=INK, font=font)
    draw.text((picture.width - 20, picture.height // 2), "L", fill=INK, font=font)
    x, y = picture.width + 14, 14
    for line in [*lines, "For research use only"]:
        draw.text((x, y), typeface.known(line), fill=INK, font=font)
        y += LINE_PX
    y += LINE_PX // 2
    for structure, text in entries:
        draw.rectangle((x, y + 3, x + 12, y + 15), fill=rgb_of(structure))
        draw.text((x + 20, y), typeface.known(text), fill=INK, font=font)
        y += LINE_PX
    return page
