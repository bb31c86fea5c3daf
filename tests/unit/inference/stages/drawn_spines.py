"""Curves of landmarks drawn by hand: bumps where a spine has its vertebrae."""

from collections.abc import Mapping

import numpy as np

from inference.stages.projections import LANDMARKS
from inference.stages.spine_chain import CHAIN, LandmarkCurves

USUAL_STEPS_MM = (26.0, 29.0, 31.0, 34.0, 34.0, 34.0, 33.0, 24.0)
"""From T10 down to S1."""
BUMP_MM = 6.0
HUM = 0.004
"""What a network says where it sees nothing."""
FIELD_MM = (-330.0, 210.0)


def spine_mm(
    l3_mm: float = 0.0, size: float = 1.0, steps_mm: tuple[float, ...] = USUAL_STEPS_MM
) -> dict[str, float]:
    """z of each landmark."""
    below = np.concatenate([[0.0], np.cumsum(steps_mm)]) * size
    return {name: float(l3_mm + below[5] - down) for name, down in zip(CHAIN, below, strict=True)}


def curves_of(
    places_mm: Mapping[str, float],
    field_mm: tuple[float, float] = FIELD_MM,
    *,
    height: float = 0.95,
    heights: Mapping[str, float] | None = None,
    step_mm: float = 3.0,
) -> LandmarkCurves:
    """A bump per landmark that lies in the field; end plates of L3 are 14 mm from its middle."""
    low, high = field_mm
    rows_mm = np.arange(low + step_mm / 2, high, step_mm)
    places = dict(places_mm)
    if "L3" in places:
        places |= {"L3_lower": places["L3"] - 14.0, "L3_upper": places["L3"] + 14.0}
    probability = np.full((len(LANDMARKS), len(rows_mm)), HUM, np.float32)
    for name, z_mm in places.items():
        if low <= z_mm <= high:
            tall = (heights or {}).get(name, height)
            bump = tall * np.exp(-0.5 * ((rows_mm - z_mm) / BUMP_MM) ** 2)
            row = LANDMARKS.index(name)
            probability[row] = np.maximum(probability[row], bump)
    return LandmarkCurves(
        names=LANDMARKS, probability=probability, first_z_mm=float(rows_mm[0]), step_mm=step_mm
    )
