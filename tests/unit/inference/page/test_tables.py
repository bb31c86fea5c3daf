"""The numbers of the page in words: each value in its own cell, rounded, signed and judged as the report has it."""

from dataclasses import replace

import pytest

from inference.domain.labelmap import Structure
from inference.domain.measurement import Measurement, Patient, Quantity, Report, Unit
from inference.domain.report_options import Language
from inference.page.tables import (
    Row,
    area_of,
    cut_off_sources,
    index_rows,
    model_lines,
    organ_rows,
    scan_lines,
    tissue_rows,
)
from inference.page.words import words_of
from tests.unit.inference.dicom.full_report import full_report

WORDS = words_of(Language.ENGLISH)
EMPTY = Report(patient=Patient(), level=None)


def report_with(*measurements: Measurement) -> Report:
    return replace(EMPTY, body_composition=measurements)


def muscle(quantity: Quantity, value: float, unit: Unit) -> Measurement:
    return Measurement(
        quantity=quantity, value=value, unit=unit, structure=Structure.SKELETAL_MUSCLE
    )


def test_every_number_of_a_tissue_stands_in_the_column_of_its_quantity() -> None:
    found = (
        muscle(Quantity.AREA, 123.456, Unit.CM2),
        muscle(Quantity.MEAN_HU, -4.567, Unit.HU),
        muscle(Quantity.SD_HU, 21.567, Unit.HU),
        muscle(Quantity.VOLUME, 345.678, Unit.ML),
        muscle(Quantity.LOW_DENSITY_AREA, 33.333, Unit.CM2),
        muscle(Quantity.LOW_DENSITY_PERCENT, 27.04, Unit.PERCENT),
        Measurement(quantity=Quantity.TOTAL_FAT_AREA, value=312.12, unit=Unit.CM2),
        Measurement(quantity=Quantity.VAT_SAT_RATIO, value=0.6666, unit=Unit.RATIO),
    )

    rows = tissue_rows(report_with(*found), WORDS)

    assert rows[0] == Row(
        cells=("Skeletal muscle", "123.5", "−5", "22", "346"), structure=Structure.SKELETAL_MUSCLE
    )
    assert [row.cells for row in rows[4:]] == [
        ("Total fat (SAT + VAT)", "312.1", "", "", ""),
        ("VAT / SAT", "0.67", "", "", ""),
        ("Low-density muscle (27 %)", "33.3", "", "", ""),
    ]


def test_what_was_not_measured_is_a_dash() -> None:
    rows = tissue_rows(EMPTY, WORDS)

    assert [row.cells[1:] for row in rows[:4]] == [("–", "–", "–", "–")] * 4
    assert [row.cells[1] for row in rows[4:]] == ["–", "–", "–"]
    assert area_of(EMPTY, Structure.VISCERAL_FAT) == "–"


def test_a_value_below_its_cut_off_is_called_so_and_no_other() -> None:
    rows = index_rows(full_report(), WORDS)[:2]

    assert [(row.cells, row.is_low) for row in rows] == [
        (("Muscle area", "101.3 cm²", "74.2", "not below"), False),
        (("Muscle area / height² (SMI)", "27.9 cm²/m²", "28.4", "below"), True),
    ]


@pytest.mark.parametrize(
    ("value", "shown"), [(9.994, "9.99"), (10.0, "10.0"), (-10.04, "−10.0"), (1.239, "1.24")]
)
def test_an_index_without_cut_off_has_its_unit_and_three_digits_or_so(
    value: float, shown: str
) -> None:
    index = muscle(Quantity.INDEX_WEIGHT, value, Unit.CM2_PER_KG)

    (row,) = index_rows(report_with(index), WORDS)

    assert row == Row(cells=("Muscle area / weight", f"{shown} cm²/kg", "", ""))


def test_the_tables_behind_the_cut_offs_are_named_once_or_their_want_is() -> None:
    assert cut_off_sources(full_report(), WORDS) == [
        "Cut-offs: kr-kim-2021 (11,845 healthy Koreans, T-score < −2)"
    ]
    assert cut_off_sources(EMPTY, WORDS) == ["No cut-offs applied (see notes)"]


def test_organs_have_whole_numbers_and_say_where_they_are_cut() -> None:
    organs = full_report().organs
    with_minus = replace(organs[1], mean_hu=-12.6)

    rows = organ_rows([organs[0], with_minus, organs[6]], WORDS, room=15)

    assert [row.cells for row in rows] == [
        ("Liver", "333", "40", "cut"),
        ("Right kidney", "334", "−13", ""),
        ("Right adrenal", "339", "–", "cut"),
    ]
    assert rows[0].structure == Structure.LIVER


def test_organs_of_ours_come_first_and_what_has_no_room_is_counted() -> None:
    (organ, *others) = full_report().organs
    ribs = [replace(organ, structure=Structure(f"rib_left_{n}")) for n in range(1, 6)]
    mixed = [*ribs, *others[:2]]

    rows = organ_rows(mixed, WORDS, room=5)
    all_rows = organ_rows(mixed, WORDS, room=7)

    assert [row.cells[0] for row in rows] == [
        "Right kidney",
        "Spleen",
        "Rib 1 L",
        "Rib 2 L",
        "… and 3 more",
    ]
    assert [row.cells[0] for row in all_rows[-2:]] == ["Rib 4 L", "Rib 5 L"]
    assert len(all_rows) == 7


def test_nothing_is_ever_minus_zero() -> None:
    (organ, *_) = full_report().organs

    assert organ_rows([replace(organ, mean_hu=-0.4)], WORDS, room=15)[0].cells[2] == "0"


def test_the_scan_is_told_with_image_level_contrast_and_patient() -> None:
    assert scan_lines(full_report(), WORDS, 123) == [
        "L3 at z 112.5 mm (image 123)",
        "Level confidence 0.88, slab 28.5 mm",
        "Contrast agent stated, 100 kV",
        "Sex female, 1.62 m, 58.5 kg",
    ]


def test_a_level_set_by_hand_has_no_confidence() -> None:
    report = full_report()
    assert report.level is not None
    by_hand = replace(report, level=replace(report.level, confidence=None, source="by otto"))

    assert scan_lines(by_hand, WORDS, 123)[1] == "Level set by hand, slab 28.5 mm"


def test_what_is_unknown_of_a_scan_is_called_unknown() -> None:
    level = replace(full_report(), kvp=None, contrast="unknown", patient=Patient(), level=None)

    assert scan_lines(level, WORDS, None) == [
        "Contrast agent unknown, tube voltage unknown",
        "Sex unknown, unknown, unknown",
    ]
    assert scan_lines(full_report(), WORDS, None)[0] == "L3 at z 112.5 mm"
    assert "Sex male" in scan_lines(replace(level, patient=Patient(sex="M")), WORDS, None)[1]


def test_an_area_has_one_digit_and_a_model_the_beginning_of_its_hash() -> None:
    area = muscle(Quantity.AREA, 123.456, Unit.CM2)

    assert area_of(report_with(area), Structure.SKELETAL_MUSCLE) == "123.5 cm²"
    assert model_lines(full_report().models)[1] == "organs 2.0 · CUDA · sha256 bbbbbbbbbbbb"
