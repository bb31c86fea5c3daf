"""Metrics against MONAI's other functions and a second implementation by brute force, on random masks and empty ones."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from monai.metrics import compute_iou
from monai.metrics.meandice import compute_dice
from scipy import ndimage
from scipy.spatial.distance import cdist

from inference.domain.labelmap import Structure
from training.metrics import Mask, score_mask, slice_errors, tolerances_mm

SPACING_MM = (2.5, 0.8, 1.1)


def blobs(seed: int, shape: tuple[int, ...] = (14, 18, 16)) -> Mask:
    """Smooth random bodies, some at the edge of the grid."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2.0)
    mask: Mask = noise > np.quantile(noise, 0.75)
    return mask


def edge_mm(mask: Mask, spacing_mm: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """Voxels with a neighbour outside, the grid's edge included."""
    padded = np.pad(mask, 1)
    edge = padded & ~ndimage.binary_erosion(padded)
    return np.argwhere(edge) * np.asarray(spacing_mm)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("ndim", [2, 3])
def test_a_second_implementation_by_brute_force_agrees(seed: int, ndim: int) -> None:
    shape = (14, 18, 16)[-ndim:]
    spacing = SPACING_MM[-ndim:]
    found, truth = blobs(2 * seed, shape), blobs(2 * seed + 1, shape)

    score = score_mask(found, truth, spacing, 1.5)

    a, b = edge_mm(found, spacing), edge_mm(truth, spacing)
    apart = cdist(a, b)
    there, back = apart.min(axis=1), apart.min(axis=0)
    assert score.hd95_mm == pytest.approx(
        max(np.percentile(there, 95), np.percentile(back, 95)), rel=1e-5
    )
    both = {tuple(p) for p in np.argwhere(found)} & {tuple(p) for p in np.argwhere(truth)}
    either = {tuple(p) for p in np.argwhere(found)} | {tuple(p) for p in np.argwhere(truth)}
    assert score.iou == pytest.approx(len(both) / len(either))
    assert score.dice == pytest.approx(2 * len(both) / (found.sum() + truth.sum()))
    if ndim == 2:
        within = (there <= 1.5).sum() + (back <= 1.5).sum()
        assert score.nsd == pytest.approx(within / (len(a) + len(b)), rel=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_overlap_agrees_with_monai(seed: int) -> None:
    found, truth = blobs(100 + seed), blobs(200 + seed)
    both = [torch.from_numpy(mask)[None, None] for mask in (found, truth)]

    score = score_mask(found, truth, SPACING_MM, 2.0)

    assert score.dice == pytest.approx(float(compute_dice(*both)))
    assert score.iou == pytest.approx(float(compute_iou(*both)))


@pytest.mark.parametrize(("tolerance_mm", "nsd"), [(1.9, 0.545), (2.1, 1.0)])
def test_surface_counts_by_its_area_not_by_its_voxels(tolerance_mm: float, nsd: float) -> None:
    """Voxels five times as high as wide: the two faces across the movement are 45 % of the surface, a third of its voxels."""
    truth = np.zeros((40, 40, 40), np.bool_)
    truth[6:34, 6:34, 6:34] = True

    score = score_mask(np.roll(truth, 2, axis=2), truth, (5.0, 1.0, 1.0), tolerance_mm)

    assert score.nsd == pytest.approx(nsd, abs=0.03)


def test_an_organ_at_the_edge_of_the_grid_has_a_surface_there() -> None:
    truth = np.zeros((10, 10, 10), np.bool_)
    truth[:, :, :5] = True

    whole, inner = score_mask(truth, truth, (1, 1, 1), 1.0), truth.copy()
    inner[0] = False

    assert whole.hd95_mm == 0.0
    assert score_mask(inner, truth, (3.0, 1, 1), 1.0).nsd != 1.0


def test_empty_masks_are_decided_and_never_infinite() -> None:
    empty, full = np.zeros((4, 4, 4), np.bool_), blobs(1, (4, 4, 4))

    nothing = score_mask(empty, empty, (1, 1, 1), 1.0)
    missed = score_mask(empty, full, (1, 1, 1), 1.0)
    invented = score_mask(full, empty, (1, 1, 1), 1.0)

    assert (nothing.dice, nothing.iou, nothing.nsd, nothing.hd95_mm) == (None, None, None, None)
    assert (nothing.is_missed, nothing.is_invented) == (False, False)
    assert (missed.dice, missed.nsd, missed.hd95_mm, missed.is_missed) == (0.0, 0.0, None, True)
    assert (invented.dice, invented.hd95_mm, invented.is_invented) == (0.0, None, True)


def test_masks_of_two_grids_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        score_mask(blobs(1), blobs(1)[1:], SPACING_MM, 1.0)


def test_every_structure_has_a_tolerance() -> None:
    assert {structure.value for structure in Structure} <= set(tolerances_mm())


def test_slice_errors_and_the_line_through_them() -> None:
    true = [10.0, 40.0, 70.0, 100.0]
    errors = slice_errors([12.0, 42.0, 72.0, 102.0], true)

    assert (errors.mean_absolute, errors.sd_absolute, errors.median_absolute) == (2.0, 0.0, 2.0)
    assert errors.slope == pytest.approx(1.0)
    assert errors.intercept == pytest.approx(2.0)
    assert errors.r_squared == pytest.approx(1.0)

    worse = slice_errors([12.0, 41.0, 60.0, 102.0], true)
    assert worse.mean_absolute == pytest.approx(3.75)
    assert worse.sd_absolute == pytest.approx(np.std([2, 1, 10, 2], ddof=1))
    assert worse.r_squared < 0.999

    with pytest.raises(ValueError, match="two at least"):
        slice_errors([1.0], [1.0])
