"""The picture page: everything on it, nothing outside its box, legible where it is shown 1024 pixels wide."""

from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from inference.domain.measurement import Report
from inference.domain.report_options import Language
from inference.page.picture_page import PageFacts, draw_page, lettering
from inference.page.sheet import SHEET_PX, Box, Sheet, Written
from inference.page.views import scene_of
from inference.page.words import words_of
from tests.unit.inference.dicom.full_report import full_report
from tests.unit.inference.page.page_scene import body_analysis, body_volume

SHOWN_WIDTH_PX = 1024
LEAST_SHOWN_EM_PX = 12.5
LEAST_CONTRAST = 4.5
"""WCAG 2.1, 1.4.3 (level AA)."""

REPORTS = {
    "full": full_report(),
    "little": Report(patient=full_report().patient, level=None),
    "many notes": replace(
        full_report(), flags=tuple(f"note {n}: {'word ' * 12}" for n in range(12))
    ),
    "large numbers": replace(
        full_report(),
        organs=tuple(replace(organ, volume_ml=12345.6) for organ in full_report().organs),
        cut_offs=full_report().cut_offs * 4,
        models=full_report().models * 2,
    ),
}


@cache
def page(language: Language, name: str = "full") -> Sheet:
    volume = body_volume()
    analysis = body_analysis(volume, REPORTS[name])
    facts = PageFacts(lettering=lettering(language), made_by="Habitus 0.1.0", image_number=123)
    return draw_page(scene_of(volume, analysis), analysis.report, facts)


def texts(sheet: Sheet) -> list[str]:
    return [line.shown for line in sheet.written]


EVERY = pytest.mark.parametrize(
    ("language", "name"), [(language, name) for language in Language for name in REPORTS]
)


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
    for structure, name in words.structures.items():
        if structure.value != "portal_splenic_vein":
            assert name in shown, structure
    assert shown.count(words["below"]) == 1
    assert shown.count(words["not_below"]) == 1
    for model in report.models:
        assert any(f"{model.name} {model.version} · sha256 {model.sha256[:12]}" in t for t in shown)
    joined = " ".join(shown)
    for flag in report.flags:
        assert words.sentence(flag) in joined


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
