"""The numbers of an analysis as tables on a terminal."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from inference.domain.measurement import Level, OrganResult, Report, Unit
    from inference.domain.series_choice import ConsideredSeries


def print_report(report: "Report") -> None:
    """All that a person wants to read."""
    from rich.console import Console

    console = Console()
    console.print(_body_composition(report))
    voltage = "unknown" if report.kvp is None else f"{report.kvp:g} kV"
    console.print(
        f"Contrast agent: {report.contrast}; tube voltage: {voltage}", markup=False, highlight=False
    )
    shown = _units()
    for row in report.cut_offs:
        verdict = "below" if row.is_low else "not below"
        console.print(
            f"{row.quantity.value.replace('_', ' ')} {row.value:.2f}: {verdict} {row.cut_off} {shown[row.unit]}, "
            f"difference {row.difference:+.2f} ({row.table}: {row.population})",
            highlight=False,
        )
    if report.organs:
        _print_organs(console, report.organs)
    for plan in report.organ_patches:
        console.print(f"Organs from {plan}", highlight=False)
    for flag in report.flags:
        console.print(f"! {flag}", markup=False, highlight=False)
    spent = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report.seconds.items())
    engines = ", ".join(dict.fromkeys(use.provider for use in report.models))
    console.print(f"{spent}; networks on {engines}. For research use only.", highlight=False)


def _units() -> "dict[Unit, str]":
    """UCUM's codes of some are not for people, and rich would take "[hnsf'U]" for markup."""
    from inference.domain.measurement import Unit

    return {unit: unit.value for unit in Unit} | {Unit.HU: "HU", Unit.RATIO: ""}


def _body_composition(report: "Report") -> "Table":
    from rich.table import Table

    level, shown = report.level, _units()
    title = (
        f"At L3, z {level.z_mm:.1f} mm (slice {level.slice_index}, {_certainty(level)}); "
        f"volumes of a slab of {report.slab_height_mm or 0:.0f} mm"
        if level
        else ""
    )
    table = Table("structure", "quantity", "value", "unit", title=title, title_justify="left")
    for m in report.body_composition:
        named = m.structure.value.replace("_", " ") if m.structure else "patient"
        if m.structure in report.experimental:
            named += " (experimental)"
        table.add_row(named, m.quantity.value.replace("_", " "), f"{m.value:.2f}", shown[m.unit])
    return table


def _certainty(level: "Level") -> str:
    return level.source if level.confidence is None else f"confidence {level.confidence:.2f}"


def print_considered(series: "Sequence[ConsideredSeries]") -> None:
    """Which series was taken, where there was a choice."""
    if len(series) < 2:
        return
    for row in series:
        name = "without number" if row.number is None else row.number
        code = f" [{row.code}]" if row.code else ""
        sys.stdout.write(
            f"series {name} ({row.images} images): {row.outcome}{code}, {row.score} points: {row.why}\n"
        )


def _print_organs(console: "Console", results: "Sequence[OrganResult]") -> None:
    from rich.table import Table

    organs = Table("organ", "ml", "mean HU", "SD HU", "", title="Organs", title_justify="left")
    for organ in results:
        organs.add_row(
            organ.structure.value.replace("_", " "),
            f"{organ.volume_ml:.1f}",
            "" if organ.mean_hu is None else f"{organ.mean_hu:.0f}",
            "" if organ.sd_hu is None else f"{organ.sd_hu:.0f}",
            "cut by the field of view" if organ.is_incomplete else "",
        )
    console.print(organs)
