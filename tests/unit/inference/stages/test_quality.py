"""Every doubt about a result becomes a sentence in it."""

import pytest

from inference.domain.labelmap import Structure
from inference.domain.measurement import Measurement, OrganResult, Patient, Quantity, Unit
from inference.stages.quality import (
    level_flags,
    organ_flags,
    patient_flags,
    scan_flags,
    slab_flags,
    unusual_flags,
)


def areas(middle: float, above: float) -> tuple[Measurement, ...]:
    return tuple(
        Measurement(
            quantity=quantity, value=value, unit=Unit.CM2, structure=Structure.SKELETAL_MUSCLE
        )
        for quantity, value in ((Quantity.AREA, middle), (Quantity.AREA_SLICE_ABOVE, above))
    )


def test_a_scan_that_says_all_raises_no_doubt() -> None:
    assert scan_flags("Iohexol", 100.0) == []


def test_unknown_contrast_and_voltage_are_told_apart() -> None:
    contrast, voltage = scan_flags("unknown", None)

    assert "contrast" in contrast
    assert "voltage" in voltage


@pytest.mark.parametrize(("above", "count"), [(114.0, 0), (116.0, 1), (84.0, 1)])
def test_an_area_that_jumps_between_neighbours_is_flagged(above: float, count: int) -> None:
    assert len(level_flags(areas(100.0, above))) == count


def test_a_slab_that_lacks_a_part_of_l3_is_flagged() -> None:
    assert slab_flags(28.0, (100.0, 128.0)) == []
    assert "6 mm" in slab_flags(22.0, (100.0, 128.0))[0]


def organ(name: str, *, is_cut: bool) -> OrganResult:
    return OrganResult(
        structure=Structure(name),
        volume_ml=10.0,
        mean_hu=40.0,
        sd_hu=10.0,
        box_lps_mm=((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        is_incomplete=is_cut,
    )


def test_organs_that_are_cut_are_named_and_other_structures_counted() -> None:
    whole = organ("spleen", is_cut=False), organ("sacrum", is_cut=False)
    cut = organ("liver", is_cut=True), organ("kidney_left", is_cut=True)
    legs = organ("femur_left", is_cut=True), organ("femur_right", is_cut=True)

    assert organ_flags(whole) == []
    assert organ_flags((*whole, *cut)) == [
        "cut by the field of view, volume incomplete: liver, kidney left"
    ]
    assert organ_flags((*whole, *legs)) == [
        "structures beside the organs cut by the field of view: 2"
    ]
    assert len(organ_flags((*cut, *legs))) == 2


def test_what_is_missing_of_the_patient_is_named() -> None:
    flags = " ".join(patient_flags(Patient()))

    assert all(word in flags for word in ("height", "weight", "sex or age"))
    assert patient_flags(Patient(sex="F", age_years=40, height_m=1.6, weight_kg=60)) == []
    assert "under 18" in patient_flags(
        Patient(sex="F", age_years=12, height_m=1.6, weight_kg=60)
    )[0]  # fmt: skip


@pytest.mark.parametrize(
    ("area", "patient", "words"),
    [
        (59.0, Patient(sex="M", age_years=50), "59 cm²: outside 60 to 298 cm²"),
        (299.0, Patient(sex="M", age_years=50), "299 cm²: outside 60 to 298 cm²"),
        (59.0, Patient(sex="F", age_years=50), ""),
        (36.0, Patient(sex="F", age_years=50), "36 cm²: outside 37 to 186 cm²"),
        (190.0, Patient(sex="F", age_years=50), "190 cm²: outside 37 to 186 cm²"),
        (190.0, Patient(), ""),
        (36.0, Patient(), "36 cm²: outside 37 to 298 cm²"),
        (36.0, Patient(sex="F", age_years=9), ""),
    ],
)
def test_a_muscle_area_that_few_adults_have_is_told_with_limits_and_source(
    area: float, patient: Patient, words: str
) -> None:
    flags = unusual_flags(areas(area, area), patient)

    assert words in " ".join(flags)
    assert len(flags) == bool(words)
    assert all("kr-kim-2021" in flag for flag in flags)
