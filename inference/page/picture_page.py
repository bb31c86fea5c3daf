"""The picture page: everything a reader needs on one sheet that any viewer shows; draws, knows no DICOM."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import ImageDraw

from inference.dicom.codes import rgb_of
from inference.domain.labelmap import Structure
from inference.domain.measurement import Report
from inference.domain.report_options import Language
from inference.page import tables
from inference.page.sheet import FAINT, SHEET_PX, Box, Sheet, Style
from inference.page.tables import Row
from inference.page.typeface import FONT_FOLDER, Typeface, plain_typeface, shipped_typeface
from inference.page.views import (
    Scene,
    View,
    coronal_view,
    ct_view,
    organ_view,
    overlay_view,
    sagittal_view,
    tissue_view,
)
from inference.page.words import Words, words_of

EDGE_PX = 16
GAP_PX = 10
HEADER_PX = 64
DOUBT_TOP_PX = 32
"""A doubt of the level takes the lower half of the title's place."""
CAPTION_PX = 32
VIEW_PX = (384, 262)
"""Width and height of each of the eight pictures."""
ROW_PX = 29
FOOTER_PX = 40
TABLES_TOP_PX = HEADER_PX + 2 * (CAPTION_PX + VIEW_PX[1] + GAP_PX) + 8
COLUMNS_PX = (16, 632, 652, 1092, 1112, 1584)
"""Left and right of the three columns of tables."""

AMBER = (255, 191, 71)
LEVEL_LINE = (255, 230, 0)
RED = (176, 32, 32)
BLACK = (0, 0, 0)
RULE = (70, 76, 86)
FOOTER = (30, 32, 36)

TITLE = Style(size_px=34, is_bold=True)
SMALL_TITLE = Style(size_px=22, is_bold=True)
DOUBT = Style(size_px=22, is_bold=True)
BANNER = Style(size_px=30, is_bold=True, colour=BLACK, align="middle")
CAPTION = Style(size_px=22, is_bold=True)
CAPTION_VALUE = Style(size_px=22, align="right")
HEADING = Style(size_px=22, is_bold=True, colour=FAINT)
TEXT = Style(size_px=22)
SMALL = Style(size_px=20, colour=FAINT)

CELL_SHARES = {
    "tissue": (0.0, 0.475, 0.588, 0.752, 0.856, 1.0),
    "index": (0.0, 0.43, 0.69, 0.82, 1.0),
    "organ": (0.0, 0.485, 0.63, 0.875, 1.0),
}
"""Where the cells of each table begin, as shares of the column's width; the last is its end."""


Sides = tuple[str, str]
"""What stands at the left and at the right of a view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lettering:
    """Language and typeface of the page."""

    words: Words
    typeface: Typeface
    flag: str | None = None
    """What the report must say of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFacts:
    """What the page says besides the analysis."""

    lettering: Lettering
    made_by: str
    """Name and version; no date, which could tell whose page it is."""
    image_number: int | None
    """Of the L3 slice, as viewers count."""


def lettering(language: Language, font_folder: Path = FONT_FOLDER) -> Lettering:
    """The language asked for; English in plain letters, and a flag, where the shipped fonts are missing."""
    words = words_of(language)
    try:
        return Lettering(words=words, typeface=shipped_typeface(font_folder))
    except OSError:
        return Lettering(
            words=words_of(Language.ENGLISH),
            typeface=plain_typeface(),
            flag="fonts of the picture page missing: plain English letters",
        )


def draw_page(scene: Scene, report: Report, facts: PageFacts) -> Sheet:
    """The whole page."""
    sheet = Sheet(typeface=facts.lettering.typeface)
    words = facts.lettering.words
    _header(sheet, report, words)
    _pictures(sheet, scene, report, words)
    _tissues_and_indices(sheet, report, words)
    _organs(sheet, report, words)
    _notes(sheet, report, words, facts)
    _footer(sheet, words, facts)
    return sheet


