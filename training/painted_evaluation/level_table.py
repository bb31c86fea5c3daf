"""L3 on painted cases as Markdown: shares with their intervals, groups of cases, flags, failures by seed."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from training.painted_evaluation.gates import (
    NEAR_SHARE,
    NOT_IN_FIELD_SHARE,
    SILENT_SHARE,
    Gate,
    Share,
)
from training.painted_evaluation.scores import (
    OFF_BY_A_VERTEBRA_MM,
    WITHIN_MM,
    Answer,
    CaseScore,
    Ends,
    LevelScore,
    Truth,
)

SLICE_GROUPS_MM = ((0.0, 2.0), (2.0, 3.5), (3.5, 6.0))
CONFIDENCE_GROUPS = ((0.0, 0.5), (0.5, 0.75), (0.75, 0.9), (0.9, 0.97), (0.97, 1.01))
NUMBER = re.compile(r"(?<![A-Za-z])[-+−]?\d+(\.\d+)?")
"""Not those of vertebrae."""
UNUSUAL_COUNTS = {"4 lumbar", "6 lumbar"}

WHERE_TOLD = ", where the field can tell"
RIGHTLY_DENIED = 'rightly so, of answers "not in the field"'
"""Judged where the field can tell: three vertebrae up from the sacrum is the right place to look for L3, whoever has four."""

Levels = Sequence[LevelScore]


def share(levels: Iterable[LevelScore], holds: Callable[[LevelScore], bool]) -> Share:
    """Of how many levels something holds."""
    answers = [holds(level) for level in levels]
    return Share(count=sum(answers), of=len(answers))


def level_shares(levels: Levels) -> dict[str, tuple[Share, Gate | None]]:
    """What is counted, and the gates on it."""
    whole = [level for level in levels if level.truth is Truth.WHOLE]
    absent = [level for level in levels if level.truth is Truth.ABSENT]
    denied = [level for level in levels if level.answer is Answer.NOT_IN_FIELD]
    off = f"off by a vertebra (> {OFF_BY_A_VERTEBRA_MM:.0f} mm) without a flag"
    counted = {
        f"within {WITHIN_MM:.0f} mm, of cases that hold it whole": share(whole, _is_near),
        "the same, and without a flag": share(
            whole, lambda level: level.is_near and level.answer is Answer.FOUND
        ),
        f"{off}, of all cases": share(levels, _is_silently_wrong),
        f"{off}, of cases that hold it whole": share(whole, _is_silently_wrong),
        '"not in the field", of cases without it': share(absent, _is_denied),
        RIGHTLY_DENIED: share(denied, lambda level: level.truth is not Truth.WHOLE),
        "uncertain, of all cases": share(levels, _is(Answer.UNCERTAIN)),
        "uncertain, of cases that hold it whole": share(whole, _is(Answer.UNCERTAIN)),
        "refused, of all cases": share(levels, _is(Answer.REFUSED)),
    }
    near, _, silent, _, absent_right, *_ = counted
    wanted = {
        near: (NEAR_SHARE, False),
        silent: (SILENT_SHARE, True),
        absent_right: (NOT_IN_FIELD_SHARE, False),
        RIGHTLY_DENIED: (NOT_IN_FIELD_SHARE, False),
    }
    return {
        name: (
            value,
            Gate(
                what=f"L3 {name}",
                value=value.value,
                limit=wanted[name][0],
                is_upper=wanted[name][1],
            )
            if name in wanted
            else None,
        )
        for name, value in counted.items()
    }


def _is_near(level: LevelScore) -> bool:
    return level.is_near


def _is_silently_wrong(level: LevelScore) -> bool:
    return level.is_silently_wrong


def _is_denied(level: LevelScore) -> bool:
    return level.answer is Answer.NOT_IN_FIELD


def _is(answer: Answer) -> Callable[[LevelScore], bool]:
    return lambda level: level.answer is answer


def level_lines(scores: Sequence[CaseScore]) -> tuple[list[str], list[Gate]]:
    """The section on L3, and its gates."""
    levels = [score.level for score in scores if score.level is not None]
    told = [score.level for score in scores if score.level is not None and can_tell(score)]
    shares = level_shares(levels)
    told_gate = level_shares(told)[RIGHTLY_DENIED][1] if len(told) < len(levels) else None
    if told_gate is not None:
        judged = replace(told_gate, what=f"{told_gate.what}{WHERE_TOLD}")
        shares[RIGHTLY_DENIED] = (shares[RIGHTLY_DENIED][0], judged)
    lines = ["## L3", "", "| L3 | share (95 % interval) | wanted |", "|---|---|---|"]
    lines += [f"| {name} | {value} | {_wanted(gate)} |" for name, (value, gate) in shares.items()]
    lines += ["", *_tellable_lines(told, len(levels) - len(told))]
    errors = errors_mm(level for level in levels if level.truth is Truth.WHOLE)
    if errors:
        p90 = float(np.percentile(errors, 90))
        lines += [
            "",
            f"Where L3 is whole in the field and a level is given ({len(errors)} cases), flagged or not: error"
            f" {median(errors):.1f} mm (median), {p90:.1f} mm (90th percentile), {max(errors):.1f} mm (largest).",
        ]
    lines += ["", *_group_lines(scores), "", *_confidence_lines(levels), ""]
    lines += [*_reason_lines(levels), "", *_failure_lines(scores)]
    return lines, [gate for _, gate in shares.values() if gate]


def _wanted(gate: Gate | None) -> str:
    if gate is None:
        return "reported"
    is_of_told = gate.what.endswith(WHERE_TOLD)
    return f"{gate.in_words}{f'{WHERE_TOLD}: below' if is_of_told else ''}"


def _tellable_lines(told: Levels, untold: int) -> Iterator[str]:
    """What is wanted, without the cases in which nobody could count: but for one, the gates have them in."""
    if not untold:
        return
    yield (
        f"In {untold} cases there are four or six lumbar vertebrae and the last one with ribs is not in the field: counted from the sacrum"
        " they look like five, and L3 cannot be told by anyone. Without them:"
    )
    yield ""
    yield f"| L3{WHERE_TOLD} | share (95 % interval) | wanted |"
    yield "|---|---|---|"
    for name, (value, gate) in level_shares(told).items():
        if gate:
            yield f"| {name} | {value} | {gate.in_words} |"


def can_tell(score: CaseScore) -> bool:
    """Whether what lies in the field decides which vertebra is L3: the last ribs do, and so does the sacrum below five."""
    if score.level is not None and score.level.ends in (Ends.BOTH, Ends.ABOVE):
        return True
    return not UNUSUAL_COUNTS & set(score.variants)


def errors_mm(levels: Iterable[LevelScore]) -> list[float]:
    """Absolute ones, where a level was given."""
    return [abs(level.error_mm) for level in levels if level.error_mm is not None]


def groups(scores: Sequence[CaseScore]) -> Iterator[tuple[str, list[CaseScore]]]:
    """Cases by field, what there is to count from, template, spine and thickness; a case may be in several."""
    for name in sorted({score.field_kind for score in scores}):
        yield f"field {name}", [s for s in scores if s.field_kind == name]
    for ends in Ends:
        yield f"{ends} in the field", [s for s in scores if s.level and s.level.ends is ends]
    for name in sorted({score.template for score in scores}):
        yield f"template {name}", [s for s in scores if s.template == name]
    yield "usual spine", [s for s in scores if not s.variants]
    for name in sorted({kind for score in scores for kind in variant_kinds(score)}):
        yield name, [s for s in scores if name in variant_kinds(s)]
    for low, high in SLICE_GROUPS_MM:
        part = [s for s in scores if low <= s.slice_mm < high]
        yield f"slices of {low:g} to {min(high, 5.0):g} mm", part


def variant_kinds(score: CaseScore) -> set[str]:
    """Without the names of the broken vertebrae."""
    return {"fracture" if v.startswith("fracture") else v for v in score.variants}


def _group_lines(scores: Sequence[CaseScore]) -> Iterator[str]:
    yield "| cases | n | within 10 mm | off, unflagged | uncertain | not in the field | median error mm |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for name, part in groups(scores):
        levels = [score.level for score in part if score.level is not None]
        if not levels:
            continue
        errors = errors_mm(levels)
        whole = [level for level in levels if level.truth is Truth.WHOLE]
        near = share(whole, _is_near)
        yield (
            f"| {name} | {len(levels)} | {f'{near.count} of {near.of}' if near.of else '–'}"
            f" | {sum(map(_is_silently_wrong, levels))}"
            f" | {sum(level.answer is Answer.UNCERTAIN for level in levels)}"
            f" | {sum(map(_is_denied, levels))}"
            f" | {f'{median(errors):.1f}' if errors else '–'} |"
        )


def _confidence_lines(levels: Levels) -> Iterator[str]:
    yield "| stated confidence | answers | within 10 mm |"
    yield "|---|---:|---:|"
    for low, high in CONFIDENCE_GROUPS:
        part = [
            level
            for level in levels
            if level.confidence is not None and low <= level.confidence < high
        ]
        if part:
            near = share(part, _is_near)
            yield f"| {low:.2f} to {min(high, 1.0):.2f} | {near.of} | {near.value or 0.0:.0%} |"


def _reason_lines(levels: Levels) -> Iterator[str]:
    """How often each reason was given, whatever its numbers."""
    counted = Counter(NUMBER.sub("N", reason) for level in levels for reason in level.reasons)
    yield f"Reasons for doubt or refusal: {'none.' if not counted else ''}".rstrip()
    for reason, count in counted.most_common():
        yield f"- {count} × {reason}"


def _failure_lines(scores: Sequence[CaseScore]) -> Iterator[str]:
    failed = [(kind, score) for score in scores if (kind := failure(score))]
    yield f"Failures ({len(failed)}):" if failed else "No failures."
    for kind, score in sorted(failed, key=lambda pair: (pair[0], pair[1].seed)):
        yield f"- {kind}: {in_words(score)}"


def failure(score: CaseScore) -> str | None:
    """What went wrong, the worst first; None where nothing did."""
    level = score.level
    if level is None:
        return None
    is_denied = level.answer is Answer.NOT_IN_FIELD
    kinds = {
        "1 off by a vertebra, unflagged": level.is_silently_wrong,
        "2 whole L3 not found": level.truth is Truth.WHOLE and is_denied,
        "3 level given where there is none": level.truth is Truth.ABSENT
        and level.error_mm is not None,
        "4 refused": level.answer is Answer.REFUSED,
        "5 more than 10 mm off": level.truth is Truth.WHOLE
        and level.error_mm is not None
        and not level.is_near,
    }
    return next((kind for kind, holds in kinds.items() if holds), None)


def in_words(score: CaseScore) -> str:
    """A case and its answer in one line."""
    level = score.level
    said = []
    if level is not None:
        said = [f"L3 {level.truth.value}", f"answer {level.answer.value}"]
        if level.error_mm is not None:
            said += [f"{level.error_mm:+.0f} mm, on {level.nearest}", f"{level.confidence:.2f}"]
        said += level.reasons
    what = [f"seed {score.seed}", score.template, score.field_kind, f"{score.slice_mm:.1f} mm"]
    return ", ".join([*what, *score.variants, *said])
