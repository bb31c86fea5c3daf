"""The shipped fonts: every character the page can need is there, and none becomes an empty box."""

from pathlib import Path

import pytest

from inference.domain.report_options import Language
from inference.page.picture_page import lettering
from inference.page.typeface import drawable, plain_typeface, shipped_typeface
from inference.page.words import words_of

SIZE_PX = 22
NOT_A_CHARACTER = "\ufffe"
SPACES = " \u00a0"


@pytest.mark.parametrize("is_bold", [False, True])
def test_every_character_has_a_shape_of_its_own(is_bold: bool) -> None:
    font = shipped_typeface().font(SIZE_PX, is_bold=is_bold)
    box = bytes(font.getmask(NOT_A_CHARACTER))

    assert [c for c in drawable() if c not in SPACES and bytes(font.getmask(c)) == box] == []


def test_hangul_of_ks_x_1001_is_there() -> None:
    typeface = shipped_typeface()

    assert typeface.known("홍길동 근육 면적 cm²") == "홍길동 근육 면적 cm²"
    assert len([c for c in drawable() if "가" <= c <= "힣"]) == 2350


def test_what_the_fonts_lack_becomes_a_question_mark() -> None:
    assert shipped_typeface().known("石 a") == "? a"


def test_without_the_fonts_the_page_is_english_in_plain_letters_and_says_so(
    tmp_path: Path,
) -> None:
    letters = lettering(Language.KOREAN, tmp_path)

    assert letters.words == words_of(Language.ENGLISH)
    assert letters.flag is not None
    assert "fonts" in letters.flag
    assert letters.typeface.known("12 cm² – −3 …") == "12 cm2 - -3 ..."


def test_the_plain_letters_have_shapes_of_their_own() -> None:
    typeface = plain_typeface()
    font = typeface.font(SIZE_PX, is_bold=False)
    box = bytes(font.getmask(NOT_A_CHARACTER))

    assert [c for c in typeface.characters if bytes(font.getmask(c)) == box] == []
    assert box


def test_with_the_fonts_the_language_is_the_one_asked_for() -> None:
    assert lettering(Language.KOREAN).words == words_of(Language.KOREAN)
    assert lettering(Language.KOREAN).flag is None