def _header(sheet: Sheet, report: Report, words: Words) -> None:
    banner = Box(SHEET_PX[0] - 660, 10, SHEET_PX[0] - EDGE_PX, HEADER_PX - 6)
    title = Box(EDGE_PX, 10, banner.left - GAP_PX, HEADER_PX - 6)
    doubt = tables.level_doubt(report, words)
    if doubt:
        warning = Box(title.left, DOUBT_TOP_PX, title.right, HEADER_PX - 2)
        title = Box(title.left, 1, title.right, DOUBT_TOP_PX - 1)
        sheet.fill(warning, RED)
        sheet.write(doubt, warning, DOUBT)
    sheet.write(words["title"], title, TITLE if not doubt else SMALL_TITLE)
    sheet.fill(banner, AMBER)
    sheet.write(words["research_use"], banner, BANNER)


def _pictures(sheet: Sheet, scene: Scene, report: Report, words: Words) -> None:
    axial, from_side = (words["right"], words["left"]), (words["front"], words["back"])
    panels = _panels(report, words, axial, from_side)
    for number, (name, value, view, sides) in enumerate(panels):
        left = EDGE_PX + number % 4 * (VIEW_PX[0] + GAP_PX + 1)
        top = HEADER_PX + number // 4 * (CAPTION_PX + VIEW_PX[1] + GAP_PX)
        caption = Box(left, top, left + VIEW_PX[0], top + CAPTION_PX)
        middle = left + VIEW_PX[0] * 5 // 8 if value else caption.right
        sheet.write(name, Box(left, top, middle, caption.bottom), CAPTION)
        if value:
            sheet.write(value, Box(middle, top, caption.right, caption.bottom), CAPTION_VALUE)
        _panel(
            sheet,
            view(scene),
            Box(left, caption.bottom, caption.right, caption.bottom + VIEW_PX[1]),
            sides,
        )


def _panels(
    report: Report, words: Words, axial: Sides, from_side: Sides
) -> list[tuple[str, str, Callable[[Scene], View], Sides]]:
    """Caption, value, view and sides of each picture; without a level those of the organs alone."""
    if report.level is None:
        return [
            (words["ct_anywhere"], "", ct_view, axial),
            (words["organs_on_ct"], "", organ_view, axial),
            (words["sagittal_alone"], "", sagittal_view, from_side),
            (words["coronal_alone"], "", coronal_view, axial),
        ]
    sat, vat = Structure.SUBCUTANEOUS_FAT, Structure.VISCERAL_FAT
    muscle = Structure.SKELETAL_MUSCLE
    return [
        (words["ct"], "", ct_view, axial),
        (words["overlay"], "", overlay_view, axial),
        (words["combined"], "", tissue_view, axial),
        (words["sagittal"], "", sagittal_view, from_side),
        *(
            (words.structures[tissue], tables.area_of(report, tissue), _alone(tissue), axial)
            for tissue in (sat, muscle, vat)
        ),
        (words["coronal"], "", coronal_view, axial),
    ]


def _alone(tissue: Structure) -> Callable[[Scene], View]:
    return lambda scene: tissue_view(scene, (tissue,))


def _panel(sheet: Sheet, view: View, box: Box, sides: tuple[str, str]) -> None:
    """The view on black, its sides marked, the level as a line."""
    sheet.fill(box, BLACK)
    shown = sheet.show(view.picture(box.height, box.width), box)
    side_px = 26
    middle = (box.top + box.bottom) // 2
    for mark, left in zip(sides, (box.left + 2, box.right - side_px - 2), strict=True):
        mark_box = Box(left, middle - 15, left + side_px, middle + 15)
        sheet.fill(mark_box, BLACK)
        sheet.write(mark, mark_box, Style(size_px=22, is_bold=True, align="middle"))
    if view.level_share is None:
        return
    y = shown.top + round(view.level_share * (shown.height - 1))
    draw = ImageDraw.Draw(sheet.image)
    draw.line((shown.left, y, shown.right - 1, y), fill=LEVEL_LINE, width=2)


def _tissues_and_indices(sheet: Sheet, report: Report, words: Words) -> None:
    left, right = COLUMNS_PX[0:2]
    if report.level is None:
        place = Box(left, TABLES_TOP_PX, right, TABLES_TOP_PX + ROW_PX)
        sheet.write(words["nothing_at_l3"], place, HEADING)
        return
    heads = tuple(words[key] for key in ("tissue", "area", "mean_hu", "sd_hu", "slab"))
    rows = tables.tissue_rows(report, words)
    top = _table(sheet, "tissue", Box(left, TABLES_TOP_PX, right, 0), heads, rows)
    heads = tuple(words[key] for key in ("index", "value", "cut_off", "result"))
    rows = tables.index_rows(report, words)[:4]
    top = _table(sheet, "index", Box(left, top + 6, right, 0), heads, rows)
    for line in tables.cut_off_sources(report, words)[:1]:
        sheet.write(line, Box(left, top + 2, right, top + 2 + ROW_PX), SMALL)


