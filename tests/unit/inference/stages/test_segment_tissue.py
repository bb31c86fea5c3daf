"""Tissues by HU windows: noise takes no voxel out of its window, and nothing is averaged across a border."""

import numpy as np
import pytest

from inference.domain.analysis_profile import HuWindows
from inference.domain.labelmap import TISSUES, Structure
from inference.domain.volume import Volume
from inference.stages.segment_tissue import CALM_HU, calmed, tissues_from_compartments

MM = (0.8, 0.8)
MUSCLE_HU, FAT_HU = 50, -100


def halves(noise_hu: float) -> tuple[Volume, np.ndarray]:
    """One slice: muscle on the left, visceral fat on the right."""
    compartments = np.ones((1, 160, 160), np.uint8)
    compartments[..., 80:] = 3
    hu = np.where(compartments == 1, MUSCLE_HU, FAT_HU)
    hu = hu + np.random.default_rng(1).normal(0, noise_hu, hu.shape)
    return Volume(hu=hu.astype(np.int16), affine_lps=np.diag([5.0, *MM, 1.0])), compartments


def share_in_window(noise_hu: float, structure: Structure) -> float:
    volume, compartments = halves(noise_hu)
    found = tissues_from_compartments(volume, compartments, HuWindows())
    return float((found.labels == TISSUES.index(structure) + 1).mean()) * 2


@pytest.mark.parametrize("structure", [Structure.SKELETAL_MUSCLE, Structure.VISCERAL_FAT])
def test_noise_takes_no_tissue_out_of_its_window(structure: Structure) -> None:
    assert share_in_window(45.0, structure) > 0.98 * share_in_window(5.0, structure)


def test_calm_images_are_taken_as_they_are() -> None:
    volume, compartments = halves(0.9 * CALM_HU)

    assert np.array_equal(calmed(volume.hu[0], compartments[0], MM), volume.hu[0])


def test_noise_is_lowered_to_what_windows_bear_and_no_further() -> None:
    volume, compartments = halves(40.0)

    values = calmed(volume.hu[0], compartments[0], MM)

    for side, hu in ((slice(0, 80), MUSCLE_HU), (slice(80, 160), FAT_HU)):
        assert values[:, side].mean() == pytest.approx(hu, abs=1)
        assert 0.7 * CALM_HU < values[:, side].std() < 1.3 * CALM_HU


def test_nothing_is_averaged_across_the_border_of_a_compartment() -> None:
    volume, compartments = halves(40.0)

    values = calmed(volume.hu[0], compartments[0], MM)

    assert values[:, 79].mean() == pytest.approx(MUSCLE_HU, abs=6)
    assert values[:, 80].mean() == pytest.approx(FAT_HU, abs=6)
