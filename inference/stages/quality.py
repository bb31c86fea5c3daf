"""What a reader of the numbers must know: each doubt is a sentence in the result."""

from inference.domain.labelmap import Structure
from inference.domain.measurement import Measurement, OrganResult, Patient, Quantity
from inference.stages.cut_offs import ADULT_YEARS, reference_tables
from inference.stages.measure import value_of

STABLE_PERCENT = 15.0
"""Muscle area may differ by this much between neighbouring slices before the level is doubted."""
SLAB_TOLERANCE_MM = 0.5
UNUSUAL_TABLE = "kr-kim-2021"
UNUSUAL_TIMES = (0.5, 2.5)
"""Muscle area below and above so many times the table's cut-off is looked at twice: broad, and chosen by us."""


def patient_flags(patient: Patient) -> list[str]:
    """Which indices are absent and why."""
    flags = list(patient.notes)
    if patient.height_m is None:
        flags.append("height missing: muscle area per height² and per BMI are not reported")
    if patient.weight_kg is None:
        flags.append("weight missing: muscle area per weight and per BMI are not reported")
    if patient.sex is None or patient.age_years is None:
        flags.append("sex or age missing: no reference table is applied")
    elif patient.age_years < 18:
        flags.append("patient under 18: no reference table is applied")
    return flags


def scan_flags(contrast: str, kvp: float | None) -> list[str]:
    """What makes muscle densities of two scans hard to compare."""
    flags = []
    if contrast == "unknown":
        flags.append("contrast phase unknown: muscle density is not comparable between phases")
    if kvp is None:
        flags.append("tube voltage unknown: muscle density is not comparable between voltages")
    return flags


def level_flags(measurements: tuple[Measurement, ...]) -> list[str]:
    """What the areas say of the level."""
    flags = []
    area = value_of(measurements, Quantity.AREA, Structure.SKELETAL_MUSCLE)
    for quantity in (Quantity.AREA_SLICE_BELOW, Quantity.AREA_SLICE_ABOVE):
        other = value_of(measurements, quantity, Structure.SKELETAL_MUSCLE)
        if area and other is not None and abs(other - area) / area * 100 > STABLE_PERCENT:
            change = (other - area) / area * 100
            flags.append(f"muscle area changes by {change:+.0f} % in the neighbouring slice")
    return flags


def unusual_flags(measurements: tuple[Measurement, ...], patient: Patient) -> list[str]:
    """A muscle area that few adults have; of a patient of unknown sex that few of either sex have."""
    area = value_of(measurements, Quantity.AREA, Structure.SKELETAL_MUSCLE)
    if area is None or (patient.age_years is not None and patient.age_years < ADULT_YEARS):
        return []
    (row,) = (r for r in reference_tables()[UNUSUAL_TABLE]["cut_offs"] if r["quantity"] == "area")
    sexes = (patient.sex,) if patient.sex in ("M", "F") else ("F", "M")
    low, high = (
        limit([row[sex] * times for sex in sexes])
        for limit, times in zip((min, max), UNUSUAL_TIMES, strict=True)
    )
    if low <= area <= high:
        return []
    return [
        f"unusual muscle area {area:.0f} cm²: outside {low:.0f} to {high:.0f} cm²,"
        f" half of to 2.5 times the cut-off of {UNUSUAL_TABLE}"
    ]


def slab_flags(slab_height_mm: float, extent_mm: tuple[float, float]) -> list[str]:
    """Whether the whole L3 body was measured."""
    missing_mm = extent_mm[1] - extent_mm[0] - slab_height_mm
    if missing_mm <= SLAB_TOLERANCE_MM:
        return []
    return [f"field of view ends within L3: slab volumes lack {missing_mm:.0f} mm of its height"]


def organ_flags(organs: tuple[OrganResult, ...]) -> list[str]:
    """Organs the field of view cuts."""
    cut = [organ.structure for organ in organs if organ.is_incomplete]
    named = [structure.value.replace("_", " ") for structure in cut if not structure.is_listed]
    flags = []
    if named:
        flags.append(f"cut by the field of view, volume incomplete: {', '.join(named)}")
    if others := len(cut) - len(named):
        # Of a skeleton much is cut in most scans: each says so in its own row; their names here would hide the organs.
        flags.append(f"structures beside the organs cut by the field of view: {others}")
    return flags
