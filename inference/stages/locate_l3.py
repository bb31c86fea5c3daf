"""Curves of the spine's landmarks along the body's axis, from its projections."""

import numpy as np

from inference.domain.predictor import Predictor
from inference.domain.volume import Volume
from inference.stages.grids import Float, normalise, probability_of
from inference.stages.projections import (
    LANDMARKS,
    ROWS,
    padded_window,
    project,
    window_starts,
)


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
