"""Writing on a sheet: nothing leaves its box, nothing gets too small, what was cut is known."""

import numpy as np
import pytest
from PIL import Image

from inference.page.sheet import LEAST_TEXT_PX, Box, Sheet, Style
from inference.page.typeface import shipped_typeface

LONG = "a sentence that is much longer than the little box it is written into, 그리고 한국어"


@pytest.fixture
def sheet() -> Sheet:
    return Sheet(typeface=shipped_typeface())


@pytest.mark.parametrize("align", ["left", "middle", "right"])
@pytest.mark.parametrize("text", ["A", "gÄy|", "한글 값", LONG])
def test_ink_stays_in_its_box(sheet: Sheet, align: str, text: str) -> None:
    box = Box(100, 100, 300, 132)

    sheet.write(text, box, Style(align=align))  # type: ignore[arg-type]

    (written,) = sheet.written
    changed = np.argwhere((sheet.pixels != Sheet(typeface=sheet.typeface).pixels).any(axis=-1))
    (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0) + 1
    assert box.holds(Box(int(left), int(top), int(right), int(bottom)))
    assert box.holds(written.ink)


def test_a_text_too_wide_gets_smaller_then_shorter(sheet: Sheet) -> None:
    sheet.write("Muscle area", Box(0, 0, 125, 30), Style(size_px=24))
    sheet.write(LONG, Box(0, 0, 125, 30), Style(size_px=24))

    smaller, shorter = sheet.written
    assert LEAST_TEXT_PX < smaller.size_px < 24
    assert smaller.shown == "Muscle area"
    assert (shorter.size_px, shorter.shown[-1]) == (LEAST_TEXT_PX, "…")


def test_paragraphs_wrap_and_keep_every_word(sheet: Sheet) -> None:
    sheet.paragraphs([LONG, "second"], Box(0, 0, 300, 400), Style(), "{count} more")

    assert " ".join(line.shown for line in sheet.written) == f"{LONG} second"
    assert len(sheet.written) > 3


@pytest.mark.parametrize("count", [1, 2, 9])
def test_paragraphs_without_room_say_how_many_are_left(sheet: Sheet, count: int) -> None:
    sheet.paragraphs([LONG] * count, Box(0, 0, 300, 150), Style(), "{count} more")

    shown = [line.shown for line in sheet.written]
    lines_of_one = len(sheet.wrapped(LONG, 296, Style()))
    room = 150 // 29
    if lines_of_one * count <= room:
        assert shown[-1] != f"{count} more"
    else:
        left = count - (room - 1) // lines_of_one
        assert shown[-1] == f"{left} more"
    assert len(shown) <= room


def test_a_word_longer_than_a_line_is_broken(sheet: Sheet) -> None:
    lines = sheet.wrapped("x" * 100, 120, Style())

    assert "".join(lines) == "x" * 100
    assert len(lines) > 5


def test_a_picture_keeps_its_proportions(sheet: Sheet) -> None:
    place = sheet.show(Image.new("RGB", (100, 50), (255, 255, 255)), Box(10, 10, 210, 210))

    assert place == Box(10, 60, 210, 160)


def test_a_box_holds_itself_and_nothing_larger() -> None:
    box = Box(10, 20, 30, 40)

    assert box.holds(box)
    for larger in (
        Box(9, 20, 30, 40),
        Box(10, 19, 30, 40),
        Box(10, 20, 31, 40),
        Box(10, 20, 30, 41),
    ):
        assert not box.holds(larger)


def test_a_filled_box_ends_where_it_says(sheet: Sheet) -> None:
    sheet.fill(Box(10, 20, 30, 40), (1, 2, 3))

    filled = np.argwhere((sheet.pixels == (1, 2, 3)).all(axis=-1))
    assert (tuple(filled.min(axis=0)), tuple(filled.max(axis=0))) == ((20, 10), (39, 29))
    assert len(filled) == 400


def test_paragraphs_that_just_fit_are_all_shown(sheet: Sheet) -> None:
    sheet.paragraphs(["one", "two", "three"], Box(0, 0, 300, 3 * 29), Style(), "{count} more")

    assert [line.shown for line in sheet.written] == ["one", "two", "three"]


def test_a_letter_wider_than_the_line_still_gets_one(sheet: Sheet) -> None:
    assert sheet.wrapped("WW", 3, Style()) == ["W", "W"]
