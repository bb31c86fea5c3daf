"""From organ logits on the network's grid to an organ label map on the scanner's grid."""

from typing import cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from inference.domain.labelmap import LabelMap, Structure
from inference.domain.volume import Volume, index_at
from inference.stages.grids import Float, interpolate_axis

Box = tuple[slice, slice, slice]

MINIMUM_ML = {Structure.ADRENAL_RIGHT: 0.3, Structure.ADRENAL_LEFT: 0.3}
"""Smaller findings are noise; other organs: DEFAULT_MINIMUM_ML."""
DEFAULT_MINIMUM_ML = 1.0
KEPT_FRACTION = 0.25
"""Pieces smaller than this share of an organ's largest piece are dropped."""


def labels_from_logits(logits: Float, coarse: Volume, target: Volume) -> npt.NDArray[np.uint8]:
    """Trilinear interpolation and argmax, slice by slice, only where some organ is near; [slice, row, column]."""
    labels = np.zeros(target.shape, np.uint8)
    scale = [t / c for t, c in zip(target.spacing_mm, coarse.spacing_mm, strict=True)]
    offset = index_at(coarse.affine_lps, target.affine_lps[:3, 3])
    near = ndimage.binary_dilation(logits.argmax(axis=0) > 0, iterations=1)
    for k in range(target.shape[0]):
        position = float(np.clip(k * scale[0] + offset[0], 0, logits.shape[1] - 1))
        below = min(int(position), max(logits.shape[1] - 2, 0))
        above = min(below + 1, logits.shape[1] - 1)
        there = near[below] | near[above]
        if not there.any():
            continue
        weight = np.float32(position - below)
        plane = logits[:, below] * (1 - weight) + logits[:, above] * weight
        _fill_slice(labels[k], plane, there, scale[1:], offset[1:])
    return labels


def _fill_slice(
    out: npt.NDArray[np.uint8],
    plane: Float,
    there: npt.NDArray[np.bool_],
    scale: list[float],
    offset: npt.NDArray[np.float64],
) -> None:
    """Upsample the box around `there` into the output slice."""
    box = []
    for axis in (0, 1):
        used = np.flatnonzero(there.any(axis=1 - axis))
        first = int(np.ceil((used[0] - 0.5 - offset[axis]) / scale[axis]))
        last = int(np.floor((used[-1] + 0.5 - offset[axis]) / scale[axis]))
        box.append((max(first, 0), min(last, out.shape[axis] - 1)))
    for axis, (first, last) in enumerate(box):
        start = first * scale[axis] + offset[axis]
        plane = interpolate_axis(plane, axis + 1, max(last - first + 1, 0), scale[axis], start)
    (r0, r1), (c0, c1) = box
    out[r0 : r1 + 1, c0 : c1 + 1] = plane.argmax(axis=0)


def label_boxes(labels: npt.NDArray[np.uint8], highest: int) -> list[Box | None]:
    """The bounding box of each label 1..highest; None where it does not occur (scipy's types leave that out)."""
    return cast("list[Box | None]", ndimage.find_objects(labels, max_label=highest))


def organ_map(
    labels: npt.NDArray[np.uint8], volume: Volume, structures: dict[int, Structure]
) -> LabelMap:
    """Largest pieces of each organ kept, specks dropped."""
    cleaned = np.zeros_like(labels)
    boxes = label_boxes(labels, max(structures))
    for label, structure in structures.items():
        if (box := boxes[label - 1]) is None:
            continue
        kept = _large_pieces(labels[box] == label)
        minimum = MINIMUM_ML.get(structure, DEFAULT_MINIMUM_ML)
        if kept.sum() * volume.voxel_ml >= minimum:
            cleaned[box][kept] = label
    return LabelMap(labels=cleaned, affine_lps=volume.affine_lps, structures=structures)


def _large_pieces(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    pieces, _ = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    kept: npt.NDArray[np.bool_] = (sizes >= KEPT_FRACTION * sizes.max())[pieces] & mask
    return kept
