"""From landmark curves along the body's axis to the level of L3, or to the answer that it is not in the field."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.domain.predictor import Predictor
from inference.domain.volume import Volume
from inference.stages.grids import Float, normalise, probability_of
from inference.stages.projections import (
    LANDMARKS,
    ROW_MM,
    ROWS,
    padded_window,
    project,
    window_starts,
)

PEAK_MINIMUM = 0.5
"""Below this the locator does not claim to see a landmark."""
REFINE_ROWS = 4
"""Rows on each side of a peak that share in its sub-row position."""
NEIGHBOUR_MM = (18.0, 60.0)
"""Plausible distance between the middles of neighbouring lumbar bodies, short and tall adults included."""
HALF_BODY_MM = (6.0, 24.0)
"""Plausible distance from the middle of L3 to its end plates."""
DEFAULT_HALF_BODY_MM = 14.0
"""Taken for an end plate that was not seen."""
NO_END_PLATES = "end plate of L3 not seen: slab volumes are of the usual height there"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpineLevel:
    """The middle of L3 and its end plates along z."""

    z_mm: float
    extent_mm: tuple[float, float]
    confidence: float | None
    """None where a person set the level."""
    flags: tuple[str, ...]


def landmark_curves(volume: Volume, predictor: Predictor) -> tuple[Float, float]:
    """Probability [landmark, row] along z for a canonical volume near 3 mm, and the z of row 0."""
    projections = project(volume)
    spec = predictor.manifest.input
    curves = np.zeros((len(LANDMARKS), projections.rows_in_field), np.float32)
    for start in window_starts(projections.rows_in_field):
        window = padded_window(projections.hu, start)
        batch = normalise(window, spec.hu_window, spec.mean, spec.sd)[None]
        probability = probability_of(predictor.predict(batch)[0])
        rows = min(ROWS, projections.rows_in_field - start)
        there = slice(start, start + rows)
        curves[:, there] = np.maximum(curves[:, there], probability[:, :rows])
    return curves, projections.first_row_z_mm


def level_from_curves(curves: npt.NDArray[np.float32], first_row_z_mm: float) -> SpineLevel | None:
    """The level where the L3 curve peaks, checked against its neighbours; None when no peak is high enough."""
    peaks = {name: _peak(curve) for name, curve in zip(LANDMARKS, curves, strict=True)}
    row, height = peaks["L3"]
    if height < PEAK_MINIMUM:
        return None
    z = first_row_z_mm + row * ROW_MM
    flags, agreement = [], 1.0
    for name, direction in (("L2", 1), ("L4", -1)):
        other, seen = peaks[name]
        step_mm = (other - row) * ROW_MM * direction
        if seen >= PEAK_MINIMUM and not NEIGHBOUR_MM[0] <= step_mm <= NEIGHBOUR_MM[1]:
            flags.append(f"level uncertain: {name} was found {step_mm:.0f} mm from L3")
            agreement = 0.5
    lower = _end_plate(peaks["L3_lower"], row, -1)
    upper = _end_plate(peaks["L3_upper"], row, +1)
    if lower is None or upper is None:
        flags.append(NO_END_PLATES)
    return SpineLevel(
        z_mm=z,
        extent_mm=(z - (lower or DEFAULT_HALF_BODY_MM), z + (upper or DEFAULT_HALF_BODY_MM)),
        confidence=float(height * agreement),
        flags=tuple(flags),
    )


def _peak(curve: Float) -> tuple[float, float]:
    """Sub-row position and height of the highest peak."""
    top = int(np.argmax(curve))
    low, high = max(0, top - REFINE_ROWS), min(len(curve), top + REFINE_ROWS + 1)
    weights = curve[low:high].astype(np.float64)
    position = float(np.average(np.arange(low, high), weights=np.maximum(weights, 1e-6)))
    return position, float(curve[top])


def _end_plate(peak: tuple[float, float], row: float, direction: int) -> float | None:
    """Distance from the middle of L3 to an end plate; None where none was seen at a plausible place."""
    position, height = peak
    distance = (position - row) * ROW_MM * direction
    seen = height >= PEAK_MINIMUM and HALF_BODY_MM[0] <= distance <= HALF_BODY_MM[1]
    return distance if seen else None
