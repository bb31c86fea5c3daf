"""The outcome on L3 where a network that looks at single slices was asked: it counts nothing, so doubts are many."""

from collections.abc import Iterator

from inference.domain.level_outcome import LevelOutcome
from inference.domain.volume import Volume, slice_z_mm
from inference.stages.decide_level import SILENT, SpineLevel
from inference.stages.end_plates import DEFAULT_HALF_BODY_MM, NO_END_PLATES
from inference.stages.slice_scores import SliceChoice

SEEN = 0.5
ABSENT_BELOW = 0.2
"""A smoothed peak below this: no slice looks like L3. Between the two nobody can say."""
RIVAL_SHARE = 0.5
"""Of the peak: another place that looks as much like L3 makes the level uncertain."""
SINGLE_SLICES = (
    "L3 was chosen by a network that sees single slices: it counts no vertebrae, "
    "and its confidence is not calibrated"
)


def decide_by_slices(choice: SliceChoice, volume: Volume) -> SpineLevel:
    """Of a canonical volume."""
    extent_mm = (choice.z_mm - DEFAULT_HALF_BODY_MM, choice.z_mm + DEFAULT_HALF_BODY_MM)
    reasons = tuple(_doubts(choice, volume, extent_mm))
    outcome = LevelOutcome.UNCERTAIN if reasons else LevelOutcome.FOUND
    if choice.peak < ABSENT_BELOW:
        outcome, reasons = LevelOutcome.NOT_IN_FIELD, (_unlike(choice),)
    return SpineLevel(
        outcome=outcome,
        z_mm=choice.z_mm,
        extent_mm=extent_mm,
        confidence=choice.confidence,
        evidence=None,
        reasons=reasons,
        caveats=(SINGLE_SLICES, SILENT, NO_END_PLATES),
    )


def _doubts(choice: SliceChoice, volume: Volume, extent_mm: tuple[float, float]) -> Iterator[str]:
    if choice.peak < SEEN:
        yield _unlike(choice)
    if choice.rival_mm is not None and choice.rival_peak >= RIVAL_SHARE * choice.peak:
        apart_mm = choice.rival_mm - choice.z_mm
        side = "above" if apart_mm > 0 else "below"
        yield f"a slice {abs(apart_mm):.0f} mm {side} looks like L3, too (probability {choice.rival_peak:.2f})"
    z_mm = slice_z_mm(volume)
    half_mm = volume.spacing_mm[0] / 2
    if extent_mm[0] < z_mm[0] - half_mm or extent_mm[1] > z_mm[-1] + half_mm:
        yield "its body is cut by the edge of the field of view"


def _unlike(choice: SliceChoice) -> str:
    return f"no slice looks like L3 for certain (probability {choice.peak:.2f} at best)"
