"""Each row of the table in docs/clinical.md is found in a structured report read back from its bytes."""

import re
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from inference.dicom.ct_series import CtSeries
from inference.dicom.read_series import load_series
from inference.dicom.read_sr import measurements_from_sr, statements_from_sr
from inference.dicom.write_sr import encode_sr
from inference.domain.measurement import Patient, Report
from inference.stages.measure import indices
from inference.stages.quality import patient_flags
from tests.synthetic_series import result_identity, save_all, small_datasets
from tests.unit.inference.dicom.full_report import full_report

CLINICAL = Path(__file__).parents[4] / "docs" / "clinical.md"

MUSCLE = "skeletal_muscle"
AREA, MEAN_HU, SD_HU, VOLUME = ("42798000", "112181", "112183", "118565006")

WANTED: dict[str, set[tuple[str, str, str]]] = {
    "level": {
        ("l3", "LEVEL_Z", "mm"),
        ("l3", "LEVEL_SLICE", "1"),
        ("l3", "LEVEL_CONFIDENCE", "1"),
        (MUSCLE, "AREA_BELOW", "cm2"),
        (MUSCLE, "AREA_ABOVE", "cm2"),
    },
    "skeletal muscle area (SMA)": {(MUSCLE, AREA, "cm2")},
    "muscle density (SMD)": {
        (MUSCLE, MEAN_HU, "[hnsf'U]"),
        (MUSCLE, SD_HU, "[hnsf'U]"),
        ("result", "113733", "kV"),
        ("result", "123011", "text"),
    },
    "subcutaneous fat (SAT)": {("subcutaneous_fat", AREA, "cm2")},
    "visceral fat (VAT)": {("visceral_fat", AREA, "cm2")},
    "intermuscular fat (IMAT)": {("intermuscular_fat", AREA, "cm2")},
    "low-density and normal-density muscle": {
        (MUSCLE, "LDA", "cm2"),
        (MUSCLE, "LDP", "%"),
        (MUSCLE, "NDA", "cm2"),
        (MUSCLE, "NDP", "%"),
    },
    "SMI, SMA/weight, SMA/BMI": {
        (MUSCLE, "SMI", "cm2/m2"),
        (MUSCLE, "AREA_WEIGHT", "cm2/kg"),
        (MUSCLE, "AREA_BMI", "cm2.m2/kg"),
    },
    "VAT/SAT, total fat": {("body", "VAT_SAT", "1"), ("body", "TFA", "cm2")},
    "slab volumes": {
        ("l3", "SLAB_HEIGHT", "mm"),
        (MUSCLE, VOLUME, "ml"),
        ("subcutaneous_fat", VOLUME, "ml"),
        ("visceral_fat", VOLUME, "ml"),
        ("intermuscular_fat", VOLUME, "ml"),
    },
}
"""Group, concept and unit by the first cell of each row."""

BESIDES_THE_TABLE = {
    ("patient", "8302-2", "m"),
    ("patient", "29463-7", "kg"),
    ("patient", "PATIENT_SOURCE", "text"),
    ("cut_off/kr-kim-2021/skeletal_muscle/area_per_height2", "CUT_OFF", "cm2/m2"),
    ("cut_off/kr-kim-2021/skeletal_muscle/area_per_height2", "DIFFERENCE", "cm2/m2"),
    ("cut_off/kr-kim-2021/skeletal_muscle/area_per_height2", "CUT_OFF_TABLE", "text"),
    ("cut_off/kr-kim-2021/skeletal_muscle/area_per_height2", "121405", "text"),
    ("liver", VOLUME, "ml"),
    ("liver", MEAN_HU, "[hnsf'U]"),
    ("liver", SD_HU, "[hnsf'U]"),
    ("liver", "BOX_MIN_Z", "mm"),
    ("liver", "INCOMPLETE", "text"),
}
"""What the prose below the table promises: patient data, reference tables, organs."""


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> CtSeries:
    return load_series(save_all(small_datasets(), tmp_path_factory.mktemp("ct")))


def read_back(report: Report, series: CtSeries) -> set[tuple[str, str, str]]:
    document = dcmread(BytesIO(encode_sr(report, series, [], result_identity("sr"))))
    numbers = {(m.tracking_id, m.concept, m.unit) for m in measurements_from_sr(document)}
    return numbers | {(s.tracking_id, s.concept, "text") for s in statements_from_sr(document)}


def rows() -> list[str]:
    table = CLINICAL.read_text(encoding="utf-8").split("## Reference tables")[0]
    cells = re.findall(r"^\| ([^|]+) \|", table, flags=re.MULTILINE)
    return [cell for cell in cells if cell != "quantity"]


def test_the_rows_of_the_document_are_those_looked_for() -> None:
    assert rows() == list(WANTED)


def test_every_row_is_in_the_report_read_back(series: CtSeries) -> None:
    found = read_back(full_report(), series)

    missing = {row: wanted - found for row, wanted in WANTED.items() if wanted - found}
    assert missing == {}
    assert found >= BESIDES_THE_TABLE


def test_without_height_there_is_no_index_of_it_and_the_report_says_so(series: CtSeries) -> None:
    patient = Patient(sex="M", age_years=50, weight_kg=70, notes=("height is missing",))
    report = Report(
        patient=patient,
        level=full_report().level,
        body_composition=indices(140.0, patient),
        flags=tuple(patient_flags(patient)),
    )

    document = dcmread(BytesIO(encode_sr(report, series, [], result_identity("sr"))))

    concepts = {m.concept for m in measurements_from_sr(document)}
    flags = [s.value for s in statements_from_sr(document) if s.concept == "FLAG"]
    assert "AREA_WEIGHT" in concepts
    assert not {"SMI", "AREA_BMI", "8302-2", "60621009"} & concepts
    assert "height missing: muscle area per height² and per BMI are not reported" in flags
