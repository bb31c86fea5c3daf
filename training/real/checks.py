"""What a good result on a public case is, and whether this one is."""

from collections.abc import Iterator
from dataclasses import dataclass

from training.real.answer import Answer, Outcome
from training.real.case import RealCase
from training.real.score import APART, Scored

LEVEL_MM = 10.0
VERTEBRA_MM = 15.0
"""Half a vertebra and its disc: further off, another vertebra was taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing wanted of one case."""

    case: str
    must: str
    did: str
    holds: bool


def level_words(answer: Answer, result: Scored) -> str:
    """Outcome and error in a few words."""
    words = answer.outcome.value
    if result.level_error_mm is not None:
        words += f", {result.level_error_mm:+.1f} mm"
    return words


def checks_of(case: RealCase, answer: Answer | None, result: Scored | None) -> Iterator[Check]:
    """Of a public case, and the level of any case where it is known."""
    known = case.known
    if known is not None and (known.rejection or case.rejection is not None):
        code = case.rejection.reason_code if case.rejection else "taken"
        wanted = known.rejection or "taken"
        yield Check(case=case.name, must=wanted, did=code, holds=code == wanted)
    if answer is None or result is None:
        return
    yield from _level_checks(case, answer, result)
    if known is None:
        return
    for structure, least in known.least_dice.items():
        whole = [s for s in result.scores if s.structure == structure and s.dice is not None]
        best = max((s.dice or 0.0 for s in whole), default=0.0)
        plain = next((s.dice or 0.0 for s in whole if not s.part), 0.0)
        apart = f" ({best:.3f} {APART})" if best > plain else ""
        yield Check(
            case=case.name,
            must=f"Dice of {structure.value.replace('_', ' ')} ≥ {least:.2f}",
            did=f"{plain:.3f}{apart}",
            holds=plain >= least,
        )
    for structure, (low, high) in known.volume_ml.items():
        organ = answer.organ(structure)
        volume = organ.volume_ml if organ else 0.0
        yield Check(
            case=case.name,
            must=f"{structure.value} of {low:.0f} to {high:.0f} ml in the field",
            did=f"{volume:.0f} ml",
            holds=low <= volume <= high,
        )
    for structure in known.cut:
        organ = answer.organ(structure)
        yield Check(
            case=case.name,
            must=f"{structure.value} flagged as cut where it is found",
            did="not found" if organ is None else ("cut" if organ.is_incomplete else "whole"),
            holds=organ is None or organ.is_incomplete,
        )


def _level_checks(case: RealCase, answer: Answer, result: Scored) -> Iterator[Check]:
    found = level_words(answer, result)
    if case.is_l3_absent:
        yield Check(
            case=case.name,
            must="no L3 reported",
            did=found,
            holds=answer.outcome in (Outcome.ABSENT, Outcome.REFUSED),
        )
    elif case.l3_z_mm is not None:
        error = result.level_error_mm
        near = error is not None and abs(error) <= LEVEL_MM
        yield Check(
            case=case.name,
            must=f"L3 within {LEVEL_MM:.0f} mm, or flagged",
            did=found,
            holds=near or answer.outcome in (Outcome.UNCERTAIN, Outcome.REFUSED),
        )