def _organs(sheet: Sheet, report: Report, words: Words) -> None:
    left, right = COLUMNS_PX[2:4]
    box = Box(left, TABLES_TOP_PX, right, 0)
    if not report.organs:
        sheet.write(words["no_organs"], Box(left, box.top, right, box.top + ROW_PX), SMALL)
        return
    heads = (words["organ"], words["volume"], words["mean_hu"], "")
    room = (SHEET_PX[1] - FOOTER_PX - TABLES_TOP_PX) // ROW_PX - 1
    _table(sheet, "organ", box, heads, tables.organ_rows(report.organs, words, room))


def _notes(sheet: Sheet, report: Report, words: Words, facts: PageFacts) -> None:
    left, right = COLUMNS_PX[4:6]
    bottom = SHEET_PX[1] - FOOTER_PX - GAP_PX
    models = tables.model_lines(report.models)
    top = TABLES_TOP_PX
    top = _lines(sheet, words["scan"], tables.scan_lines(report, words, facts.image_number), top)
    models_top = bottom - (len(models) + 1) * ROW_PX
    _lines(sheet, words["models"], models, models_top)
    sheet.write(words["notes"], Box(left, top, right, top + ROW_PX), HEADING)
    notes = [f"• {words.sentence(flag)}" for flag in report.flags] or [words["no_notes"]]
    style = Style(size_px=TEXT.size_px, colour=AMBER if report.flags else TEXT.colour)
    sheet.paragraphs(notes, Box(left, top + ROW_PX, right, models_top - 4), style, words["more"])


def _lines(sheet: Sheet, heading: str, lines: Sequence[str], top: int) -> int:
    left, right = COLUMNS_PX[4:6]
    for text, style in ((heading, HEADING), *((line, TEXT) for line in lines)):
        sheet.write(text, Box(left, top, right, top + ROW_PX), style)
        top += ROW_PX
    return top + 4


def _table(sheet: Sheet, kind: str, place: Box, heads: Sequence[str], rows: Sequence[Row]) -> int:
    """Heads and rows below each other from the box's top; returns where they end."""
    edges = [place.left + round(share * place.width) for share in CELL_SHARES[kind]]
    top = place.top
    for row in (Row(cells=tuple(heads)), *rows):
        is_head = top == place.top
        for number, text in enumerate(row.cells):
            cell = Box(edges[number], top, edges[number + 1] - 6, top + ROW_PX)
            if number == 0 and row.structure is not None:
                sheet.fill(Box(cell.left, top + 6, cell.left + 16, top + 22), rgb_of(row.structure))
            if number == 0 and not is_head and any(r.structure for r in rows):
                cell = Box(cell.left + 24, top, cell.right, cell.bottom)
            is_finding = row.is_low and number == len(row.cells) - 1
            if text:
                sheet.write(text, cell, _cell_style(number, is_head=is_head, is_finding=is_finding))
        top += ROW_PX
        if is_head:
            sheet.fill(Box(place.left, top - 2, place.right, top - 1), RULE)
    return top


def _cell_style(number: int, *, is_head: bool, is_finding: bool) -> Style:
    base = HEADING if is_head else TEXT
    return Style(
        size_px=base.size_px,
        is_bold=base.is_bold or is_finding,
        colour=AMBER if is_finding else base.colour,
        align="left" if number == 0 else "right",
    )


def _footer(sheet: Sheet, words: Words, facts: PageFacts) -> None:
    top = SHEET_PX[1] - FOOTER_PX
    sheet.fill(Box(0, top, *SHEET_PX), FOOTER)
    middle = SHEET_PX[0] * 5 // 8
    sheet.write(words["footer"], Box(EDGE_PX, top, middle, SHEET_PX[1]), SMALL)
    right = Style(size_px=SMALL.size_px, colour=SMALL.colour, align="right")
    sheet.write(facts.made_by, Box(middle, top, SHEET_PX[0] - EDGE_PX, SHEET_PX[1]), right)
