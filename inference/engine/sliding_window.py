"""Overlapping patches of a volume through a 3D network, blended by a Gaussian."""

from collections.abc import Callable
from itertools import product

import numpy as np
import numpy.typing as npt

from inference.domain.predictor import Predictor
from inference.kernels.patch_plan import PatchPlan, plan_patches

Float = npt.NDArray[np.float32]


def gaussian_weight(patch: tuple[int, ...]) -> Float:
    """Blending weight [z, y, x]: the middle of a patch knows more than its rim (nnU-Net uses sigma = size / 8)."""
    weight = np.ones(patch, np.float32)
    for axis, n in enumerate(patch):
        position = (np.arange(n) - (n - 1) / 2) / (n / 8)
        shape = [1] * len(patch)
        shape[axis] = n
        weight *= np.exp(-0.5 * position**2).astype(np.float32).reshape(shape)
    return np.maximum(weight, np.float32(1e-3))


def sliding_logits(
    voxels: Float,
    predictor: Predictor,
    padding: float,
    progress: Callable[[float], None],
    told: Callable[[PatchPlan], None],
) -> Float:
    """Logits [channel, z, y, x] of normalised voxels [z, y, x]; `padding` is the normalised value of air."""
    depth, rows, columns = predictor.manifest.input.shape[2:]
    patch = (depth, rows, columns)
    padded = np.pad(
        voxels,
        [(0, max(0, p - n)) for n, p in zip(voxels.shape, patch, strict=True)],
        constant_values=padding,
    )
    channels = predictor.manifest.output.shape[1]
    total = np.zeros((channels, *padded.shape), np.float32)
    weights = np.zeros(padded.shape, np.float32)
    weight = gaussian_weight(patch)
    plan = plan_patches((padded.shape[0], padded.shape[1], padded.shape[2]), patch)
    told(plan)
    for done, start in enumerate(product(*plan.starts)):
        where = tuple(slice(s, s + p) for s, p in zip(start, patch, strict=True))
        logits = predictor.predict(np.ascontiguousarray(padded[where])[None, None])[0]
        total[(slice(None), *where)] += logits * weight
        weights[where] += weight
        progress((done + 1) / plan.count)
    total /= weights
    return total[(slice(None), *(slice(0, n) for n in voxels.shape))]
