"""L3 as the node answers it, beside the truth of a painted case."""

from dataclasses import dataclass

import numpy as np

from inference.domain.errors import HabitusError, LevelNotFound
from inference.domain.level_outcome import LevelOutcome
from inference.domain.measurement import Patient, Quantity, Report
from inference.domain.outcome import Analysis
from inference.domain.volume import Volume
from inference.measure_findings import Facts
from inference.pipeline import Models, Stopwatch, analyse_volume, silent
from inference.stages.measure import value_of
from training.painted_evaluation.scores import Answer, Ends, LevelScore, Truth
from training.templates.case import PaintedCase


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelAnswer:
    """What the node said, whatever form it takes there."""

    answer: Answer
    z_mm: float | None
    confidence: float | None
    reasons: tuple[str, ...]
    report: Report | None


def answered(volume: Volume, models: Models) -> LevelAnswer:
    """The node's own analysis of L3 and the tissues there."""
    facts = Facts(patient=Patient(), contrast="unknown")
    try:
        return answer_in(analyse_volume(volume, facts, models, Stopwatch(silent)))
    except LevelNotFound:
        return _none(Answer.NOT_IN_FIELD, ())
    except HabitusError as refusal:
        return _none(Answer.REFUSED, (refusal.found,))


def answer_in(analysis: Analysis) -> LevelAnswer:
    """The one place that knows how a result tells found from uncertain."""
    report = analysis.report
    if report.level is None:
        return _none(Answer.NOT_IN_FIELD, ())
    is_doubted = report.level_outcome is LevelOutcome.UNCERTAIN
    return LevelAnswer(
        answer=Answer.UNCERTAIN if is_doubted else Answer.FOUND,
        z_mm=report.level.z_mm,
        confidence=report.level.confidence,
        reasons=report.level_reasons,
        report=report,
    )


def _none(answer: Answer, reasons: tuple[str, ...]) -> LevelAnswer:
    return LevelAnswer(answer=answer, z_mm=None, confidence=None, reasons=reasons, report=None)


def truth_of(case: PaintedCase) -> Truth:
    """Whether the body of L3 lies in the field."""
    if case.has_l3:
        return Truth.WHOLE
    low, high = case.patient.l3_extent_mm
    first, last = case.grid.axis_mm(0)[[0, -1]]
    half = case.grid.spacing_mm[0] / 2
    return Truth.ABSENT if high <= first - half or low >= last + half else Truth.PARTLY


def ends_of(case: PaintedCase) -> Ends:
    """Whether the middles of T12 and S1 lie in the field."""
    first, last = case.grid.axis_mm(0)[[0, -1]]
    above, below = (
        name in case.vertebrae and first <= case.vertebrae[name].centre_lps_mm[2] <= last
        for name in ("T12", "S1")
    )
    if above:
        return Ends.BOTH if below else Ends.ABOVE
    return Ends.BELOW if below else Ends.NEITHER


def level_score(case: PaintedCase, answer: LevelAnswer) -> LevelScore:
    """The answer beside the truth."""
    z_mm = answer.z_mm
    middles = {name: body.centre_lps_mm[2] for name, body in case.vertebrae.items()}
    return LevelScore(
        truth=truth_of(case),
        answer=answer.answer,
        error_mm=None if z_mm is None else z_mm - middles["L3"],
        nearest=None if z_mm is None else min(middles, key=lambda n: abs(middles[n] - z_mm)),
        confidence=answer.confidence,
        reasons=answer.reasons,
        ends=ends_of(case),
    )


def reported_cm2(answer: LevelAnswer) -> dict[str, float]:
    """Areas that the node would send, by tissue."""
    if answer.report is None:
        return {}
    found = answer.report.body_composition
    areas = {m.structure: value_of(found, Quantity.AREA, m.structure) for m in found if m.structure}
    return {structure.value: area for structure, area in areas.items() if area is not None}


def slice_of(volume: Volume, z_mm: float) -> int:
    """The slice of a canonical volume nearest to a height."""
    place = (z_mm - volume.affine_lps[2, 3]) / volume.affine_lps[2, 0]
    return int(np.clip(round(place), 0, volume.shape[0] - 1))
