"""Muscle and fat compartments of axial slices by a 2D network, then the HU windows that define the tissues."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from inference.domain.analysis_profile import HuWindows
from inference.domain.labelmap import TISSUES, LabelMap, Structure
from inference.domain.predictor import Predictor
from inference.domain.volume import Volume
from inference.stages.grids import (
    PlaneGrid,
    body_mask,
    centred_plane,
    normalise,
    plane_back,
)
from inference.stages.slice_quality import noise_hu
from inference.stages.tissue_rules import tidied
from inference.stages.trunk import trunk_in

CALM_HU = 15.0
"""Noise that the windows bear: with 24 HU the one real CT lost 8 % of its visceral fat to the window."""
Compartments = npt.NDArray[np.uint8]
"""Labels of the tissue network [slice, row, column]: 1 muscle, 2 subcutaneous fat, 3 visceral fat."""

BATCH = 4
"""Slices per run: larger working sets measured slower on CPU (a U-Net gains nothing beyond)."""


def segment_compartments(
    volume: Volume, slices: Sequence[int], predictor: Predictor
) -> Compartments:
    """Compartment labels of the named slices of a canonical volume as the rules leave them; other slices stay 0."""
    result = raw_compartments(volume, slices, predictor)
    spacing_mm = volume.spacing_mm[1:]
    for k in slices:
        hu = volume.hu[k]
        result[k] = tidied(result[k], trunk_in(hu, spacing_mm).mask, hu, spacing_mm)
    return result


def raw_compartments(volume: Volume, slices: Sequence[int], predictor: Predictor) -> Compartments:
    """As the network answers, inside the largest thing denser than air."""
    spec = predictor.manifest.input
    grid = PlaneGrid((spec.shape[2], spec.shape[3]), (spec.spacing_mm[0], spec.spacing_mm[1]))
    spacing = volume.spacing_mm[1:]
    result = np.zeros(volume.shape, np.uint8)
    for first in range(0, len(slices), BATCH):
        chunk = list(slices[first : first + BATCH])
        bodies = body_mask(volume.hu[chunk])
        centres = [middle_of(body) for body in bodies]
        planes = [
            centred_plane(volume.hu[k].astype(np.float32), spacing, centre, grid)
            for k, centre in zip(chunk, centres, strict=True)
        ]
        batch = normalise(np.stack(planes)[:, None], spec.hu_window, spec.mean, spec.sd)
        logits = predictor.predict(batch)
        for k, plane_logits, centre, body in zip(chunk, logits, centres, bodies, strict=True):
            back = plane_back(plane_logits, grid, volume.shape[1:], spacing, centre)
            result[k] = np.where(body, back.argmax(axis=0), 0)
    return result


def tissues_from_compartments(
    volume: Volume, compartments: Compartments, windows: HuWindows
) -> LabelMap:
    """The tissues: voxels of a compartment inside the tissue's HU window (both ends included)."""
    labels = np.zeros(volume.shape, np.uint8)
    rules = (
        (Structure.SKELETAL_MUSCLE, 1, windows.muscle),
        (Structure.SUBCUTANEOUS_FAT, 2, windows.subcutaneous_fat),
        (Structure.VISCERAL_FAT, 3, windows.visceral_fat),
        (Structure.INTERMUSCULAR_FAT, 1, windows.intermuscular_fat),
    )
    used = np.flatnonzero(compartments.any(axis=(1, 2)))
    for k in used:
        hu = np.rint(calmed(volume.hu[k], compartments[k], volume.spacing_mm[1:]))
        for structure, compartment, (low, high) in rules:
            inside = (compartments[k] == compartment) & (hu >= low) & (hu <= high)
            labels[k][inside] = TISSUES.index(structure) + 1
    return LabelMap(
        labels=labels,
        affine_lps=volume.affine_lps,
        structures=dict(enumerate(TISSUES, start=1)),
        slice_places=volume.slice_places,
    )


def calmed(
    hu: npt.NDArray[np.int16] | npt.NDArray[np.float32],
    compartments: npt.NDArray[np.uint8],
    spacing_mm: tuple[float, float],
) -> npt.NDArray[np.float32]:
    """HU whose noise is no more than CALM_HU, averaged within a compartment, never across its border."""
    values = hu.astype(np.float32)
    noise = noise_hu(hu, compartments > 0, spacing_mm)
    # Of a bell of so many pixels over white noise, SD 1 / (2 √π · sd) is left.
    sd_px = noise / CALM_HU / (2 * np.sqrt(np.pi))
    if noise <= CALM_HU:
        return values
    for compartment in range(1, int(compartments.max()) + 1):
        inside = compartments == compartment
        weight = ndimage.gaussian_filter(inside.astype(np.float32), sd_px, truncate=3.0)
        total = ndimage.gaussian_filter(np.where(inside, values, 0), sd_px, truncate=3.0)
        values[inside] = total[inside] / weight[inside]
    return values


def middle_of(body: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Row and column in the middle of the body's bounding box, or of the slice when there is no body."""
    if not body.any():
        return (body.shape[0] - 1) / 2, (body.shape[1] - 1) / 2
    rows, columns = np.flatnonzero(body.any(1)), np.flatnonzero(body.any(0))
    return (rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2
