"""L3 from a network that looks at every axial slice on its own: scores are smoothed along z, and one place is chosen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.domain.manifest import InputSpec
from inference.domain.predictor import Predictor
from inference.domain.volume import Volume, slice_z_mm
from inference.stages.grids import (
    Float,
    PlaneGrid,
    body_mask,
    centred_plane,
    normalise,
    probability_of,
)

SLICE_STEP_MM = 2.5
"""Slices nearer to each other are passed over: L3 is 27 mm high."""
COARSE_STEP_MM = 10.0
"""Of the first look: a body of 27 mm is met by two slices at least."""
LOOKED_AT_FROM = 0.1
"""Probability at the first look: places with less are not looked at closer."""
CLOSER_MM = 20.0
"""How far about such a place every slice is shown."""
SMOOTHING_MM = 4.0
"""Standard deviation of the bell along z: a slice that no neighbour agrees with is a mistake of its own."""
SAME_BODY_MM = 20.0
"""Slices nearer to the chosen one show the same vertebra."""
BATCH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceChoice:
    """The place that looks most like L3."""

    z_mm: float
    peak: float
    """Smoothed probability there."""
    confidence: float
    """The peak, times the share of all probability that lies about it: a second place that looks like L3 lowers it."""
    rival_mm: float | None
    """The likeliest place of another vertebra; None where the field holds none."""
    rival_peak: float


def scored_slices(volume: Volume) -> npt.NDArray[np.intp]:
    """The slices of a canonical volume that are shown to the network."""
    step = max(1, int(SLICE_STEP_MM / volume.spacing_mm[0] + 1e-6))
    return np.arange(0, volume.shape[0], step)


def slice_planes(volume: Volume, slices: Sequence[int], grid: PlaneGrid) -> Float:
    """HU [slice, row, column] about the middle of each slice's body; air outside the field."""
    spacing_mm = volume.spacing_mm[1:]
    planes = np.empty((len(slices), *grid.shape), np.float32)
    for place, k in enumerate(slices):
        body = body_mask(volume.hu[k : k + 1])[0]
        centre = _middle(body)
        planes[place] = centred_plane(volume.hu[k].astype(np.float32), spacing_mm, centre, grid)
    return planes


def _middle(body: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Row and column halfway between the body's edges, or of the picture where there is none."""
    edges = [np.flatnonzero(body.any(axis=axis)) for axis in (1, 0)]
    row, column = (
        (float(used[0] + used[-1]) if used.size else size - 1) / 2
        for used, size in zip(edges, body.shape, strict=True)
    )
    return row, column


def slice_probabilities(volume: Volume, predictor: Predictor) -> tuple[Float, Float]:
    """Of the scored slices of a canonical volume: the probability to show L3, and their z.

    A look at every fourth tells where the others are worth one; between slices that do not look like L3 the probability is
    interpolated.
    """
    slices = scored_slices(volume)
    z_mm = slice_z_mm(volume)[slices].astype(np.float32)
    scored_mm = volume.spacing_mm[0] * (slices[1] - slices[0] if len(slices) > 1 else 1)
    coarse = np.arange(0, len(slices), max(1, int(COARSE_STEP_MM / scored_mm)))
    coarse = np.union1d(coarse, len(slices) - 1)
    first_look = _probabilities(volume, slices[coarse], predictor)
    near = coarse[first_look >= LOOKED_AT_FROM]
    is_near = (np.abs(z_mm[:, None] - z_mm[None, near]) <= CLOSER_MM).any(axis=1)
    closer = np.setdiff1d(np.flatnonzero(is_near), coarse)
    asked = np.r_[coarse, closer]
    found = np.r_[first_look, _probabilities(volume, slices[closer], predictor)]
    order = np.argsort(asked)
    whole = np.interp(np.arange(len(slices)), asked[order], found[order])
    return whole.astype(np.float32), z_mm


def _probabilities(
    volume: Volume, slices: npt.NDArray[np.intp], predictor: Predictor
) -> npt.NDArray[np.float64]:
    spec: InputSpec = predictor.manifest.input
    grid = PlaneGrid((spec.shape[2], spec.shape[3]), (spec.spacing_mm[0], spec.spacing_mm[1]))
    found = [np.empty(0)]
    for first in range(0, len(slices), BATCH):
        planes = slice_planes(volume, slices[first : first + BATCH].tolist(), grid)
        batch = normalise(planes[:, None], spec.hu_window, spec.mean, spec.sd)
        found.append(probability_of(predictor.predict(batch)[:, 0]).astype(np.float64))
    return np.concatenate(found)


def chosen_slice(probabilities: Float, z_mm: Float) -> SliceChoice:
    """From scores in any order of z to one place."""
    apart_mm = np.abs(z_mm[:, None] - z_mm[None]).astype(np.float64)
    bell = np.exp(-0.5 * (apart_mm / SMOOTHING_MM) ** 2)
    smooth = bell @ probabilities / bell.sum(axis=1)
    top = int(np.argmax(smooth))
    about = apart_mm[top] <= SAME_BODY_MM
    weights = np.where(about, probabilities, 0.0) + 1e-12 * about
    rivals = np.where(about, 0.0, smooth)
    rival = int(np.argmax(rivals))
    peak = float(smooth[top])
    share = float(smooth[about].sum() / max(float(smooth.sum()), 1e-12))
    return SliceChoice(
        z_mm=float(np.average(z_mm, weights=weights)),
        peak=peak,
        confidence=peak * share,
        rival_mm=None if about.all() else float(z_mm[rival]),
        rival_peak=float(rivals[rival]),
    )
