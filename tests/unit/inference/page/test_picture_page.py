"""The picture page: everything on it, nothing outside its box, legible where it is shown 1024 pixels wide."""

from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from inference.dicom.codes import rgb_of
from inference.domain.labelmap import FLARE22_ORGANS, LISTED, TISSUES, Structure
from inference.domain.level_outcome import LevelOutcome
from inference.domain.measurement import Report
from inference.domain.report_options import Language
from inference.page.picture_page import (
    AMBER,
    COLUMNS_PX,
    HEADER_PX,
    LEVEL_LINE,
    RED,
    RULE,
    TABLES_TOP_PX,
    TEXT,
    VIEW_PX,
    PageFacts,
    draw_page,
    lettering,
)
from inference.page.sheet import SHEET_PX, Box, Sheet, Written
from inference.page.views import scene_of
from inference.page.words import words_of
from tests.unit.inference.dicom.full_report import full_report
from tests.unit.inference.page.page_scene import LEVEL_INDEX, SHAPE, body_analysis, body_volume

SHOWN_WIDTH_PX = 1024
LEAST_SHOWN_EM_PX = 12.5
LEAST_CONTRAST = 4.5
"""WCAG 2.1, 1.4.3 (level AA)."""

REPORTS = {
    "full": full_report(),
    "little": Report(patient=full_report().patient, level=None),
    "doubted": replace(
        full_report(),
        level_outcome=LevelOutcome.UNCERTAIN,
        level_reasons=(
            "the two networks place it 34 mm apart",
            "what is taken for L4, 34 mm below, is L3 with a probability of 0.41",
        ),
    ),
    "many notes": replace(
        full_report(), flags=tuple(f"note {n}: {'word ' * 12}" for n in range(12))
    ),
    "large numbers": replace(
        full_report(),
        organs=tuple(replace(organ, volume_ml=12345.6) for organ in full_report().organs),
        cut_offs=full_report().cut_offs * 4,
        models=full_report().models * 2,
    ),
    "whole body": replace(
        full_report(),
        organs=(
            *(replace(full_report().organs[1], structure=listed) for listed in LISTED),
            *full_report().organs,
        ),
    ),
}


@cache
def page(language: Language, name: str = "full") -> Sheet:
    volume = body_volume()
    analysis = body_analysis(volume, REPORTS[name])
    facts = PageFacts(lettering=lettering(language), made_by="Habitus 0.1.0", image_number=123)
    return draw_page(scene_of(volume, analysis), analysis.report, facts)


def without_level(language: Language) -> Sheet:
    """Organs alone."""
    volume = body_volume()
    report = replace(
        full_report(),
        level=None,
        level_outcome=LevelOutcome.NOT_IN_FIELD,
        level_reasons=("L3 seems to lie below the field of view (probability 0.98 outside)",),
        body_composition=(),
        cut_offs=(),
    )
    analysis = replace(body_analysis(volume), report=report, tissues=None)
    facts = PageFacts(lettering=lettering(language), made_by="Habitus 0.1.0", image_number=None)
    return draw_page(scene_of(volume, analysis), report, facts)


def texts(sheet: Sheet) -> list[str]:
    return [line.shown for line in sheet.written]


EVERY = pytest.mark.parametrize(
    ("language", "name"), [(language, name) for language in Language for name in REPORTS]
)


@pytest.mark.parametrize("language", Language)
def test_a_doubt_of_the_level_stands_at_the_head_in_red(language: Language) -> None:
    sheet, words = page(language, "doubted"), words_of(language)
    (line,) = [line for line in sheet.written if line.box.top < HEADER_PX and "34 mm" in line.text]

    assert line.text.startswith(words["uncertain"].split("{")[0])
    assert words.sentence("the two networks place it 34 mm apart") in line.text
    assert tuple(sheet.pixels[line.box.bottom - 1, line.box.left]) == RED
    assert not any("34 mm" in text for text in texts(page(language)))


@pytest.mark.parametrize("language", Language)
def test_without_a_level_organs_are_shown_and_nothing_is_called_l3(language: Language) -> None:
    sheet, words = without_level(language), words_of(language)
    shown = texts(sheet)

    for key in ("ct_anywhere", "organs_on_ct", "sagittal_alone", "coronal_alone", "nothing_at_l3"):
        assert words[key] in shown
    for key in ("ct", "sagittal", "coronal", "overlay"):
        assert words[key] not in shown
    assert words.structures[Structure.LIVER] in shown
    liver = np.array(rgb_of(Structure.LIVER))
    assert not (sheet.pixels == np.array(LEVEL_LINE)).all(axis=-1).any()
    assert (sheet.pixels == liver).all(axis=-1).any()
    for line in sheet.written:
        assert line.box.holds(line.ink), line


@EVERY
def test_all_text_stays_in_its_box_and_all_boxes_on_the_sheet(
    language: Language, name: str
) -> None:
    sheet = Box(0, 0, *SHEET_PX)
    for line in page(language, name).written:
        assert line.box.holds(line.ink), line
        assert sheet.holds(line.box), line


