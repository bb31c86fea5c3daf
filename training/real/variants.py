"""The same patient scanned differently: turned, prone, feet first, noisier, thicker, thinner, cropped, without a couch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from inference.dicom.read_series import load_series
from inference.domain.labelmap import LabelMap
from inference.domain.volume import Affine, Volume, Voxels, canonical, flip, index_at
from inference.stages.grids import AIR_HU, body_mask, resample
from training.pool_samples import nearest_labels
from training.synthetic.series import SeriesHeader, write_series

Rotation = npt.NDArray[np.float64]
"""3 × 3 in patient coordinates."""

TURN_DEGREES = 10.0
STEPS_MM = (1.0, 2.5, 5.0)
CROPS_MM = ((-75.0, 75.0), (-45.0, 90.0), (-90.0, 45.0))
"""Kept of the field below and above the level."""
SOFT_TISSUE_HU = (-20, 120)
NOISE_SEED = 20
LAPLACIAN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Variant:
    """A volume in which the middle of L3 still lies at the same patient z."""

    name: str
    volume: Volume
    turns: Callable[[LabelMap], LabelMap] | None = None
    """Turns labels of the original volume along; None: the body was not turned."""
    moves_section: bool = False
    """Another section of the body lies at the level."""
    is_mislabelled: bool = False
    """Its header tells an untruth: all that is wanted is a doubt."""

    @property
    def is_rotated(self) -> bool:
        """Then areas are compared at the original's level only."""
        return self.turns is not None


def variants(volume: Volume, level_mm: float) -> Iterator[Variant]:
    """All of a canonical, evenly spaced volume; turned about the body's middle at a level."""
    centre = _centre_at(volume, level_mm)
    for axis, verb in (("z", "turned"), ("x", "tilted")):
        for degrees in (TURN_DEGREES, -TURN_DEGREES):
            turn = rotation(axis, degrees)
            yield Variant(
                name=f"{verb} {degrees:+.0f}° about {axis}",
                volume=rotated(volume, turn, centre),
                turns=partial(rotated_labels, turn=turn, centre_mm=centre),
                moves_section=axis == "x",
            )
    yield Variant(name="couch in front of the belly", volume=couch_in_front(volume))
    yield Variant(
        name="prone by its DICOM position", volume=through_dicom(volume, (False, True, True), "HFP")
    )
    yield Variant(
        name="feet first by its DICOM position",
        volume=through_dicom(volume, (True, False, True), "FFS"),
    )
    yield Variant(
        name="turned 180° against its header", volume=turned_silently(volume), is_mislabelled=True
    )
    yield Variant(name="noise doubled", volume=noisier(volume))
    for step_mm in STEPS_MM:
        steps = (step_mm, *volume.spacing_mm[1:])
        yield Variant(name=f"slices every {step_mm:g} mm", volume=resample(volume, steps))
    for low, high in CROPS_MM:
        cropped = crop(volume, level_mm + low, level_mm + high)
        yield Variant(name=f"cropped {low:+.0f} to {high:+.0f} mm", volume=cropped)
    yield Variant(name="couch removed", volume=without_couch(volume))


def carried(variant: Variant, labels: LabelMap, original: Volume) -> LabelMap:
    """Labels of the original volume where its tissues lie in the variant, by nearest neighbour."""
    turned = labels if variant.turns is None else variant.turns(labels)
    return LabelMap(
        labels=nearest_labels(turned.labels, original, variant.volume),
        affine_lps=variant.volume.affine_lps,
        structures=labels.structures,
    )


def rotation(axis: str, degrees: float) -> Rotation:
    """About a patient axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    if axis == "z":
        return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def rotated(volume: Volume, turn: Rotation, centre_mm: npt.NDArray[np.float64]) -> Volume:
    """The patient turned about a point, on the same grid, linear between voxels."""
    hu = _turned(volume.hu.astype(np.float32), volume.affine_lps, turn, centre_mm, AIR_HU)
    return Volume(hu=np.rint(hu).astype(np.int16), affine_lps=volume.affine_lps)


def rotated_labels(
    labels: LabelMap, turn: Rotation, centre_mm: npt.NDArray[np.float64]
) -> LabelMap:
    """Labels turned the same way, by nearest neighbour."""
    turned = _turned(labels.labels, labels.affine_lps, turn, centre_mm, None)
    return LabelMap(labels=turned, affine_lps=labels.affine_lps, structures=labels.structures)


def _turned(
    voxels: Voxels,
    affine_lps: Affine,
    turn: Rotation,
    centre_mm: npt.NDArray[np.float64],
    fill_hu: float | None,
) -> Voxels:
    """Where an output voxel came from: back through the turn. Without a fill: labels."""
    linear, origin = affine_lps[:3, :3], affine_lps[:3, 3]
    matrix = np.linalg.inv(linear) @ turn.T @ linear
    start = np.linalg.inv(linear) @ (turn.T @ (origin - centre_mm) + centre_mm - origin)
    if fill_hu is None:
        return ndimage.affine_transform(voxels, matrix, offset=start, order=0, mode="constant")
    return ndimage.affine_transform(
        voxels, matrix, offset=start, order=1, mode="constant", cval=fill_hu
    )


def _centre_at(volume: Volume, level_mm: float) -> npt.NDArray[np.float64]:
    """The middle of the body's section at a level."""
    k = volume.slice_at((level_mm - volume.affine_lps[2, 3]) / volume.affine_lps[2, 0])
    rows, columns = np.nonzero(body_mask(volume.hu[k][None])[0])
    index = (
        (k, rows.mean(), columns.mean()) if rows.size else (k, *(np.array(volume.shape[1:]) / 2))
    )
    centre: npt.NDArray[np.float64] = volume.affine_lps[:3, :3] @ index + volume.affine_lps[:3, 3]
    centre[2] = level_mm
    return centre


