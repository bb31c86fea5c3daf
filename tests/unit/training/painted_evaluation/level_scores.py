"""Scores made by hand."""

from collections.abc import Mapping

from training.painted_evaluation.scores import (
    Answer,
    CaseScore,
    Ends,
    LevelScore,
    OrganScore,
    TissueScore,
    Truth,
)


def level(
    answer: Answer = Answer.FOUND,
    error_mm: float | None = 0.0,
    truth: Truth = Truth.WHOLE,
    reasons: tuple[str, ...] = (),
    ends: Ends = Ends.BOTH,
) -> LevelScore:
    """An answer, right unless said otherwise."""
    has_level = answer in (Answer.FOUND, Answer.UNCERTAIN)
    return LevelScore(
        truth=truth,
        answer=answer,
        error_mm=error_mm if has_level else None,
        nearest="L3" if has_level else None,
        confidence=0.9 if has_level else None,
        reasons=reasons,
        ends=ends,
    )


def case(
    seed: int = 6_000_000,
    level: LevelScore | None = None,
    *,
    variants: tuple[str, ...] = (),
    tissues: Mapping[str, TissueScore] | None = None,
    organs: Mapping[str, OrganScore] | None = None,
    swapped: tuple[str, ...] = (),
) -> CaseScore:
    """One case."""
    return CaseScore(
        seed=seed,
        template="tiny",
        field_kind="whole",
        variants=variants,
        slices=100,
        slice_mm=3.0,
        pixel_mm=1.0,
        is_clipped=False,
        level=level,
        tissues=tissues or {},
        organs=organs or {},
        swapped=swapped,
    )
