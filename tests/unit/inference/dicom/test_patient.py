"""Only plausible patient values are used, and each absence is explained."""

import pytest
from pydicom.dataset import Dataset

from inference.dicom.patient import patient_from_header


def header(**values: str) -> Dataset:
    dataset = Dataset()
    known = {"PatientSex": "F", "PatientAge": "064Y", "PatientSize": "1.62", "PatientWeight": "58"}
    for keyword, value in (known | values).items():
        # A text VR for all, so that pydicom does not judge the damaged ones.
        dataset.add_new(keyword, "LO", value)
    return dataset


def test_plausible_values_are_taken_without_a_note() -> None:
    patient = patient_from_header(header())

    assert (patient.sex, patient.age_years) == ("F", 64)
    assert (patient.height_m, patient.weight_kg) == (1.62, 58)
    assert patient.notes == ()


def test_a_height_in_centimetres_is_reported_and_never_guessed() -> None:
    patient = patient_from_header(header(PatientSize="170"))

    assert patient.height_m is None
    assert patient.notes == ("height 170 m is implausible (0.5 to 2.5 m)",)


@pytest.mark.parametrize("weight", ["0", "9.9", "401", "nan", "inf"])
def test_an_implausible_weight_is_absent(weight: str) -> None:
    patient = patient_from_header(header(PatientWeight=weight))

    assert patient.weight_kg is None
    assert len(patient.notes) == 1


def test_missing_and_unreadable_values_are_told_apart() -> None:
    patient = patient_from_header(header(PatientSize="", PatientWeight="heavy"))

    assert patient.notes == ("height is missing", "weight is not a number")


@pytest.mark.parametrize(("sex", "found"), [("M", "M"), ("f", "F"), ("O", None), ("", None)])
def test_sex_is_male_female_or_absent(sex: str, found: str | None) -> None:
    assert patient_from_header(header(PatientSex=sex)).sex == found


@pytest.mark.parametrize(
    ("age", "years"), [("006M", 0.5), ("010D", 10 / 365.25), ("052W", 52 * 7 / 365.25)]
)
def test_the_ages_of_children_come_in_other_units(age: str, years: float) -> None:
    assert patient_from_header(header(PatientAge=age)).age_years == pytest.approx(years)


def test_a_missing_age_is_taken_from_birth_and_study_date() -> None:
    dates = {"PatientAge": "", "PatientBirthDate": "19600111", "StudyDate": "20240110"}

    assert patient_from_header(header(**dates)).age_years == 63


@pytest.mark.parametrize("age", ["", "64", "-64Y", "²Y", "999Y"])
def test_an_unusable_age_is_absent_with_a_note(age: str) -> None:
    patient = patient_from_header(header(PatientAge=age))

    assert patient.age_years is None
    assert patient.notes[0].startswith("age ")


def test_each_value_says_where_it_comes_from() -> None:
    assert patient_from_header(header()).sources == (
        "age: Patient's Age (0010,1010) of the images",
        "height: Patient's Size (0010,1020) of the images",
        "weight: Patient's Weight (0010,1030) of the images",
    )


def test_an_absent_value_has_no_source_and_an_age_from_dates_says_so() -> None:
    dates = {"PatientAge": "", "PatientBirthDate": "19600111", "StudyDate": "20240110"}
    patient = patient_from_header(header(PatientSize="170", PatientWeight="", **dates))

    assert patient.sources == (
        "age: Patient's Birth Date (0010,0030) and Study Date (0008,0020) of the images",
    )
