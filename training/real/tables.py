"""The results as a page of Markdown and as CSV."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median

from training.real.agreement import FEW, agreements, dice_by_label
from training.real.answer import Answer, Outcome
from training.real.case import RealCase
from training.real.checks import LEVEL_MM, VERTEBRA_MM, Check, level_words
from training.real.score import Scored

MANY_SLICES = 10_000
SLICE_BINS = ((0, 0), (1, 1), (2, 2), (3, 5), (6, 10), (11, MANY_SLICES))
MODELS_SAW = "The shipped models saw synthetic CT only."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaseResult:
    """One case with everything found."""

    case: RealCase
    answer: Answer | None
    """None where the node refuses the series and nothing could be looked at."""
    scored: Scored
    checks: tuple[Check, ...]
    field_mm: float | None = None
    picture: str = ""
    """Path of the picture as the page refers to it; empty: none shown."""
    parts: tuple["CaseResult", ...] = field(default_factory=tuple)
    """Fields cut out of it."""


def page(results: Sequence[CaseResult], title: str, agreement_picture: str) -> str:
    """Everything as Markdown."""
    lines = [f"# {title}", "", *_preface(results), "", *_overview(results)]
    lines += ["", *_level_lines(results), "", *_structures(results)]
    lines += ["", *_agreement_lines(results, agreement_picture)]
    for result in results:
        if result.parts:
            lines += ["", *_part_lines(result)]
    lines += ["", *_check_lines(results)]
    for result in results:
        if result.answer is not None:
            lines += ["", *_case_lines(result)]
    return "\n".join(lines) + "\n"


def _preface(results: Sequence[CaseResult]) -> list[str]:
    with_reference = sum(bool(r.scored.scores) for r in results)
    return [
        f"Made by `python -m training.evaluate_real`. {MODELS_SAW} {len(results)} cases, {with_reference} with reference masks, "
        f"{sum(r.case.l3_z_mm is not None for r in results)} with a reference level; a handful of patients proves nothing.",
        "The reference level is the middle of the vertebral *body*: what of the label lies in front of the canal, between the end "
        "plates over its core (the whole label's middle lies lower). Tissues are compared within the HU windows on both sides, on "
        "the slices that have reference tissues.",
    ]


def _overview(results: Sequence[CaseResult]) -> list[str]:
    lines = [
        "## Cases",
        "",
        "| case | field, mm | the node says | L3 | organs found | flags |",
        "|---|---|---|---|---|---|",
    ]
    for result in results:
        case, answer = result.case, result.answer
        says = f"`{case.rejection.reason_code}`" if case.rejection else "taken"
        if answer is None:
            lines.append(f"| {case.name} | | {says}: {_cell(_found(case))} | | | |")
            continue
        field_mm = "" if result.field_mm is None else f"{result.field_mm:.0f}"
        cut = sum(organ.is_incomplete for organ in answer.organ_results)
        organs = f"{len(answer.organ_results)}, {cut} cut" if answer.organ_results else "none"
        flags = [*answer.flags] + ([case.trouble] if case.trouble else [])
        level = level_words(answer, result.scored)
        if answer.why and not any(answer.why in flag for flag in answer.flags):
            level += f" ({answer.why})"
        lines.append(
            f"| {case.name} | {field_mm} | {says} | {_cell(level)} | {organs} | {_cell('; '.join(flags))} |"
        )
    return lines


def _found(case: RealCase) -> str:
    return f"found {case.rejection.found}" if case.rejection else ""


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")


def _level_lines(results: Sequence[CaseResult]) -> list[str]:
    """Distribution over whole cases that have a reference level."""
    wanted = [r for r in results if r.case.l3_z_mm is not None and r.answer is not None]
    if not wanted:
        return ["## Level of L3", "", "No case has a reference level."]
    errors = [abs(r.scored.level_error_mm) for r in wanted if r.scored.level_error_mm is not None]
    slices = [abs(s) for r in wanted if (s := r.scored.level_error_slices) is not None]
    silent = sum(
        r.answer is not None
        and r.answer.outcome is Outcome.FOUND
        and r.scored.level_error_mm is not None
        and abs(r.scored.level_error_mm) > VERTEBRA_MM
        for r in wanted
    )
    lines = [
        "## Level of L3",
        "",
        "| n | reported | median, mm | worst, mm | median, slices | worst, slices | within 10 mm | wrong vertebra without a flag |",
        "|---|---|---|---|---|---|---|---|",
    ]
    if errors:
        numbers = f"{median(errors):.1f} | {max(errors):.1f} | {median(slices):.0f} | {max(slices)}"
    else:
        numbers = "– | – | – | –"
    within = sum(error <= LEVEL_MM for error in errors)
    lines.append(f"| {len(wanted)} | {len(errors)} | {numbers} | {within} | {silent} |")
    return [*lines, "", *_slice_distribution(slices)] if slices else lines


def _slice_distribution(slices: Sequence[int]) -> list[str]:
    counts = [sum(low <= s <= high for s in slices) for low, high in SLICE_BINS]
    return [
        "| off by | " + " | ".join(_bin_name(*limits) for limits in SLICE_BINS) + " |",
        "|---|" + "---|" * len(SLICE_BINS),
        "| cases | " + " | ".join(map(str, counts)) + " |",
    ]


def _bin_name(low: int, high: int) -> str:
    if high >= MANY_SLICES:
        return f"{low} slices and more"
    return f"{low} slices" if low == high else f"{low} to {high} slices"


def _structures(results: Sequence[CaseResult]) -> list[str]:
    table = dice_by_label(score for r in results for score in r.scored.scores)
    if not table:
        return ["## Structures", "", "No case has reference masks."]
    lines = [
        "## Structures",
        "",
        "| | n | Dice, mean | median | worst |",
        "|---|---|---|---|---|",
    ]
    for label, values in table.items():
        lines.append(
            f"| {label} | {len(values)} | {mean(values):.3f} | {median(values):.3f} | {min(values):.3f} |"
        )
    return lines


def _agreement_lines(results: Sequence[CaseResult], picture: str) -> list[str]:
    found = agreements(score for r in results for score in r.scored.scores)
    if not found:
        return ["## Agreement", "", "Nothing to compare."]
    few = max(len(one.pairs) for one in found) < FEW
    lines = [
        "## Agreement (Bland–Altman)",
        "",
        *(["Too few cases for limits of agreement to mean anything.", ""] if few else []),
        "| | n | reference, mean | bias | limits of agreement |",
        "|---|---|---|---|---|",
    ]
    for one in found:
        limits = "–" if one.limits is None else f"{one.limits[0]:+.1f} to {one.limits[1]:+.1f}"
        reference = mean(reference for _, reference in one.pairs)
        lines.append(
            f"| {one.label}, {one.unit} | {len(one.pairs)} | {reference:.1f} | {one.bias:+.1f} | {limits} |"
        )
    return [*lines, *(["", f"![Bland–Altman]({picture})"] if picture else [])]


def _part_lines(result: CaseResult) -> list[str]:
    lines = [
        f"## Fields cut out of {result.case.name}",
        "",
        "Millimetres above and below the middle of L3.",
        "",
        "| field | mm | L3 | confidence | as wanted |",
        "|---|---|---|---|---|",
    ]
    for part in result.parts:
        assert part.answer is not None
        holds = all(check.holds for check in part.checks)
        confidence = "" if part.answer.confidence is None else f"{part.answer.confidence:.2f}"
        name = part.case.name.removeprefix(f"{result.case.name}, ")
        why = f" ({part.answer.why})" if part.answer.why else ""
        lines.append(
            f"| {name} | {part.field_mm or 0:.0f} | {_cell(level_words(part.answer, part.scored) + why)} "
            f"| {confidence} | {'yes' if holds else '**NO**'} |"
        )
    return lines


def all_checks(results: Sequence[CaseResult]) -> Iterator[Check]:
    """Of cases and of their parts."""
    for result in results:
        yield from result.checks
        yield from all_checks(result.parts)


def _check_lines(results: Sequence[CaseResult]) -> list[str]:
    checks = list(all_checks(results))
    if not checks:
        return ["## Wanted", "", "No public case and no reference level: nothing to hold it to."]
    lines = ["## Wanted", "", "| case | wanted | found | holds |", "|---|---|---|---|"]
    lines += [
        f"| {c.case} | {c.must} | {_cell(c.did)} | {'yes' if c.holds else '**NO**'} |"
        for c in checks
    ]
    return [*lines, "", f"{sum(c.holds for c in checks)} of {len(checks)} hold."]


def _case_lines(result: CaseResult) -> list[str]:
    case, answer = result.case, result.answer
    assert answer is not None
    lines = [f"## {case.name}", ""]
    if case.known is not None:
        says = case.known.says
        lines += [f"{says[0].upper()}{says[1:]}. Source: {case.known.attribution}.", ""]
    if result.picture:
        lines += [f"![{case.name}]({result.picture})", ""]
        if case.known is not None and case.known.attribution:
            lines += [f"*Picture: ours, of {case.known.attribution}; changed as seen.*", ""]
    elif case.known is not None and not case.known.may_show:
        lines += ["No picture: its licence is not known well enough to show one here.", ""]
    lines += ["| | Dice | found | reference | |", "|---|---|---|---|---|"]
    for score in result.scored.scores:
        overlap = "–" if score.dice is None else f"{score.dice:.3f}"
        change = f"{100 * (score.found / score.reference - 1):+.0f} %" if score.reference else ""
        lines.append(
            f"| {score.label} | {overlap} | {score.found:.1f} {score.unit} | {score.reference:.1f} {score.unit} | {change} |"
        )
    compared = {score.structure for score in result.scored.scores}
    for organ in answer.organ_results:
        if organ.structure not in compared:
            cut = "cut by the field" if organ.is_incomplete else ""
            name = organ.structure.value.replace("_", " ")
            lines.append(f"| {name} | no reference | {organ.volume_ml:.1f} ml | | {cut} |")
    for structure, area in answer.areas_cm2.items():
        name = structure.value.replace("_", " ")
        lines.append(f"| {name}, area at our L3 | | {area:.1f} cm² | | |")
    return lines


CASE_COLUMNS = (
    "case", "node", "outcome", "why", "confidence", "l3_z_mm", "reference_l3_z_mm", "error_mm", "error_slices",
    "field_mm", "flags", "trouble",
)  # fmt: skip
SCORE_COLUMNS = ("case", "structure", "part", "quantity", "unit", "found", "reference", "dice")


def write_csv(results: Sequence[CaseResult], folder: Path) -> None:
    """cases.csv and scores.csv."""
    with (folder / "cases.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(CASE_COLUMNS)
        for result in _flat(results):
            writer.writerow(_case_row(result))
    with (folder / "scores.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(SCORE_COLUMNS)
        for result in _flat(results):
            for score in result.scored.scores:
                overlap = "" if score.dice is None else f"{score.dice:.4f}"
                what = (score.structure.value, score.part, score.quantity, score.unit)
                values = (f"{score.found:.3f}", f"{score.reference:.3f}", overlap)
                writer.writerow((result.case.name, *what, *values))


def _flat(results: Sequence[CaseResult]) -> Iterator[CaseResult]:
    for result in results:
        yield result
        yield from _flat(result.parts)


def _case_row(result: CaseResult) -> list[str]:
    case, answer, compared = result.case, result.answer, result.scored

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.2f}"

    node = case.rejection.reason_code if case.rejection else "taken"
    return [
        case.name,
        node,
        answer.outcome.value if answer else "",
        answer.why if answer else "",
        number(answer.confidence if answer else None),
        number(answer.z_mm if answer else None),
        number(case.l3_z_mm),
        number(compared.level_error_mm),
        str(compared.level_error_slices) if compared.level_error_slices is not None else "",
        number(result.field_mm),
        "; ".join(answer.flags) if answer else "",
        case.trouble,
    ]
