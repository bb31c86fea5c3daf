"""The trunk about the spine in three dimensions: what the second L3 opinion counts vertebrae in."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.domain.predictor import Predictor
from inference.domain.volume import Volume, index_at
from inference.stages.grids import (
    AIR_HU,
    Float,
    body_centre_mm,
    body_mask,
    normalise,
    probability_of,
    resample,
)
from inference.stages.projections import LANDMARKS, window_starts

TRUNK_STEP_MM = 4.0
TRUNK_SHAPE = (128, 64, 80)
"""Slices, rows, columns of one window: 51 cm of a trunk, with the ribs' beginnings and the iliac crests."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trunk:
    """HU [slice, row, column] about the body's middle; slice 0 is the lowest, slices step towards the head."""

    hu: Float
    first_slice_z_mm: float


def trunk_of(volume: Volume) -> Trunk:
    """The trunk of a canonical axial volume, every slice of its field."""
    coarse = resample(volume, (TRUNK_STEP_MM,) * 3)
    centre_mm = body_centre_mm(body_mask(coarse.hu), coarse.affine_lps)
    middle = index_at(coarse.affine_lps, centre_mm)
    hu = np.asarray(coarse.hu, np.float32)
    for axis, size in ((1, TRUNK_SHAPE[1]), (2, TRUNK_SHAPE[2])):
        hu = _cut(hu, axis, round(float(middle[axis]) - size / 2), size)
    return Trunk(hu=hu, first_slice_z_mm=float(coarse.affine_lps[2, 3]))


def spine_curves(volume: Volume, predictor: Predictor) -> tuple[Float, float]:
    """Probability [landmark, slice] along z at TRUNK_STEP_MM, and the z of slice 0."""
    trunk, spec = trunk_of(volume), predictor.manifest.input
    count = len(trunk.hu)
    curves = np.zeros((len(LANDMARKS), count), np.float32)
    for start in window_starts(count, TRUNK_SHAPE[0]):
        window = _cut(trunk.hu, 0, start, TRUNK_SHAPE[0])
        batch = normalise(window, spec.hu_window, spec.mean, spec.sd)[None, None]
        seen = probability_of(predictor.predict(batch)[0])
        there = slice(start, min(start + TRUNK_SHAPE[0], count))
        curves[:, there] = np.maximum(curves[:, there], seen[:, : there.stop - start])
    return curves, trunk.first_slice_z_mm


def _cut(hu: npt.NDArray[np.float32], axis: int, start: int, size: int) -> Float:
    """`size` voxels from `start` along an axis, air beyond the volume."""
    n = hu.shape[axis]
    low, high = max(start, 0), max(min(start + size, n), max(start, 0))
    inner = np.take(hu, np.arange(min(low, n), min(high, n)), axis)
    before = min(max(-start, 0), size)
    pads = [(0, 0)] * hu.ndim
    pads[axis] = (before, size - before - inner.shape[axis])
    return np.pad(inner, pads, constant_values=AIR_HU)
