"""Curves from projections, window by window."""

import itertools

import numpy as np
import pytest

from inference.domain.volume import Volume, affine_from_axes
from inference.stages.grids import Float
from inference.stages.locate_l3 import landmark_curves
from inference.stages.projections import CHANNELS, LANDMARKS, ROWS, window_starts
from tests.unit.inference.fake_predictors import FakePredictor, make_manifest

COLUMNS = 192


@pytest.mark.parametrize("rows", [100, ROWS, ROWS + 1, 3 * ROWS + 7])
def test_windows_cover_long_scans(rows: int) -> None:
    starts = window_starts(rows)

    assert starts[0] == 0
    assert max(starts[-1] + ROWS, ROWS) >= rows
    assert all(b - a <= ROWS // 2 for a, b in itertools.pairwise(starts))


def test_curves_are_as_long_as_the_field_and_placed_by_z() -> None:
    affine = affine_from_axes([0, 0, -500], [[0, 0, 1], [0, 1, 0], [1, 0, 0]], [3, 3, 3])
    hu = np.full((300, 40, 50), -1000, np.float32)
    hu[:, 10:30, 10:40] = 0
    hu[120, 10:30, 10:40] = 900

    def bright_rows(batch: Float) -> Float:
        brightness = batch[:, 1].max(axis=-1) * 20 - 5
        return np.repeat(brightness[:, None], len(LANDMARKS), axis=1)

    manifest = make_manifest("l3-level", "NCZW", (1, CHANNELS, ROWS, COLUMNS), tuple(LANDMARKS))
    curves, first = landmark_curves(
        Volume(hu=hu, affine_lps=affine), FakePredictor(manifest, bright_rows)
    )

    assert curves.shape == (len(LANDMARKS), 300)
    assert int(curves[5].argmax()) == 120
    assert first == pytest.approx(-500)
