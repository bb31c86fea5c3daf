"""Planes taken out of the ring are those of a sum over the whole volume."""

import numpy as np
import pytest

from inference.kernels.rolling_logits import RollingLogits

CHANNELS, DEPTH, ROWS, COLUMNS = 3, 4, 40, 22
PATCH = (DEPTH, 25, 15)


def test_planes_are_the_weighted_means_of_all_patches_over_them() -> None:
    rng = np.random.default_rng(3)
    weight = rng.uniform(0.1, 1, PATCH).astype(np.float32)
    total = np.zeros((CHANNELS, 11, ROWS, COLUMNS))
    weights = np.zeros((11, ROWS, COLUMNS))
    rolling = RollingLogits(CHANNELS, (ROWS, COLUMNS), weight)
    planes: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = []
    starts = [0, 2, 5, 7]
    for number, depth in enumerate(starts):
        for row in (0, 8, 15):
            for column in (0, 7):
                logits = rng.normal(size=(CHANNELS, *PATCH)).astype(np.float32)
                rolling.add(logits, (depth, row, column))
                where = (
                    slice(depth, depth + DEPTH),
                    slice(row, row + 25),
                    slice(column, column + 15),
                )
                total[(slice(None), *where)] += logits * weight
                weights[where] += weight
        end = starts[number + 1] if number + 1 < len(starts) else 11
        planes += [rolling.take() for _ in range(end - depth)]

    found = np.stack(planes).transpose(3, 0, 1, 2)
    np.testing.assert_allclose(found, total / weights, rtol=1e-4, atol=1e-5)


def test_a_patch_that_reaches_back_is_a_mistake_of_the_caller() -> None:
    rolling = RollingLogits(1, (4, 4), np.ones((2, 4, 4), np.float32))
    rolling.add(np.ones((1, 2, 4, 4), np.float32), (0, 0, 0))
    rolling.take()

    with pytest.raises(ValueError, match="1 planes are taken out"):
        rolling.add(np.ones((1, 2, 4, 4), np.float32), (0, 0, 0))
