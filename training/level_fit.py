"""Fits the few numbers of the L3 decision to cases whose truth is known."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import optimize

from inference.domain.level_calibration import UNCALIBRATED, Decision, LevelCalibration
from inference.domain.level_outcome import LevelOutcome
from inference.stages.decide_level import (
    LEAST_PROBABILITY,
    REACH_MM,
    Evidence,
    Posteriors,
    SpineLevel,
    confidence_of,
    decide,
    log_odds,
    posteriors,
)
from training.level_cases import LevelCase

VERTEBRA_MM = 15.0
"""An error of more is taken for another vertebra."""
WEIGHTS = (0.2, 0.4, 0.8, 1.2, 2.0)
WEIGHT_OF_THE_OTHER = 0.2
"""Of the projections beside the volume. Not fitted: on the anatomy they were trained on they are right as often as the volume
network, on the other one twice as often wrong, and in the one real CT a body too low; there they are to doubt, not to decide (but where they alone have
counted from the ribs: decision 37).
"""
FLOORS = (0.005, 0.02, 0.05, 0.1)
OUTSIDES = (0.1, 0.2, 0.35, 0.6, 1.0)
DIFFERENCES_MM = (8.0, 10.0, 12.0, 15.0, 20.0)
LEAST_CONFIDENT = 0.75
"""Whatever the painted cases allow: what is wrong once in four times is not found."""
IN_FIELD = tuple(round(0.1 + 0.02 * i, 2) for i in range(41))
RIDGE = 1e-2
"""Keeps slopes finite where the cases are told apart without an error."""
STEEPEST = 3.0
PARTS = 5
"""Of the cases, for confidences that were not fitted on the case itself."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was decided of one case, before any threshold but that of the field."""

    seed: int
    has_l3: bool
    error_mm: float
    """NaN where L3 is not in the field."""
    evidence: Evidence
    is_doubted: bool
    """For another reason than a weak confidence or a difference of the opinions."""

    @property
    def is_right(self) -> bool:
        """No farther from the middle of L3 than the confidence speaks of."""
        return self.has_l3 and abs(self.error_mm) <= REACH_MM

    @property
    def is_wrong(self) -> bool:
        """Another vertebra, or one where there is no L3."""
        return not self.has_l3 or abs(self.error_mm) > VERTEBRA_MM


def fitted(cases: Sequence[LevelCase], largest_silent_share: float) -> LevelCalibration:
    """Weights by the likelihood of the truth, then the decision with one opinion and with all."""
    has_two = len(cases[0].opinions) > 1
    calibration = fitted_weights(cases)
    one = fitted_decision(
        answers(cases, calibration, opinions=1), largest_silent_share, UNCALIBRATED.one_opinion
    )
    calibration = replace(calibration, one_opinion=one[0])
    if has_two:
        two, difference_mm = fitted_decision(
            answers(cases, calibration, opinions=2), largest_silent_share, UNCALIBRATED.two_opinions
        )
        calibration = replace(calibration, two_opinions=two, largest_difference_mm=difference_mm)
    return calibration


def fitted_weights(cases: Sequence[LevelCase]) -> LevelCalibration:
    """Weight of the volume, odds of absence and floor, one after the other, twice."""
    steps: list[Callable[[LevelCalibration], list[LevelCalibration]]] = [
        lambda best: [replace(best, outside=value) for value in OUTSIDES],
        lambda best: [replace(best, floor=value) for value in FLOORS],
    ]
    if len(cases[0].opinions) > 1:
        steps.insert(0, lambda best: [replace(best, spine_weight=value) for value in WEIGHTS])
    best = replace(UNCALIBRATED, level_weight=WEIGHT_OF_THE_OTHER)
    scored = {best: likelihood(cases, best)}
    for _ in range(2):
        for step in steps:
            for tried in step(best):
                if tried not in scored:
                    scored[tried] = likelihood(cases, tried)
            best = max(scored, key=lambda one: scored[one])
    return best


def likelihood(cases: Sequence[LevelCase], calibration: LevelCalibration) -> float:
    """Mean logarithm of the probability given to the truth, by each opinion and by all together."""
    scores = []
    for case in cases:
        found = posteriors(case.opinions, calibration)
        scores.append(_score(case, found))
    return float(np.mean(scores))


def _score(case: LevelCase, found: Posteriors) -> float:
    views = (found.joint, *(found.alone if len(found.alone) > 1 else ()))
    chances = [
        view.within("L3", case.l3_mm[1], REACH_MM) if case.has_l3 else 1 - view.in_field("L3")
        for view in views
    ]
    return float(np.mean([math.log(max(chance, LEAST_PROBABILITY)) for chance in chances]))


def answers(
    cases: Sequence[LevelCase], calibration: LevelCalibration, opinions: int
) -> list[Answer]:
    """What the decision says of every case with so many opinions, no threshold applied."""
    without = replace(UNCALIBRATED.one_opinion, confident_from=0.0, in_field_from=0.0)
    open_ended = replace(
        calibration, one_opinion=without, two_opinions=without, largest_difference_mm=math.inf
    )
    return [_answer(case, decide(case.opinions[:opinions], open_ended)) for case in cases]


