"""Synthetic cases turned into training examples with the node's own preprocessing; importable without torch."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from inference.domain.volume import Volume, index_at
from inference.stages.grids import body_centre_mm, body_mask, resample
from inference.stages.projections import LANDMARKS, ROW_MM, project
from training.samples import ProjectionSample, SliceSample, TorsoSample
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
    """A torso on its own grid, with labels, middle and landmarks."""
    centre_mm = body_centre_mm(body_mask(volume.hu), volume.affine_lps)
    return TorsoSample(
        hu=np.rint(volume.hu).astype(np.int16),
        labels=ORGAN_LUT[tissue_labels],
        tissues=tissue_labels,
        body_centre=index_at(volume.affine_lps, centre_mm).astype(np.float32),
        landmarks=np.stack(
            [
                index_at(volume.affine_lps, landmark_lps_mm(name, vertebrae)).astype(np.float32)
                for name in LANDMARKS
            ]
        ),
        step_mm=np.array(volume.spacing_mm, np.float32),
    )


def at_step(torso: TorsoSample, step_mm: Sequence[float]) -> TorsoSample:
    """On a task's grid, reduced as the node reduces a scan."""
    own = tuple(float(step) for step in torso.step_mm)
    if np.allclose(own, step_mm):
        return torso
    volume = Volume(hu=torso.hu, affine_lps=np.diag([*own, 1.0])[[2, 1, 0, 3]])
    coarse = resample(volume, tuple(step_mm))

    def placed(index: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        at_mm = (volume.affine_lps[:3, :3] @ index.T).T + volume.affine_lps[:3, 3]
        there = [index_at(coarse.affine_lps, one) for one in np.atleast_2d(at_mm)]
        return np.stack(there).astype(np.float32).reshape(index.shape)

    return replace(
        torso,
        hu=np.rint(coarse.hu).astype(np.int16),
        labels=nearest_labels(torso.labels, volume, coarse),
        tissues=nearest_labels(torso.tissues, volume, coarse)
        if torso.tissues.size
        else torso.tissues,
        body_centre=placed(torso.body_centre),
        landmarks=placed(torso.landmarks) if torso.landmarks.size else torso.landmarks,
        step_mm=np.array(coarse.spacing_mm, np.float32),
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
    """Random levels from T11, or T12 where a map ends there, to S1: one in each of equal parts, so that every region is met."""
    highest = "T11" if "T11" in vertebrae else "T12"
    low, high = vertebrae["S1"].z_low_mm, vertebrae[highest].z_high_mm
    parts = np.linspace(low, high, SLICES_PER_ANATOMY + 1)
    return [float(rng.uniform(a, b)) for a, b in pairwise(parts)]
