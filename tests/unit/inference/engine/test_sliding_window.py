"""Patches cover the volume and blend to what a single pass would give."""

import itertools

import numpy as np
import pytest

from inference.engine.sliding_window import sliding_logits
from inference.kernels.patch_plan import patch_starts
from tests.unit.inference.fake_predictors import FakePredictor, Float, make_manifest


def _by_threshold(batch: Float) -> Float:
    x = batch[:, 0]
    return np.stack([0.3 - x, x - 0.3, x - 0.7], axis=1)


@pytest.mark.parametrize(("size", "patch"), [(5, 8), (8, 8), (9, 8), (20, 8), (100, 8)])
def test_patches_cover_every_voxel_and_overlap_by_half(size: int, patch: int) -> None:
    starts = patch_starts(size, patch)

    covered = np.zeros(max(size, patch), bool)
    for start in starts:
        covered[start : start + patch] = True
    assert covered[:size].all()
    assert starts[-1] + patch <= max(size, patch)
    assert all(b - a <= patch // 2 for a, b in itertools.pairwise(starts))


def test_a_pointwise_network_gives_the_same_with_and_without_windows() -> None:
    voxels = np.random.default_rng(0).random((13, 9, 21), np.float32)
    predictor = FakePredictor(make_manifest(), _by_threshold)

    logits = sliding_logits(voxels, predictor, 0.0, lambda share: None, lambda plan: None)

    np.testing.assert_allclose(logits, _by_threshold(voxels[None, None])[0], atol=1e-5)
    assert set(predictor.shapes) == {(1, 1, 8, 8, 8)}


def test_progress_ends_at_one() -> None:
    seen: list[float] = []

    sliding_logits(
        np.zeros((20, 8, 8), np.float32),
        FakePredictor(make_manifest(), _by_threshold),
        0.0,
        seen.append,
        lambda plan: None,
    )

    assert seen[-1] == 1.0
    assert seen == sorted(seen)
