"""From curves to a level, or to none."""

import itertools
from collections.abc import Mapping

import numpy as np
import pytest

from inference.domain.volume import Volume, affine_from_axes
from inference.stages.grids import Float
from inference.stages.locate_l3 import landmark_curves, level_from_curves
from inference.stages.projections import CHANNELS, LANDMARKS, ROW_MM, ROWS, window_starts
from tests.unit.inference.fake_predictors import FakePredictor, make_manifest

COLUMNS = 192


def _curves(rows: int, peaks: Mapping[str, tuple[float, float]]) -> Float:
    """Gaussian bumps of the given row and height."""
    curves = np.zeros((len(LANDMARKS), rows), np.float32)
    for name, (row, height) in peaks.items():
        curves[LANDMARKS.index(name)] = height * np.exp(-0.5 * ((np.arange(rows) - row) / 2) ** 2)
    return curves


def test_the_level_is_the_sub_row_peak_of_l3() -> None:
    spine = level_from_curves(_curves(100, {"L3": (40.4, 0.9)}), 12.0)

    assert spine is not None
    assert spine.z_mm == pytest.approx(12.0 + 40.4 * ROW_MM, abs=1.0)
    assert spine.confidence == pytest.approx(0.9, abs=0.03)


def test_no_peak_is_no_level() -> None:
    assert level_from_curves(_curves(100, {"L3": (40, 0.4), "L2": (50, 0.9)}), 0.0) is None


def test_end_plates_give_the_extent_where_they_are_plausible() -> None:
    peaks = {"L3": (40, 0.9), "L3_lower": (35, 0.9), "L3_upper": (70, 0.9)}

    spine = level_from_curves(_curves(100, peaks), 0.0)

    assert spine is not None
    lower, upper = spine.extent_mm
    assert lower == pytest.approx(35 * ROW_MM, abs=1)
    assert upper == pytest.approx(40 * ROW_MM + 14, abs=1)
    assert any("end plate" in flag for flag in spine.flags)


def test_a_level_with_both_end_plates_raises_no_doubt() -> None:
    peaks = {"L3": (40, 0.9), "L3_lower": (35, 0.9), "L3_upper": (45, 0.9)}

    spine = level_from_curves(_curves(100, peaks), 0.0)

    assert spine is not None
    assert spine.flags == ()


def test_a_neighbour_in_the_wrong_place_lowers_the_confidence_and_is_said() -> None:
    peaks = {"L3": (40, 0.9), "L2": (80, 0.9), "L4": (28, 0.9)}

    spine = level_from_curves(_curves(100, peaks), 0.0)

    assert spine is not None
    assert (spine.confidence or 1.0) < 0.5
    assert any("L2" in flag for flag in spine.flags)


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
