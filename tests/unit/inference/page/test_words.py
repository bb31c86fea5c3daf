"""The words of the page: every language says the same things, and every note of a report is translated."""

import re
from dataclasses import replace

import pytest

from inference.domain.labelmap import EXPERIMENTAL, FLARE22_ORGANS, LISTED, Structure
from inference.domain.level_calibration import UNCALIBRATED
from inference.domain.measurement import Measurement, OrganResult, Patient, Quantity, Unit
from inference.domain.report_options import Language
from inference.engine.providers import downgrade_flag
from inference.find_level import level_absent_flags
from inference.page.typeface import drawable
from inference.page.words import LANGUAGE_FOLDER, words_of
from inference.stages import quality
from inference.stages.decide_level import UNKNOWN_NETWORKS, decide
from inference.stages.facing import TURNED
from tests.unit.inference.stages.drawn_spines import USUAL_STEPS_MM, curves_of, spine_mm

STRICT = replace(UNCALIBRATED.two_opinions, confident_from=0.9999, in_field_from=0.05)
OTHERS = [language for language in Language if language != Language.ENGLISH]


def test_english_and_korean_are_shipped() -> None:
    assert {path.stem for path in LANGUAGE_FOLDER.glob("*.toml")} == {"en", "ko"} == set(Language)


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_has_every_word_of_english_with_the_same_places(language: Language) -> None:
    english, other = words_of(Language.ENGLISH), words_of(language)
    places = re.compile(r"\{\w+\}")

    assert other.words.keys() == english.words.keys()
    assert other.structures.keys() == english.structures.keys() == {*Structure, *LISTED}
    assert other.quantities.keys() == english.quantities.keys()
    for key, text in english.words.items():
        assert sorted(places.findall(other[key])) == sorted(places.findall(text)), key


@pytest.mark.parametrize("language", Language)
def test_every_word_can_be_drawn(language: Language) -> None:
    words = words_of(language)
    texts = [*words.words.values(), *words.structures.values(), *words.quantities.values()]
    texts += [text for _, text in words.sentences]

    assert set("".join(texts)) - set(drawable()) == set()


def every_word_on_the_level() -> list[str]:
    """Of levels that are doubted for every reason there is, absent ones and odd spines."""
    spine = spine_mm()
    four = {name: z for name, z in spine.items() if name != "L5"} | {"S1": -60.0}
    six = spine_mm(steps_mm=(*USUAL_STEPS_MM[:-1], 58.0))
    no_end_plate = curves_of({name: z for name, z in spine.items() if name != "L3"})
    torn = curves_of(spine | {"L2": 120.0}, (-9.0, 210.0), height=0.5)
    levels = [
        decide([one, *rest], replace(UNCALIBRATED, two_opinions=STRICT, one_opinion=STRICT))
        for one, *rest in (
            (torn, curves_of(spine_mm(34.0), (-9.0, 210.0), height=0.5)),
            (curves_of(spine), curves_of(spine)),
            (curves_of(four), curves_of(four)),
            (curves_of(six), curves_of(six)),
            (no_end_plate,),
        )
    ]
    by_the_volume = replace(UNCALIBRATED, level_weight=0.2, spine_weight=2.0)
    levels.append(decide([curves_of(spine), curves_of(spine_mm(-34.0))], by_the_volume))
    absent = [
        decide([curves_of(spine, field)], UNCALIBRATED)
        for field in ((60.0, 210.0), (-330.0, -60.0))
    ]
    said = [flag for level in levels for flag in level.flags]
    said += [flag for level in (*levels[:1], *absent) for flag in level_absent_flags(level)]
    return [*dict.fromkeys(said), UNKNOWN_NETWORKS]


AREA = (
    Measurement(
        quantity=Quantity.AREA, value=31.0, unit=Unit.CM2, structure=Structure.SKELETAL_MUSCLE
    ),
)


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
        *quality.slab_flags(20.0, (0.0, 30.0)),
        *quality.organ_flags((organ, replace(organ, structure=Structure("colon")))),
        downgrade_flag(("cuda",), "cpu") or "",
        downgrade_flag(("tensorrt", "cuda"), "cuda") or "",
        "L3 set by hand by otto at 2026-11-21 21:50 UTC",
        "the network alone found no L3",
        "the network alone placed L3 31 mm higher",
        "the network alone placed L3 31 mm lower",
        TURNED,
        *every_word_on_the_level(),
        "muscle area changes by +18 % in the neighbouring slice",
        "patient name is not in the character set that the images state: letters may be wrong",
        "3 identical copies of slices were left out",
        "slices unevenly spaced (2.50 to 5.00 mm): resampled to even 2.50 mm for the networks;"
        " masks and numbers are of the original slices",
        "3 of 40 slices were compressed with loss (about 12 : 1): densities and areas may be off",
        "body clipped by the field of view at L3, 12 % of its outline: areas are too small",
        "an arm touches the trunk at L3: it was left out, areas beside it may be off",
        "an arm lies beside the trunk at L3: left out, its shadow may shift densities",
        "couch or bedding lies against the body at L3: left out, fat there may be off",
        "metal near L3, 2.4 cm² above 2000 HU: streaks may shift areas and densities",
        "very noisy images at L3, SD 52 HU: areas may be too small",
        *quality.unusual_flags(AREA, Patient(sex="M", age_years=50.0)),
        *quality.unusual_flags(AREA, Patient()),
    ]


@pytest.mark.parametrize("flag", every_flag())
def test_a_note_is_korean_on_a_korean_page_and_keeps_its_numbers(flag: str) -> None:
    korean = words_of(Language.KOREAN).sentence(flag)

    assert any("가" <= c <= "힣" for c in korean)
    assert not re.search(r"[a-z]+ [a-z]+ [a-z]+ [a-z]+", korean), "half of it is still English"
    for number in re.findall(r"(?<![A-Z\w])\d+(?:\.\d+)?", flag):
        assert number in korean


@pytest.mark.parametrize(
    ("language", "said"), [(Language.ENGLISH, "experimental"), (Language.KOREAN, "시험적")]
)
def test_what_is_on_trial_is_called_so_in_every_language(language: Language, said: str) -> None:
    named = words_of(language).structures

    assert {structure for structure, name in named.items() if said in name} == set(EXPERIMENTAL)


def test_every_reason_inside_a_note_is_translated() -> None:
    reasons = ("the two networks place it 34 mm apart", "L2 was found 80 mm from it")
    korean = words_of(Language.KOREAN)

    note = korean.sentence(f"L3 uncertain: {'; '.join(reasons)}")

    assert note.endswith("; ".join(map(korean.sentence, reasons)))
    assert "networks" not in note


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
