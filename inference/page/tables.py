"""The numbers of the picture page as rows of words; nothing is drawn here."""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.domain.labelmap import TISSUES, Structure
from inference.domain.level_outcome import LevelOutcome
from inference.domain.measurement import (
    CutOff,
    Level,
    Measurement,
    ModelUse,
    OrganResult,
    Quantity,
    Report,
    Unit,
)
from inference.page.words import Words
from inference.stages.measure import value_of

NOTHING = "–"
UNITS = {
    Unit.CM2: "cm²",
    Unit.CM2_PER_M2: "cm²/m²",
    Unit.CM2_PER_KG: "cm²/kg",
    Unit.CM2_PER_BMI: "cm²/BMI",
    Unit.HU: "HU",
}
INDICES = (Quantity.INDEX_HEIGHT2, Quantity.INDEX_WEIGHT, Quantity.INDEX_BMI)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a table."""

    cells: tuple[str, ...]
    structure: Structure | None = None
    """Whose colour is shown before the row."""
    is_low: bool = False
    """The last cell is a finding."""


def tissue_rows(report: Report, words: Words) -> list[Row]:
    """Area, density and slab volume of each tissue, then what is derived from them."""
    found = report.body_composition

    def cell(quantity: Quantity, structure: Structure | None, digits: int) -> str:
        value = value_of(found, quantity, structure)
        return NOTHING if value is None else _number(value, digits)

    rows = [
        Row(
            structure=tissue,
            cells=(
                words.structures[tissue],
                cell(Quantity.AREA, tissue, 1),
                cell(Quantity.MEAN_HU, tissue, 0),
                cell(Quantity.SD_HU, tissue, 0),
                cell(Quantity.VOLUME, tissue, 0),
            ),
        )
        for tissue in TISSUES
    ]
    muscle = Structure.SKELETAL_MUSCLE
    percent = cell(Quantity.LOW_DENSITY_PERCENT, muscle, 0)
    low = cell(Quantity.LOW_DENSITY_AREA, muscle, 1)
    return [
        *rows,
        Row(cells=(words["total_fat"], cell(Quantity.TOTAL_FAT_AREA, None, 1), "", "", "")),
        Row(cells=(words["fat_ratio"], cell(Quantity.VAT_SAT_RATIO, None, 2), "", "", "")),
        Row(cells=(words["low_density"].format(percent=percent), low, "", "", "")),
    ]


def index_rows(report: Report, words: Words) -> list[Row]:
    """Each cut-off with the patient's value, then indices no cut-off was found for."""
    compared = {row.quantity for row in report.cut_offs}
    alone = [
        m for m in report.body_composition if m.quantity in INDICES and m.quantity not in compared
    ]
    return [
        *(_cut_off_row(row, words) for row in report.cut_offs),
        *(Row(cells=(words.quantities[m.quantity], _with_unit(m), "", "")) for m in alone),
    ]


def cut_off_sources(report: Report, words: Words) -> list[str]:
    """Which tables were applied."""
    tables = dict.fromkeys((row.table, row.population) for row in report.cut_offs)
    if not tables:
        return [words["no_cut_offs"]]
    return [
        words["cut_offs_from"].format(table=table, population=words.sentence(population))
        for table, population in tables
    ]


def organ_rows(organs: Sequence[OrganResult], words: Words, room: int) -> list[Row]:
    """Volume and density of each organ, ours first; where there is no room for all the last row counts the rest."""
    ordered = sorted(organs, key=lambda organ: organ.structure.is_listed)
    shown = ordered if len(ordered) <= room else ordered[: room - 1]
    rows = [_organ_row(organ, words) for organ in shown]
    if rest := len(ordered) - len(shown):
        rows.append(Row(cells=(words["more_organs"].format(count=rest), "", "", "")))
    return rows


def _organ_row(organ: OrganResult, words: Words) -> Row:
    return Row(
        structure=organ.structure,
        cells=(
            words.structures[organ.structure],
            _number(organ.volume_ml, 0),
            NOTHING if organ.mean_hu is None else _number(organ.mean_hu, 0),
            words["cut"] if organ.is_incomplete else "",
        ),
    )


def scan_lines(report: Report, words: Words, image_number: int | None) -> list[str]:
    """Where was measured, and what of the scan and the patient the numbers depend on; nothing that identifies."""
    kvp = words["kvp_unknown"] if report.kvp is None else f"{report.kvp:g} kV"
    # The agent's own name is free text of the scanner: it stays in the structured report.
    contrast = "contrast_unknown" if report.contrast == "unknown" else "contrast_given"
    patient = report.patient
    sex = {"M": words["male"], "F": words["female"]}.get(patient.sex or "", words["unknown"])
    height = words["unknown"] if patient.height_m is None else f"{patient.height_m:.2f} m"
    weight = words["unknown"] if patient.weight_kg is None else f"{patient.weight_kg:.1f} kg"
    lines = []
    if report.level is not None:
        image = "" if image_number is None else words["image_line"].format(number=image_number)
        lines += [
            words["level_line"].format(z=_number(report.level.z_mm, 1), image=image),
            _slab_line(report.level, report.slab_height_mm or 0, words),
        ]
    return [
        *lines,
        words[contrast].format(kvp=kvp),
        words["patient_line"].format(sex=sex, height=height, weight=weight),
    ]


def _slab_line(level: Level, height_mm: float, words: Words) -> str:
    height = f"{height_mm:.1f}"
    if level.confidence is None:
        return words["slab_line_by_hand"].format(height=height)
    return words["slab_line"].format(confidence=f"{level.confidence:.2f}", height=height)


def level_doubt(report: Report, words: Words) -> str:
    """What stands at the head of the page where L3 is not sure; empty where it is."""
    if report.level_outcome is LevelOutcome.FOUND:
        return ""
    why = "; ".join(words.sentence(reason) for reason in report.level_reasons)
    key = "uncertain" if report.level_outcome is LevelOutcome.UNCERTAIN else "not_in_field"
    return words[key].format(why=why)


def model_lines(models: Sequence[ModelUse]) -> list[str]:
    """Name, version, where it ran and the beginning of the hash of each model."""
    return [
        f"{use.name} {use.version} · {use.provider} · sha256 {use.sha256[:12]}" for use in models
    ]


def area_of(report: Report, structure: Structure) -> str:
    """The area at L3, in words."""
    value = value_of(report.body_composition, Quantity.AREA, structure)
    return NOTHING if value is None else f"{_number(value, 1)} cm²"


def _cut_off_row(row: CutOff, words: Words) -> Row:
    verdict = words["below"] if row.is_low else words["not_below"]
    unit = UNITS[row.unit]
    return Row(
        cells=(
            words.quantities[row.quantity],
            f"{_number(row.value, _digits(row.value))} {unit}",
            f"{row.cut_off:g}",
            verdict,
        ),
        is_low=row.is_low,
    )


def _with_unit(m: Measurement) -> str:
    return f"{_number(m.value, _digits(m.value))} {UNITS[m.unit]}"


def _digits(value: float) -> int:
    return 1 if abs(value) >= 10 else 2


def _number(value: float, digits: int) -> str:
    """With a true minus sign, and never a negative zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")
