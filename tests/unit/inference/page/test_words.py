"""The words of the page: every language says the same things, and every note of a report is translated."""

import re

import pytest

from inference.domain.labelmap import FLARE22_ORGANS, Structure
from inference.domain.measurement import OrganResult, Patient
from inference.domain.report_options import Language
from inference.engine.providers import downgrade_flag
from inference.page.typeface import drawable
from inference.page.words import LANGUAGE_FOLDER, words_of
from inference.stages import quality

OTHERS = [language for language in Language if language != Language.ENGLISH]


def test_english_and_korean_are_shipped() -> None:
    assert {path.stem for path in LANGUAGE_FOLDER.glob("*.toml")} == {"en", "ko"} == set(Language)


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_has_every_word_of_english_with_the_same_places(language: Language) -> None:
    english, other = words_of(Language.ENGLISH), words_of(language)
    places = re.compile(r"\{\w+\}")

    assert other.words.keys() == english.words.keys()
    assert other.structures.keys() == english.structures.keys() == set(Structure)
    assert other.quantities.keys() == english.quantities.keys()
    for key, text in english.words.items():
        assert sorted(places.findall(other[key])) == sorted(places.findall(text)), key


@pytest.mark.parametrize("language", Language)
def test_every_word_can_be_drawn(language: Language) -> None:
    words = words_of(language)
    texts = [*words.words.values(), *words.structures.values(), *words.quantities.values()]
    texts += [text for _, text in words.sentences]

    assert set("".join(texts)) - set(drawable()) == set()


def every_flag() -> list[str]:
    """All that our own stages can say of a result."""
    organ = OrganResult(
        structure=Structure.AORTA,
        volume_ml=1.0,
        mean_hu=None,
        sd_hu=None,
        box_lps_mm=((0, 0, 0), (1, 1, 1)),
        is_incomplete=True,
    )
    notes = (
        "sex is missing or other: no cut-offs",
        "height 170 m is implausible (0.5 to 2.5 m)",
        "weight is not a number",
        "age is missing",
        "age 130 years is implausible (0 to 120 years)",
    )
    return [
        *quality.patient_flags(Patient(notes=notes)),
        *quality.patient_flags(Patient(sex="F", age_years=12.0)),
        *quality.scan_flags("unknown", None),
        *quality.level_flags(0.5, ()),
        *quality.slab_flags(20.0, (0.0, 30.0)),
        *quality.organ_flags((organ,)),
        downgrade_flag(("cuda",), "cpu") or "",
        "level uncertain: L2 was found 80 mm from L3",
        "L3 set by hand by otto at 2026-11-21 21:50 UTC",
        "the network alone found no L3",
        "the network alone placed L3 31 mm higher",
        "the network alone placed L3 31 mm lower",
        "end plate of L3 not seen: slab volumes are of the usual height there",
        "muscle area changes by +18 % in the neighbouring slice",
        "patient name is not in the character set that the images state: letters may be wrong",
        "3 identical copies of slices were left out",
        "slices unevenly spaced (2.50 to 5.00 mm): resampled to even 2.50 mm for the networks;"
        " masks and numbers are of the original slices",
        "3 of 40 slices were compressed with loss (about 12 : 1): densities and areas may be off",
        "body clipped by the field of view at L3: areas are too small",
    ]


@pytest.mark.parametrize("flag", every_flag())
def test_a_note_is_korean_on_a_korean_page_and_keeps_its_numbers(flag: str) -> None:
    korean = words_of(Language.KOREAN).sentence(flag)

    assert any("가" <= c <= "힣" for c in korean)
    for number in re.findall(r"(?<![A-Z\w])\d+(?:\.\d+)?", flag):
        assert number in korean


def test_structures_inside_a_note_are_translated() -> None:
    flag = "cut by the field of view, volume incomplete: aorta, right thing"

    assert words_of(Language.KOREAN).sentence(flag).endswith("대동맥, right thing")


def test_a_note_without_a_translation_stays_as_it_is() -> None:
    assert words_of(Language.KOREAN).sentence("a {new} kind of doubt") == "a {new} kind of doubt"


def test_organ_names_of_notes_are_those_of_the_structures() -> None:
    named = words_of(Language.KOREAN).sentence(
        "cut by the field of view, volume incomplete: "
        + ", ".join(organ.value.replace("_", " ") for organ in FLARE22_ORGANS)
    )

    assert not re.search("[a-z]", named)