def without_couch(volume: Volume) -> Volume:
    """Air wherever the largest dense thing is not."""
    hu = np.where(body_mask(volume.hu), volume.hu, np.int16(AIR_HU)).astype(np.int16)
    return Volume(hu=hu, affine_lps=volume.affine_lps)


def couch_in_front(volume: Volume) -> Volume:
    """What lies about the body moved to its other side, as under a prone patient; the belly keeps its form."""
    body = body_mask(volume.hu)
    rows = np.flatnonzero(body.any(axis=(0, 2)))
    if not rows.size:
        return volume
    others = np.where(body, np.int16(AIR_HU), volume.hu)
    mirrored = int(rows[0] + rows[-1]) - np.arange(volume.shape[1])
    inside = (mirrored >= 0) & (mirrored < volume.shape[1])
    moved = np.full(volume.shape, AIR_HU, np.int16)
    moved[:, inside] = others[:, mirrored[inside]]
    hu = np.where(body, volume.hu, moved).astype(np.int16)
    return Volume(hu=hu, affine_lps=volume.affine_lps)


def turned_silently(volume: Volume) -> Volume:
    """The image turned by half a turn in its plane and a header that does not say so."""
    return Volume(
        hu=np.ascontiguousarray(flip(volume.hu, (False, True, True))), affine_lps=volume.affine_lps
    )


def through_dicom(volume: Volume, reversed_axes: tuple[bool, bool, bool], position: str) -> Volume:
    """The same voxels stored in another order with the header that says so, written and read as DICOM."""
    affine = volume.affine_lps.copy()
    for axis, is_reversed in enumerate(reversed_axes):
        if is_reversed:
            affine[:3, 3] += affine[:3, axis] * (volume.shape[axis] - 1)
            affine[:3, axis] *= -1
    stored = Volume(hu=np.ascontiguousarray(flip(volume.hu, reversed_axes)), affine_lps=affine)
    with TemporaryDirectory() as folder:
        header = SeriesHeader(patient_position=position, order="shuffled")
        paths = write_series(stored, header, Path(folder))
        return canonical(load_series(paths).volume)


def noise_hu(volume: Volume) -> float:
    """Standard deviation of the noise of soft tissue, from second differences (Immerkær 1996)."""
    hu = volume.hu.astype(np.float32)
    soft = (hu >= SOFT_TISSUE_HU[0]) & (hu <= SOFT_TISSUE_HU[1]) & body_mask(volume.hu)
    inside = ndimage.binary_erosion(soft, np.ones((1, 3, 3), np.bool_))
    if not inside.any():
        return 0.0
    differences = np.abs(ndimage.convolve(hu, LAPLACIAN[None], mode="nearest"))[inside]
    return float(np.sqrt(np.pi / 2) / 6 * differences.mean())


def noisier(volume: Volume) -> Volume:
    """Twice the noise: white noise of √3 times the measured deviation added."""
    added = np.random.default_rng(NOISE_SEED).normal(0, np.sqrt(3) * noise_hu(volume), volume.shape)
    hu = np.clip(np.rint(volume.hu + added), -1024, 3071).astype(np.int16)
    return Volume(hu=hu, affine_lps=volume.affine_lps)


def crop(volume: Volume, low_mm: float, high_mm: float) -> Volume:
    """The slices between two patient z."""
    first, last = (
        int(
            np.clip(round(float(index_at(volume.affine_lps, (0, 0, z))[0])), 0, volume.shape[0] - 1)
        )
        for z in (low_mm, high_mm)
    )
    affine = volume.affine_lps.copy()
    affine[:3, 3] += affine[:3, 0] * first
    return Volume(hu=volume.hu[first : last + 1], affine_lps=affine)
