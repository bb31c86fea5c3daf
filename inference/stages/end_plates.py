"""The end plates of L3 from their curves, about a middle that is known."""

import numpy as np

from inference.stages.spine_chain import LandmarkCurves

SEEN = 0.5
"""A curve's peak above this claims to see its end plate."""
REFINE_ROWS = 4
"""Rows on each side of a peak that share in its sub-row position."""
HALF_BODY_MM = (6.0, 24.0)
"""Plausible distance from the middle of L3 to its end plates."""
DEFAULT_HALF_BODY_MM = 14.0
"""Taken for an end plate that was not seen."""
NO_END_PLATES = "end plate of L3 not seen: slab volumes are of the usual height there"


def body_extent(curves: LandmarkCurves, z_mm: float) -> tuple[tuple[float, float], bool]:
    """Lower and upper end plate of the body about a middle, and whether both were seen; else the usual height."""
    lower = _end_plate_mm(curves, "L3_lower", z_mm, -1)
    upper = _end_plate_mm(curves, "L3_upper", z_mm, +1)
    down = DEFAULT_HALF_BODY_MM if lower is None else lower
    up = DEFAULT_HALF_BODY_MM if upper is None else upper
    return (z_mm - down, z_mm + up), lower is not None and upper is not None


def _end_plate_mm(curves: LandmarkCurves, name: str, z_mm: float, direction: int) -> float | None:
    """Distance from the middle of L3 to an end plate; None where none was seen at a plausible place."""
    curve = curves.of(name).astype(np.float64)
    away_mm = (curves.first_z_mm + curves.step_mm * np.arange(len(curve)) - z_mm) * direction
    there = np.where((away_mm >= HALF_BODY_MM[0]) & (away_mm <= HALF_BODY_MM[1]), curve, 0.0)
    top = int(np.argmax(there))
    if there[top] < SEEN:
        return None
    low, high = max(0, top - REFINE_ROWS), min(len(curve), top + REFINE_ROWS + 1)
    weights = np.maximum(curve[low:high], 1e-6)
    found = float(np.average(away_mm[low:high], weights=weights))
    return float(np.clip(found, *HALF_BODY_MM))
