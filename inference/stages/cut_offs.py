"""Published cut-offs put beside a patient's values; silent when sex is unknown or the patient is a minor."""

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from inference.domain.errors import ConfigurationInvalid
from inference.domain.labelmap import Structure
from inference.domain.measurement import CutOff, Measurement, Patient, Quantity

TABLES_PATH = Path(__file__).parent / "reference_tables.toml"
ADULT_YEARS = 18


@cache
def reference_tables() -> dict[str, dict[str, Any]]:
    """All shipped tables by name."""
    return tomllib.loads(TABLES_PATH.read_text(encoding="utf-8"))


def cut_offs_for(
    measurements: Sequence[Measurement], patient: Patient, tables: Sequence[str]
) -> tuple[CutOff, ...]:
    """The muscle cut-offs of the named tables that apply to this patient."""
    known = reference_tables()
    if unknown := [name for name in tables if name not in known]:
        raise ConfigurationInvalid(
            found=f"reference table {unknown[0]!r:.40}",
            wanted=f"one of {', '.join(known)}",
            advice="Mend tables in the profile, or add the table to reference_tables.toml.",
        )
    if (
        patient.sex not in ("M", "F")
        or patient.age_years is None
        or patient.age_years < ADULT_YEARS
    ):
        return ()
    values = {
        m.quantity: m for m in measurements if m.structure == Structure.SKELETAL_MUSCLE
    }  # fmt: skip
    return tuple(
        CutOff(
            table=name,
            population=known[name]["population"],
            citation=known[name]["citation"],
            quantity=Quantity(row["quantity"]),
            structure=Structure.SKELETAL_MUSCLE,
            value=values[Quantity(row["quantity"])].value,
            cut_off=row[patient.sex],
            unit=values[Quantity(row["quantity"])].unit,
        )
        for name in tables
        for row in known[name]["cut_offs"]
        if row["quantity"] in values and _applies(row, patient)
    )


def _applies(row: dict[str, Any], patient: Patient) -> bool:
    """Whether a row's BMI condition holds; a row without one always applies."""
    if "bmi_below" not in row and "bmi_from" not in row:
        return True
    if not patient.height_m or not patient.weight_kg:
        return False
    bmi = patient.weight_kg / patient.height_m**2
    return bool(row.get("bmi_from", 0.0) <= bmi < row.get("bmi_below", float("inf")))