@EVERY
def test_no_text_lies_on_another(language: Language, name: str) -> None:
    for one, other in combinations(page(language, name).written, 2):
        apart = (
            one.ink.right <= other.ink.left
            or other.ink.right <= one.ink.left
            or one.ink.bottom <= other.ink.top
            or other.ink.bottom <= one.ink.top
        )
        assert apart, (one, other)


@pytest.mark.parametrize("language", Language)
def test_nothing_of_a_full_report_is_cut_short(language: Language) -> None:
    assert [line for line in page(language).written if line.shown != line.text] == []


@EVERY
def test_letters_are_large_enough_at_1024_pixels(language: Language, name: str) -> None:
    scale = SHOWN_WIDTH_PX / SHEET_PX[0]
    for line in page(language, name).written:
        assert line.size_px * scale >= LEAST_SHOWN_EM_PX, line


def luminance(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Relative luminance as WCAG 2.1 defines it."""
    value = rgb / 255.0
    linear = np.where(value <= 0.03928, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    found: npt.NDArray[np.float64] = linear @ np.array([0.2126, 0.7152, 0.0722])
    return found


def contrast(sheet: npt.NDArray[np.uint8], line: Written, scale: float) -> float:
    """Between the letters' strokes and what is around them, as displayed."""
    ink = line.ink
    left, right = int(ink.left * scale), int(np.ceil(ink.right * scale))
    top, bottom = int(ink.top * scale), int(np.ceil(ink.bottom * scale))
    levels = np.sort(luminance(sheet[top:bottom, left:right]).ravel())
    few = max(1, levels.size // 50)
    return float((levels[-few:].mean() + 0.05) / (levels[:few].mean() + 0.05))


@pytest.mark.parametrize("language", Language)
def test_strokes_stand_out_at_1024_pixels(language: Language) -> None:
    sheet = page(language)
    scale = SHOWN_WIDTH_PX / SHEET_PX[0]
    height_px = round(SHEET_PX[1] * scale)
    shown = np.asarray(sheet.image.resize((SHOWN_WIDTH_PX, height_px), Image.Resampling.BILINEAR))
    for line in sheet.written:
        assert contrast(shown, line, scale) >= LEAST_CONTRAST, line


@pytest.mark.parametrize("language", Language)
def test_everything_is_on_the_page(language: Language) -> None:
    shown, words = texts(page(language)), words_of(language)
    report = full_report()
    for key in ("title", "research_use", "ct", "overlay", "combined", "sagittal", "coronal"):
        assert words[key] in shown
    for structure in (*TISSUES, *FLARE22_ORGANS):
        assert words.structures[structure] in shown, structure
    assert shown.count(words["below"]) == 1
    assert shown.count(words["not_below"]) == 1
    for model in report.models:
        used = f"{model.name} {model.version} · {model.provider} · sha256 {model.sha256[:12]}"
        assert any(used in t for t in shown)
    joined = " ".join(shown)
    for flag in report.flags:
        assert words.sentence(flag) in joined


@pytest.mark.parametrize("language", Language)
def test_of_a_whole_body_organs_are_shown_and_the_rest_is_counted(language: Language) -> None:
    shown, words = texts(page(language, "whole body")), words_of(language)

    assert all(words.structures[organ] in shown for organ in FLARE22_ORGANS)
    assert words.structures[LISTED[0]] in shown
    assert words["more_organs"].format(count=len(LISTED) - 1) in shown


@pytest.mark.parametrize("language", Language)
def test_the_name_of_every_structure_has_room_in_its_cell(language: Language) -> None:
    row = next(
        line
        for line in page(language).written
        if line.text == words_of(language).structures[Structure.LIVER]
    )
    sheet = Sheet(typeface=lettering(language).typeface)
    for structure in (*FLARE22_ORGANS, *LISTED):
        sheet.write(words_of(language).structures[structure], row.box, TEXT)

    assert [line.text for line in sheet.written if line.shown != line.text] == []


def test_areas_on_the_page_are_those_of_the_report() -> None:
    shown = texts(page(Language.ENGLISH))
    for m in full_report().body_composition:
        if m.quantity == "area":
            assert f"{m.value:.1f}" in shown, m


def test_notes_that_find_no_room_are_counted() -> None:
    assert any(
        "more: see the structured report" in text
        for text in texts(page(Language.ENGLISH, "many notes"))
    )


def test_a_report_without_notes_says_so() -> None:
    assert words_of(Language.ENGLISH)["no_notes"] in texts(page(Language.ENGLISH, "little"))


def test_the_scanners_free_text_is_not_drawn() -> None:
    assert full_report().contrast == "Iohexol"
    assert not any("Iohexol" in text for text in texts(page(Language.ENGLISH)))


def pixel(sheet: Sheet, x: int, y: int) -> tuple[int, ...]:
    return tuple(int(channel) for channel in sheet.pixels[y, x])


def panel(sheet: Sheet, caption: str) -> Box:
    """Of the picture below a caption."""
    box = next(line.box for line in sheet.written if line.text == caption)
    return Box(box.left, box.bottom, box.left + VIEW_PX[0], box.bottom + VIEW_PX[1])


def in_tables(sheet: Sheet, text: str) -> Written:
    (line,) = [w for w in sheet.written if w.text == text and w.box.top >= TABLES_TOP_PX]
    return line


@pytest.mark.parametrize("structure", [*TISSUES, *FLARE22_ORGANS])
def test_a_row_of_a_table_begins_with_its_colour(structure: Structure) -> None:
    sheet = page(Language.ENGLISH)
    name = in_tables(sheet, words_of(Language.ENGLISH).structures[structure])

    left = name.box.left - 24
    assert left in (COLUMNS_PX[0], COLUMNS_PX[2])
    colour = rgb_of(structure)
    assert pixel(sheet, left, name.box.top + 6) == pixel(sheet, left + 15, name.box.top + 21)
    assert pixel(sheet, left + 8, name.box.top + 14) == colour
    assert pixel(sheet, left + 16, name.box.top + 14) != colour


def test_heads_begin_at_the_edge_above_a_rule_and_numbers_end_at_theirs() -> None:
    sheet = page(Language.ENGLISH)
    for text, left in (("Tissue at L3", COLUMNS_PX[0]), ("Organ", COLUMNS_PX[2])):
        head = in_tables(sheet, text)
        below = head.box.bottom - 2
        assert head.box.left == left
        assert pixel(sheet, left + 1, below) == RULE != pixel(sheet, left + 1, below + 2)
    area = in_tables(sheet, "cm²")
    assert area.ink.right == pytest.approx(area.box.right, abs=4)


def test_only_the_finding_is_amber() -> None:
    sheet = page(Language.ENGLISH)

    def is_amber(text: str) -> bool:
        ink = in_tables(sheet, text).ink
        found = sheet.pixels[ink.top : ink.bottom, ink.left : ink.right]
        return bool((found == AMBER).all(axis=-1).any())

    assert is_amber("below")
    assert not is_amber("not below")


@pytest.mark.parametrize("caption", ["Sagittal, line at L3", "Coronal, line at L3"])
def test_the_level_is_a_line_across_the_view(caption: str) -> None:
    sheet = page(Language.ENGLISH)
    box = panel(sheet, caption)
    depth_mm = {"Sagittal, line at L3": 96 * 2.0, "Coronal, line at L3": 128 * 2.0}[caption]
    height_mm = SHAPE[0] * 5.0
    scale = min(box.width / depth_mm, box.height / height_mm)
    width, height = round(depth_mm * scale), round(height_mm * scale)
    share = 1 - (LEVEL_INDEX + 0.5) / SHAPE[0]

    rows, columns = np.nonzero(
        (sheet.pixels[box.top : box.bottom, box.left : box.right] == LEVEL_LINE).all(axis=-1)
    )

    expected = (box.height - height) / 2 + share * height
    assert rows.mean() == pytest.approx(expected, abs=2)
    # The last pixel belongs to the line: its end is stated as inside.
    assert (columns.min(), columns.max()) == pytest.approx(
        ((box.width - width) / 2, (box.width + width) / 2 - 1), abs=1
    )
    assert (sheet.pixels == LEVEL_LINE).all(axis=-1)[:, : box.left].sum() == 0


@pytest.mark.parametrize(
    ("caption", "marks"),
    [("CT at L3", ("R", "L")), ("Sagittal, line at L3", ("A", "P")), ("Visceral fat", ("R", "L"))],
)
def test_each_side_of_a_view_is_marked_in_its_middle(caption: str, marks: tuple[str, str]) -> None:
    sheet = page(Language.ENGLISH)
    box = panel(sheet, caption)
    inside = [w for w in sheet.written if box.holds(w.box)]

    assert tuple(w.text for w in sorted(inside, key=lambda w: w.box.left)) == marks
    left, right = sorted((w.box for w in inside), key=lambda b: b.left)
    assert left.left - box.left == box.right - right.right == 2
    assert (left.top + left.bottom) // 2 == (box.top + box.bottom) // 2


def test_marks_stand_on_black_where_the_body_fills_the_view() -> None:
    volume = body_volume()
    analysis = body_analysis(volume)
    full = replace(scene_of(volume, analysis), volume=replace(volume, hu=np.full(SHAPE, 240)))
    facts = PageFacts(lettering=lettering(Language.ENGLISH), made_by="H", image_number=None)

    sheet = draw_page(full, analysis.report, facts)

    box = panel(sheet, "CT at L3")
    left, right = sorted(
        (w.box for w in sheet.written if box.holds(w.box)), key=lambda mark: mark.left
    )
    for mark, inner in ((left, left.right - 1), (right, right.left)):
        assert pixel(sheet, inner, mark.top) == (0, 0, 0)
        assert pixel(sheet, inner, mark.top - 2) == (255, 255, 255)


def test_notes_are_amber_and_no_notes_are_not() -> None:
    for name, amber in (("full", True), ("little", False)):
        sheet = page(Language.ENGLISH, name)
        heading = in_tables(sheet, "Notes").box
        found = sheet.pixels[heading.bottom : heading.bottom + 29, heading.left : heading.right]
        assert bool((found == AMBER).all(axis=-1).any()) is amber
