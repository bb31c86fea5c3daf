"""One decision on L3 from the opinions of one or two networks: found, uncertain (why), or not in the field of view."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from inference.domain.level_calibration import Decision, LevelCalibration
from inference.domain.level_outcome import LevelOutcome
from inference.stages.end_plates import NO_END_PLATES, body_extent
from inference.stages.spine_chain import (
    CHAIN,
    LandmarkCurves,
    Opinion,
    SpinePosterior,
    spine_posterior,
)

Curve = npt.NDArray[np.float32]
REACH_MM = 10.0
"""The confidence is the probability of an error of no more than this."""
SEEN = 0.5
"""A curve's peak above this claims to see its landmark."""
NEIGHBOUR_MM = (14.0, 62.0)
"""Plausible distance between the middles of neighbouring lumbar bodies, children and tall adults included."""
RIVAL_MM = 15.0
"""Nearer places are the same vertebra."""
RIVAL_SHARE = 0.2
"""Of the answer's probability: a second place that has as much is named."""
SUSPECTED, COUNTED = 0.3, 0.7
"""Probability from which another number of lumbar bodies than five is suspected, and taken for seen."""
WHOLE_BODY_MM = 14.0
"""A vertebra whose middle lies nearer to the upper edge is cut by it: its ribs, and those above, are not seen."""
WEIGHT_ALONE = 0.8
"""Of a network that is asked alone; below 1, since landmarks of one network err together."""
LEAST_CUT_MM = 1.0
REFINE_MM = 9.0
"""The middle of L3 is refined with the curves this far about the chain's answer."""
REFINE_FROM = 0.2
RIBS_SEEN, SURE_ALONE = 0.7, 0.9
"""Probabilities from which the projections see the last ribs, and from which an opinion is sure of its L3."""
CONTRADICTED = 0.5
"""The confidence is no higher where one network contradicts: what it was calibrated on has no such answer."""
NAMES_FROM_RIBS = ("L3", "L2")
"""What projections and volume call one body where the volume has counted one too few from the sacrum."""
LEAST_PROBABILITY = 1e-3
"""Log odds end here."""
WHICH_IS_THIRD = "L3 is the third below the last one with ribs"
SILENT = (
    "only one network was asked for the level of L3: nothing speaks against a miscount of its own"
)
UPPER_TAKEN = (
    "one network has it a vertebra lower: the upper place is taken, counted from the last ribs"
)
UNKNOWN_NETWORKS = "the confidence of L3 is not calibrated for these networks"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Posteriors:
    """What all opinions say together and each alone, in the order they were given."""

    joint: SpinePosterior
    alone: tuple[SpinePosterior, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the confidence is made from."""

    z_mm: float
    in_field: float
    """Probability that L3 lies in the field of view."""
    joint: float
    """Probability within REACH_MM of the answer, by all opinions together."""
    alone: tuple[float, ...]
    """The same, by each opinion."""
    difference_mm: float
    """Between the places that the opinions hold for likeliest; 0 with one opinion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpineLevel:
    """The outcome, the middle of L3 and its end plates along z, and what led to them."""

    outcome: LevelOutcome
    z_mm: float
    extent_mm: tuple[float, float]
    confidence: float | None
    """Probability that the middle of L3 is no farther than REACH_MM from z_mm; None where a person set the level."""
    evidence: Evidence | None
    reasons: tuple[str, ...] = ()
    """Why the level is uncertain or absent, in words."""
    caveats: tuple[str, ...] = ()
    """What a reader must know of a level that is found, too."""

    @property
    def flags(self) -> tuple[str, ...]:
        """All of it as notes of a result."""
        return (*(f"L3 uncertain: {why}" for why in self.reasons), *self.caveats)


def posteriors(opinions: Sequence[LandmarkCurves], calibration: LevelCalibration) -> Posteriors:
    """Of the projections, and of the volume where a second network was asked."""
    both = (calibration.level_weight, calibration.spine_weight)
    weights = both if len(opinions) > 1 else (WEIGHT_ALONE,)
    weighed = [Opinion(curves=c, weight=w) for c, w in zip(opinions, weights, strict=True)]

    def chain(some: Sequence[Opinion]) -> SpinePosterior:
        return spine_posterior(some, floor=calibration.floor, outside=calibration.outside)

    joint = chain(weighed)
    alone = tuple(chain([one]) for one in weighed) if len(weighed) > 1 else (joint,)
    return Posteriors(joint=joint, alone=alone)


def evidence_for(
    opinions: Sequence[LandmarkCurves], found: Posteriors, from_ribs_mm: float | None = None
) -> Evidence:
    """The answer, where no other was counted from the ribs, and how strongly everything speaks for it."""
    chained_mm, names = found.joint.likeliest_mm("L3", REACH_MM), ("L3", "L3")
    if from_ribs_mm is not None:
        chained_mm, names = from_ribs_mm, NAMES_FROM_RIBS
    curves = [one.of(name) for one, name in zip(opinions, names, strict=False)]
    z_mm = _refined(opinions, curves, chained_mm)
    places = [one.likeliest_mm("L3", REACH_MM) for one in found.alone]
    return Evidence(
        z_mm=z_mm,
        in_field=found.joint.in_field("L3"),
        joint=found.joint.within("L3", z_mm, REACH_MM),
        alone=tuple(one.within("L3", z_mm, REACH_MM) for one in found.alone),
        difference_mm=max(places) - min(places),
    )


def confidence_of(evidence: Evidence, decision: Decision) -> float:
    """The calibrated logistic map."""
    alone = (*evidence.alone, 0.5)[:2] if len(evidence.alone) > 1 else (0.5, 0.5)
    score = (
        decision.intercept
        + decision.joint * log_odds(evidence.joint)
        + decision.level * log_odds(alone[0])
        + decision.spine * log_odds(alone[1])
    )
    return float(1 / (1 + np.exp(-score)))


def log_odds(probability: float) -> float:
    """Of a probability, kept finite."""
    p = min(max(probability, LEAST_PROBABILITY), 1 - LEAST_PROBABILITY)
    return float(np.log(p / (1 - p)))


def decide(opinions: Sequence[LandmarkCurves], calibration: LevelCalibration) -> SpineLevel:
    """Of the projections' curves, which carry the end plates, and of the volume's where a second network was asked."""
    found = posteriors(opinions, calibration)
    from_ribs_mm = _counted_from_ribs_mm(opinions, calibration)
    evidence = evidence_for(opinions, found, from_ribs_mm)
    extent_mm, seen = body_extent(opinions[0], evidence.z_mm)
    decision = calibration.two_opinions if len(opinions) > 1 else calibration.one_opinion
    confidence = confidence_of(evidence, decision)
    if from_ribs_mm is not None:
        confidence = min(confidence, CONTRADICTED)
    level = SpineLevel(
        outcome=LevelOutcome.FOUND,
        z_mm=evidence.z_mm,
        extent_mm=extent_mm,
        confidence=confidence,
        evidence=evidence,
    )
    is_outside = not evidence.in_field >= decision.in_field_from
    # A short field holds nothing to count from: there the chain can be sure of the wrong body.
    if is_outside and not _is_seen(opinions):
        why = (_absence(found.joint, evidence),)
        return replace(level, outcome=LevelOutcome.NOT_IN_FIELD, reasons=why)
    doubts = [] if from_ribs_mm is None else [UPPER_TAKEN]
    believed = opinions if from_ribs_mm is None else opinions[:1]
    doubts += [*_disagreement(evidence, calibration), *_odd_neighbours(believed, evidence.z_mm)]
    doubts += _cut(found.joint.field_mm, extent_mm)
    doubts += [*_uncounted(found.joint), *_odd_count(found.joint)]
    if is_outside or confidence < decision.confident_from:
        if from_ribs_mm is None:
            doubts += _rival(found.joint, evidence)
        doubts += _near_border(evidence)
        doubts = doubts or [
            f"the probability of an error below {REACH_MM:.0f} mm is {confidence:.2f}"
        ]
    return replace(
        level,
        outcome=LevelOutcome.UNCERTAIN if doubts else LevelOutcome.FOUND,
        reasons=tuple(doubts),
        caveats=tuple(_caveats(opinions, seen=seen)),
    )


def _counted_from_ribs_mm(
    opinions: Sequence[LandmarkCurves], calibration: LevelCalibration
) -> float | None:
    """The body that the projections call L3 and the volume L2, where the projections are to be believed; else None.

    Who counts from the sacrum takes the third body from there for L3 whatever lies above: one too low where there are six. So of two
    that differ the upper one is right if it sees the last ribs, and unless the volume is sure of four bodies: that one has
    counted from both ends.
    """
    if len(opinions) < 2:
        return None
    level, spine = (posteriors([one], calibration).joint for one in opinions)
    level_mm, same_mm = (
        one.likeliest_mm(name, REACH_MM)
        for one, name in zip((level, spine), NAMES_FROM_RIBS, strict=True)
    )
    if not _sees_ribs(opinions[0], level):
        return None
    has_four = spine.lumbar_counts[4] >= COUNTED and _is_sure(spine)
    if has_four or not _is_sure(level) or abs(level_mm - same_mm) > RIVAL_MM:
        return None
    return (level_mm + same_mm) / 2


def _sees_ribs(curves: LandmarkCurves, alone: SpinePosterior) -> bool:
    """Whether T12 is whole in the field and seen where the chain has it: a chain has a place for what nobody sees, too."""
    if alone.in_field("T12", below_top_mm=WHOLE_BODY_MM) < RIBS_SEEN:
        return False
    rows_mm = curves.first_z_mm + curves.step_mm * np.arange(curves.probability.shape[1])
    near = np.abs(rows_mm - alone.likeliest_mm("T12", REACH_MM)) <= REACH_MM
    return float(curves.of("T12")[near].max(initial=0.0)) >= SEEN


def _is_sure(alone: SpinePosterior) -> bool:
    return alone.within("L3", alone.likeliest_mm("L3", REACH_MM), REACH_MM) >= SURE_ALONE


def _is_seen(opinions: Sequence[LandmarkCurves]) -> bool:
    """Whether any network by itself claims to see L3."""
    return any(float(curves.of("L3").max(initial=0.0)) >= SEEN for curves in opinions)


def _refined(
    opinions: Sequence[LandmarkCurves], of_it: Sequence[Curve], chained_mm: float
) -> float:
    """The chain says which vertebra; where its middle is, its own curves say better."""
    places, heights = [], []
    for curves, own in zip(opinions, of_it, strict=True):
        curve = own.astype(np.float64)
        rows_mm = curves.first_z_mm + curves.step_mm * np.arange(len(curve))
        about = np.where(np.abs(rows_mm - chained_mm) <= REFINE_MM, curve, 0.0)
        top = int(np.argmax(about))
        if about[top] >= REFINE_FROM:
            near = np.abs(rows_mm - rows_mm[top]) <= REFINE_MM
            heights.append(float(about[top]))
            places.append(float(np.average(rows_mm[near], weights=curve[near] ** 2)))
    return float(np.average(places, weights=heights)) if places else chained_mm


def _disagreement(evidence: Evidence, calibration: LevelCalibration) -> Iterator[str]:
    if evidence.difference_mm > calibration.largest_difference_mm:
        yield f"the two networks place it {evidence.difference_mm:.0f} mm apart"


def _odd_neighbours(opinions: Sequence[LandmarkCurves], z_mm: float) -> Iterator[str]:
    """Peaks of single curves that no spine explains."""
    for name, direction in (("L2", 1), ("L4", -1)):
        for curves in opinions:
            curve = curves.of(name)
            row = int(np.argmax(curve))
            step_mm = (curves.first_z_mm + row * curves.step_mm - z_mm) * direction
            if curve[row] >= SEEN and not NEIGHBOUR_MM[0] <= step_mm <= NEIGHBOUR_MM[1]:
                yield f"{name} was found {step_mm:.0f} mm from it"
                break


def _cut(field_mm: tuple[float, float], extent_mm: tuple[float, float]) -> Iterator[str]:
    lacking_mm = max(field_mm[0] - extent_mm[0], extent_mm[1] - field_mm[1])
    if lacking_mm > LEAST_CUT_MM:
        yield "its body is cut by the edge of the field of view"


def _rival(joint: SpinePosterior, evidence: Evidence) -> Iterator[str]:
    """The second place, by the name of the landmark that the answer has there."""
    second_mm, share = joint.rival("L3", evidence.z_mm, apart_mm=RIVAL_MM, reach_mm=REACH_MM)
    if share < RIVAL_SHARE * evidence.joint:
        return
    places = {name: joint.likeliest_mm(name, REACH_MM) for name in CHAIN if name != "L3"}
    name = min(places, key=lambda one: abs(places[one] - second_mm))
    apart_mm = second_mm - evidence.z_mm
    side = "above" if apart_mm > 0 else "below"
    yield f"what is taken for {name}, {abs(apart_mm):.0f} mm {side}, is L3 with a probability of {share:.2f}"


def _near_border(evidence: Evidence) -> Iterator[str]:
    if 1 - evidence.in_field >= RIVAL_SHARE:
        yield f"it lies outside the field of view with a probability of {1 - evidence.in_field:.2f}"


def _absence(joint: SpinePosterior, evidence: Evidence) -> str:
    marginal, low = joint.marginals["L3"], joint.field_mm[0]
    below = float(marginal[joint.z_mm < low].sum())
    side = "below" if below > 0.5 * (1 - evidence.in_field) else "above"
    return f"L3 seems to lie {side} the field of view (probability {1 - evidence.in_field:.2f} outside)"


def _uncounted(joint: SpinePosterior) -> Iterator[str]:
    """Transitional vertebrae are met in 4 to 36 % of people (Konin & Walz, AJNR 2010): only ribs tell which is the first."""
    if joint.in_field("T12", below_top_mm=WHOLE_BODY_MM) < SEEN:
        yield (
            "the last vertebra with ribs is not in the field of view: "
            "counted from the sacrum, where four or six lumbar vertebrae look like five"
        )


def _odd_count(joint: SpinePosterior) -> Iterator[str]:
    """Six bodies without ribs are six lumbar ones, or five below a twelfth that has lost its ribs: a person must say."""
    for count, word in ((4, "four"), (6, "six")):
        share = joint.lumbar_counts[count]
        if share >= SUSPECTED:
            how = "seen" if share >= COUNTED else "suspected"
            yield f"{word} lumbar vertebrae {how} (probability {share:.2f}): {WHICH_IS_THIRD}"


def _caveats(opinions: Sequence[LandmarkCurves], *, seen: bool) -> Iterator[str]:
    if not seen:
        yield NO_END_PLATES
    if len(opinions) == 1:
        yield SILENT