def _answer(case: LevelCase, level: SpineLevel) -> Answer:
    if level.evidence is None:
        raise ValueError("only what networks decided can be fitted")
    return Answer(
        seed=case.seed,
        has_l3=case.has_l3,
        error_mm=level.z_mm - case.l3_mm[1] if case.has_l3 else math.nan,
        evidence=level.evidence,
        is_doubted=level.outcome is LevelOutcome.UNCERTAIN,
    )


def fitted_decision(
    found: Sequence[Answer], largest_silent_share: float, start: Decision
) -> tuple[Decision, float]:
    """The decision, and how far opinions may differ: of those that hold the share, the one that flags least."""
    in_field_from = fitted_field(found)
    reported = [one for one in found if one.evidence.in_field >= in_field_from]
    slopes = fitted_slopes(reported, opinions=len(found[0].evidence.alone))
    decision = replace(start, **slopes, in_field_from=in_field_from, confident_from=0.0)
    confidences = np.array([confidence_of(one.evidence, decision) for one in reported])
    allowed = math.floor(largest_silent_share * sum(one.has_l3 for one in found))
    differences = DIFFERENCES_MM if len(found[0].evidence.alone) > 1 else (DIFFERENCES_MM[-1],)
    fits = []
    for difference_mm in differences:
        doubted = np.array(
            [one.is_doubted or one.evidence.difference_mm > difference_mm for one in reported]
        )
        threshold = least_threshold(reported, confidences, doubted, allowed)
        flagged = int((doubted | (confidences < threshold)).sum())
        fits.append((flagged, -difference_mm, threshold))
    _, difference_mm, threshold = min(fits)
    return replace(decision, confident_from=threshold), -difference_mm


def fitted_field(found: Sequence[Answer]) -> float:
    """The probability from which on L3 is called in the field: low among those that are right most often.

    An L3 that is called absent is lost in silence; one that is called present where there is none is flagged.
    """
    right = [
        sum((one.evidence.in_field >= threshold) == one.has_l3 for one in found)
        for threshold in IN_FIELD
    ]
    best = [t for t, count in zip(IN_FIELD, right, strict=True) if count == max(right)]
    return best[len(best) // 4]


def fitted_slopes(reported: Sequence[Answer], opinions: int) -> dict[str, float]:
    """Logistic regression of being right on the log odds; no slope is negative."""
    rows = np.array([_log_odds(one.evidence, opinions) for one in reported])
    right = np.array([one.is_right for one in reported], float)

    def loss(parameters: Array) -> float:
        score = parameters[0] + rows @ parameters[1:]
        entropy = np.logaddexp(0, score) - right * score
        return float(entropy.mean() + RIDGE * (parameters[1:] ** 2).sum())

    count = rows.shape[1]
    start = np.array([0.0, *([0.5] * count)])
    bounds = [(-10.0, 10.0), *([(0.0, STEEPEST)] * count)]
    found = optimize.minimize(loss, start, bounds=bounds, method="L-BFGS-B").x
    names = ("intercept", "joint", "level", "spine")
    return dict(zip(names, (float(v) for v in found), strict=False))


def least_threshold(
    reported: Sequence[Answer],
    confidences: Array,
    doubted: npt.NDArray[np.bool_],
    allowed: int,
) -> float:
    """The lowest confidence, but LEAST_CONFIDENT, from which on no more than so many answers are wrong without a doubt."""
    silent = sorted(
        float(c)
        for c, one, is_doubted in zip(confidences, reported, doubted, strict=True)
        if one.is_wrong and not is_doubted
    )
    if len(silent) <= allowed:
        return LEAST_CONFIDENT
    # Rounded up, so that the six digits of the file leave none of them above it.
    highest = silent[len(silent) - allowed - 1]
    return min(1.0, max(LEAST_CONFIDENT, math.ceil(highest * 1e4 + 1e-9) / 1e4))


def cross_fitted(found: Sequence[Answer], decision: Decision) -> Array:
    """Confidence of every reported answer by slopes fitted on the other parts of the cases."""
    reported = [one for one in found if one.evidence.in_field >= decision.in_field_from]
    opinions = len(found[0].evidence.alone)
    result = np.zeros(len(reported))
    for part in range(PARTS):
        inside = np.array([i % PARTS == part for i in range(len(reported))])
        others = [one for one, is_in in zip(reported, inside, strict=True) if not is_in]
        fold = replace(decision, **fitted_slopes(others, opinions))
        result[inside] = [
            confidence_of(one.evidence, fold)
            for one, is_in in zip(reported, inside, strict=True)
            if is_in
        ]
    return result


def _log_odds(evidence: Evidence, opinions: int) -> list[float]:
    alone = [log_odds(chance) for chance in evidence.alone] if opinions > 1 else []
    return [log_odds(evidence.joint), *alone]
