"""Height and weight entered by a person: what takes the place of what, and what is said of it."""

import pytest

from inference.domain.entered_size import EnteredSize, with_entered_size
from inference.domain.measurement import Patient

AT = 1_750_000_000.0
FROM_IMAGES = Patient(
    sex="F",
    age_years=60.0,
    height_m=1.6,
    weight_kg=None,
    notes=("weight is missing",),
    sources=(
        "age: Patient's Age (0010,1010) of the images",
        "height: Patient's Size (0010,1020) of the images",
    ),
)


def entered(height_m: float | None = None, weight_kg: float | None = None) -> EnteredSize:
    return EnteredSize(height_m=height_m, weight_kg=weight_kg, entered_by="maria", entered_at=AT)


def test_nothing_entered_changes_nothing() -> None:
    assert with_entered_size(FROM_IMAGES, None) is FROM_IMAGES


def test_what_was_missing_is_filled_and_its_note_goes() -> None:
    patient = with_entered_size(FROM_IMAGES, entered(weight_kg=70.5))

    assert (patient.height_m, patient.weight_kg) == (1.6, 70.5)
    assert patient.notes == ()
    assert patient.sources == (
        *FROM_IMAGES.sources,
        "weight: entered at the node by maria, 2025-06-15 15:06 UTC",
    )


def test_what_was_there_is_replaced_with_its_source() -> None:
    patient = with_entered_size(FROM_IMAGES, entered(height_m=1.75))

    assert patient.height_m == 1.75
    assert patient.notes == ("weight is missing",)
    assert patient.sources == (
        FROM_IMAGES.sources[0],
        "height: entered at the node by maria, 2025-06-15 15:06 UTC",
    )


@pytest.mark.parametrize(
    "note", ["height is missing", "height 170 m is implausible (0.5 to 2.5 m)"]
)
def test_a_note_on_a_value_that_was_replaced_goes(note: str) -> None:
    patient = with_entered_size(Patient(notes=(note, "age is missing")), entered(height_m=1.7))

    assert patient.notes == ("age is missing",)


def test_sex_and_age_stay() -> None:
    patient = with_entered_size(FROM_IMAGES, entered(1.7, 70.0))

    assert (patient.sex, patient.age_years) == ("F", 60.0)
