"""L3 where a person set it: what the network says counts for the end plates of that same body only."""

from inference.domain.level_outcome import LevelOutcome
from inference.stages.decide_level import SpineLevel
from inference.stages.end_plates import DEFAULT_HALF_BODY_MM, NO_END_PLATES
from inference.stages.facing import TURNED

SAME_PLACE_MM = 1.0
"""Nearer than this the network's middle of L3 and the person's are one."""


def spine_by_hand(z_mm: float, source: str, network: SpineLevel) -> SpineLevel:
    """The level set by hand, beside what the network found; of its doubts only that the whole body lies otherwise."""
    notes = [source]
    is_found = network.outcome is not LevelOutcome.NOT_IN_FIELD
    if not is_found:
        notes.append("the network alone found no L3")
    elif abs(step_mm := network.z_mm - z_mm) > SAME_PLACE_MM:
        side = "higher" if step_mm > 0 else "lower"
        notes.append(f"the network alone placed L3 {abs(step_mm):.0f} mm {side}")
    if is_found and network.extent_mm[0] < z_mm < network.extent_mm[1]:
        extent_mm = network.extent_mm
        notes += [note for note in network.caveats if note == NO_END_PLATES]
    else:
        extent_mm = (z_mm - DEFAULT_HALF_BODY_MM, z_mm + DEFAULT_HALF_BODY_MM)
        notes.append(NO_END_PLATES)
    notes += [doubt for doubt in network.reasons if doubt == TURNED]
    return SpineLevel(
        outcome=LevelOutcome.FOUND,
        z_mm=z_mm,
        extent_mm=extent_mm,
        confidence=None,
        evidence=None,
        caveats=tuple(notes),
    )
