"""Synthetic cases turned into training examples with the node's own preprocessing; importable without torch."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from inference.domain.volume import Volume, index_at
from inference.stages.grids import body_centre_mm, body_mask, resample
from inference.stages.projections import LANDMARKS, ROW_MM, project
from training.samples import ProjectionSample, SliceSample, TorsoSample
from training.specification import ORGANS
from training.synthetic.labels import COMPARTMENT_LUT, ORGAN_LUT

TORSO_STEP_MM = (3.0, 3.0, 3.0)
TORSO_SHAPE_RC = (144, 160)
TISSUE_STEP_MM = (1.6, 1.6)
TISSUE_SHAPE_RC = (320, 320)
SHORTEST_PROJECTED_MM = 120.0
SLICES_PER_ANATOMY = 8
RANDOM_FIELDS_PER_SCAN = 3
"""Fields cut at random, beside the whole one."""
THICKNESS_MM = (1.0, 5.0)
NARROW_FIELD_SHARE = 0.3
NARROW_FIELD_MM = (320.0, 420.0)


class VertebralBody(Protocol):
    """As in training.synthetic.spine."""

    @property
    def z_low_mm(self) -> float: ...
    @property
    def z_high_mm(self) -> float: ...
    @property
    def centre_lps_mm(self) -> tuple[float, float, float]: ...


def torso_sample(
    volume: Volume,
    tissue_labels: npt.NDArray[np.uint8],
    vertebrae: Mapping[str, VertebralBody],
) -> TorsoSample:
    """A torso on the organ network's grid, reduced as the node reduces a scan, with labels, middle and landmarks."""
    coarse = resample(volume, ORGANS.spacing_mm)
    centre_mm = body_centre_mm(body_mask(coarse.hu), coarse.affine_lps)
    tissues = nearest_labels(tissue_labels, volume, coarse)
    return TorsoSample(
        hu=np.rint(coarse.hu).astype(np.int16),
        labels=ORGAN_LUT[tissues],
        tissues=tissues,
        body_centre=index_at(coarse.affine_lps, centre_mm).astype(np.float32),
        landmarks=np.stack(
            [
                index_at(coarse.affine_lps, landmark_lps_mm(name, vertebrae)).astype(np.float32)
                for name in LANDMARKS
            ]
        ),
    )


def nearest_labels(
    labels: npt.NDArray[np.uint8], fine: Volume, coarse: Volume
) -> npt.NDArray[np.uint8]:
    """The label at the middle of each voxel of a coarser grid over the same field."""
    offset = index_at(fine.affine_lps, coarse.affine_lps[:3, 3])
    picks = []
    for axis, n in enumerate(coarse.shape):
        scale = coarse.spacing_mm[axis] / fine.spacing_mm[axis]
        picks.append(
            np.clip(np.rint(np.arange(n) * scale + offset[axis]), 0, labels.shape[axis] - 1)
        )
    picked: npt.NDArray[np.uint8] = labels[np.ix_(*(p.astype(np.intp) for p in picks))]
    return picked


def projection_sample(volume: Volume, vertebrae: Mapping[str, VertebralBody]) -> ProjectionSample:
    """Projections of a field with the rows of all landmarks, in the field or not."""
    projections = project(volume)
    z_mm = np.array([landmark_lps_mm(name, vertebrae)[2] for name in LANDMARKS])
    return ProjectionSample(
        hu=np.rint(projections.hu).astype(np.int16),
        landmark_rows=((z_mm - projections.first_row_z_mm) / ROW_MM).astype(np.float32),
    )


def landmark_lps_mm(name: str, vertebrae: Mapping[str, VertebralBody]) -> npt.NDArray[np.float64]:
    """Patient position of a landmark; NaN where the anatomy has none (L5 of four lumbar bodies)."""
    vertebra = vertebrae.get(name.partition("_")[0])
    if vertebra is None:
        return np.full(3, np.nan)
    x, y, z = vertebra.centre_lps_mm
    if name.endswith("_lower"):
        z = vertebra.z_low_mm
    elif name.endswith("_upper"):
        z = vertebra.z_high_mm
    return np.array([x, y, z])


def random_field(volume: Volume, rng: np.random.Generator) -> Volume:
    """A random stack of slices of a volume, sometimes with a field of view narrower than the patient."""
    slice_mm, row_mm, column_mm = volume.spacing_mm
    slices, rows, columns = volume.shape
    shortest = min(slices, round(SHORTEST_PROJECTED_MM / slice_mm))
    count = int(rng.integers(shortest, slices + 1))
    first = int(rng.integers(0, slices - count + 1))
    box = [slice(first, first + count), slice(0, rows), slice(0, columns)]
    if rng.random() < NARROW_FIELD_SHARE:
        side_mm = rng.uniform(*NARROW_FIELD_MM)
        box[1] = _narrow(rows, round(side_mm / row_mm), rng)
        box[2] = _narrow(columns, round(side_mm / column_mm), rng)
    affine = volume.affine_lps.copy()
    affine[:3, 3] += affine[:3, :3] @ np.array([s.start for s in box])
    return Volume(hu=volume.hu[tuple(box)], affine_lps=affine)


def _narrow(n: int, wanted: int, rng: np.random.Generator) -> slice:
    """Part of an axis about its middle, off by up to a tenth."""
    wanted = min(wanted, n)
    play = n // 10
    first = (n - wanted) // 2 + int(rng.integers(-play, play + 1))
    first = min(max(first, 0), n - wanted)
    return slice(first, first + wanted)


def slice_sample(
    hu: Sequence[npt.NDArray[np.int16]], tissue_labels: Sequence[npt.NDArray[np.uint8]]
) -> SliceSample:
    """Slices with their compartments."""
    tissues = np.stack(tissue_labels)
    return SliceSample(
        hu=np.stack(hu).astype(np.int16), labels=COMPARTMENT_LUT[tissues], tissues=tissues
    )


def slice_levels_mm(
    vertebrae: Mapping[str, VertebralBody], rng: np.random.Generator
) -> list[float]:
    """Random levels from T11 to S1: one in each of equal parts, so that every region is met."""
    low, high = vertebrae["S1"].z_low_mm, vertebrae["T11"].z_high_mm
    parts = np.linspace(low, high, SLICES_PER_ANATOMY + 1)
    return [float(rng.uniform(a, b)) for a, b in pairwise(parts)]
