"""Sex, age, height and weight from the headers, kept only where they are plausible."""

from datetime import datetime

from pydicom.dataset import Dataset

from inference.dicom.header_values import number, raw_value, text
from inference.domain.measurement import Patient

HEIGHT_LIMITS_M = (0.5, 2.5)
WEIGHT_LIMITS_KG = (10.0, 400.0)
AGE_LIMITS_YEARS = (0.0, 120.0)

_SOURCES = {
    "PatientAge": "age: Patient's Age (0010,1010) of the images",
    "PatientBirthDate": "age: Patient's Birth Date (0010,0030) and Study Date (0008,0020) of the images",
    "PatientSize": "height: Patient's Size (0010,1020) of the images",
    "PatientWeight": "weight: Patient's Weight (0010,1030) of the images",
}

_YEARS_PER_AGE_UNIT = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


def patient_from_header(header: Dataset) -> Patient:
    """What the indices need; every absent value has a note that says why."""
    notes: list[str] = []
    sex = text(header, "PatientSex").upper()
    if sex not in ("M", "F"):
        notes.append("sex is missing or other: no cut-offs")
    age_years = _age(header, notes)
    height_m = _plausible(header, "PatientSize", ("height", "m", HEIGHT_LIMITS_M), notes)
    weight_kg = _plausible(header, "PatientWeight", ("weight", "kg", WEIGHT_LIMITS_KG), notes)
    return Patient(
        sex=sex if sex in ("M", "F") else None,
        age_years=age_years,
        height_m=height_m,
        weight_kg=weight_kg,
        notes=tuple(notes),
        sources=(
            *([_age_source(header)] if age_years is not None else []),
            *([_SOURCES["PatientSize"]] if height_m is not None else []),
            *([_SOURCES["PatientWeight"]] if weight_kg is not None else []),
        ),
    )


def _age_source(header: Dataset) -> str:
    is_stated = _age_from_string(text(header, "PatientAge")) is not None
    return _SOURCES["PatientAge" if is_stated else "PatientBirthDate"]


def _plausible(
    header: Dataset, keyword: str, rule: tuple[str, str, tuple[float, float]], notes: list[str]
) -> float | None:
    name, unit, (low, high) = rule
    value = number(header, keyword)
    if value is None:
        is_there = (
            bool(header.get_item(keyword, keep_deferred=True))
            and raw_value(header, keyword) is not None
        )
        notes.append(f"{name} is not a number" if is_there else f"{name} is missing")
        return None
    if low <= value <= high:
        return value
    notes.append(f"{name} {value:g} {unit} is implausible ({low:g} to {high:g} {unit})")
    return None


def _age(header: Dataset, notes: list[str]) -> float | None:
    age = _age_from_string(text(header, "PatientAge"))
    if age is None:
        age = _age_between(text(header, "PatientBirthDate"), text(header, "StudyDate"))
    if age is None:
        notes.append("age is missing")
        return None
    low, high = AGE_LIMITS_YEARS
    if low <= age <= high:
        return age
    notes.append(f"age {age:.0f} years is implausible ({low:.0f} to {high:.0f} years)")
    return None


def _age_from_string(value: str) -> float | None:
    """Years of an Age String such as 064Y or 006M (PS3.5 6.2)."""
    digits, unit = value[:-1], value[-1:]
    if not (digits.isascii() and digits.isdigit()) or unit not in _YEARS_PER_AGE_UNIT:
        return None
    return int(digits) * _YEARS_PER_AGE_UNIT[unit]


def _age_between(birth_date: str, study_date: str) -> float | None:
    try:
        born = datetime.strptime(birth_date, "%Y%m%d")
        seen = datetime.strptime(study_date, "%Y%m%d")
    except ValueError:
        return None
    return float(int((seen - born).days / 365.25))
