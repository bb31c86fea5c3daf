"""The second opinion's view of the trunk, and the curves that come back."""

import numpy as np
import pytest

from inference.domain.volume import Volume, affine_from_axes
from inference.stages.grids import AIR_HU, Float
from inference.stages.projections import LANDMARKS
from inference.stages.spine_volume import TRUNK_SHAPE, TRUNK_STEP_MM, spine_curves, trunk_of
from tests.unit.inference.fake_predictors import FakePredictor, make_manifest

SLICES, ROWS, COLUMNS = TRUNK_SHAPE


def trunk_volume(height_mm: float, step_mm: float = 2.0, aside: int = 0) -> Volume:
    """A box of a body of 240 × 160 mm with a bright marker in its middle, `height_mm` high."""
    count = round(height_mm / step_mm)
    hu = np.full((count, 150, 220), AIR_HU, np.float32)
    hu[:, 30:110, 40 + aside : 160 + aside] = 30
    hu[count // 2 - 4 : count // 2 + 4, 66:74, 96 + aside : 104 + aside] = 800
    affine = affine_from_axes((-220.0, -150.0, -90.0), np.eye(3)[::-1], (step_mm,) * 3)
    return Volume(hu=hu, affine_lps=affine)


@pytest.mark.parametrize("aside", [-40, 0, 45])
def test_the_trunk_is_cut_about_the_body_wherever_it_lies(aside: int) -> None:
    trunk = trunk_of(trunk_volume(400, aside=aside))

    assert trunk.hu.shape[1:] == (ROWS, COLUMNS)
    _, row, column = np.unravel_index(int(trunk.hu.argmax()), trunk.hu.shape)
    assert abs(row - ROWS / 2) <= 2
    assert abs(column - COLUMNS / 2) <= 2
    assert trunk.first_slice_z_mm == pytest.approx(-90 + 1.0)


def test_beyond_the_volume_is_air() -> None:
    volume = trunk_volume(100)
    narrow = Volume(hu=volume.hu[:, 30:110, 40:160], affine_lps=volume.affine_lps)

    trunk = trunk_of(narrow)

    assert (trunk.hu[:, 0] == AIR_HU).all()
    assert (trunk.hu[:, :, 0] == AIR_HU).all()


@pytest.mark.parametrize("height_mm", [60.0, 512.0, 700.0, 1400.0])
def test_curves_cover_the_field_and_peak_where_the_network_says(height_mm: float) -> None:
    def brightest_slice(batch: Float) -> Float:
        logits = np.full((1, len(LANDMARKS), SLICES), -9.0, np.float32)
        logits[0, 5] = batch[0, 0].max(axis=(1, 2))
        return logits

    manifest = make_manifest("l3-spine", "NCZYX", (1, 1, *TRUNK_SHAPE), LANDMARKS)
    volume = trunk_volume(height_mm)

    curves, first_z_mm = spine_curves(volume, FakePredictor(manifest, brightest_slice))

    z_mm = (
        first_z_mm
        + float(np.mean(np.flatnonzero(curves[5] > 0.9 * curves[5].max()))) * TRUNK_STEP_MM
    )
    assert curves.shape == (len(LANDMARKS), round(height_mm / TRUNK_STEP_MM))
    assert z_mm == pytest.approx(-90 + height_mm / 2, abs=TRUNK_STEP_MM)
    assert curves[4].max() < 0.01
