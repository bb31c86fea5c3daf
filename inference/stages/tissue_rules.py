"""Rules that the tissue network's answer must keep: inside the trunk, no specks, no muscle within the abdominal cavity."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from inference.stages.trunk import Mask

Plane = npt.NDArray[np.uint8]
"""Compartments of one slice [row, column]."""

MUSCLE, SUBCUTANEOUS, VISCERAL = 1, 2, 3
ISLAND_CM2 = {MUSCLE: 1.0, VISCERAL: 0.25}
"""What is smaller and alone becomes what lies around it (`python -m training.tissue_rules`).

Muscle gains up to 2 cm² and loses from 4 cm² on: wasted muscles are as small. Visceral fat of the lean lies in small islands, so
that it loses from 1 to 2 cm² on. Subcutaneous fat of the lean is nothing but islands: any size loses.
"""
CAVITY_CM2 = 4.0
"""Muscle so small that touches no subcutaneous fat and no bone, and lies mostly in visceral fat, is bowel or vessel."""
VISCERAL_RIM_SHARE = 0.5
ORGAN_CM2, ORGAN_RIM_SHARE = 60.0, 0.8
"""Larger muscle with so much visceral fat about it, and far from bone, is a kidney: in the one real CT without contrast the
network took much of each for muscle. Muscles at L3 and above lean on bone, on one another or on the wall."""
BONE_HU = 180.0
BONE_MM = 12.0
"""The psoas lies nearer to its vertebra than this."""
_AROUND = ndimage.generate_binary_structure(2, 2)


def tidied(
    compartments: Plane,
    trunk: Mask,
    hu: npt.NDArray[np.int16] | npt.NDArray[np.float32],
    spacing_mm: tuple[float, float],
) -> Plane:
    """The compartments of a slice as the rules leave them."""
    result = np.where(trunk, compartments, 0).astype(np.uint8)
    pixel_cm2 = spacing_mm[0] * spacing_mm[1] / 100
    for compartment, least_cm2 in ISLAND_CM2.items():
        _absorb_islands(result, compartment, least_cm2 / pixel_cm2)
    _empty_cavity(result, hu, spacing_mm)
    return result


def _absorb_islands(plane: Plane, compartment: int, least_px: float) -> None:
    components, count = ndimage.label(plane == compartment)
    if count == 0:
        return
    sizes = np.bincount(components.ravel(), minlength=count + 1)
    for label, box in enumerate(ndimage.find_objects(components), start=1):
        if sizes[label] < least_px:
            around, island, rim = _with_rim(components, label, box)
            plane[around][island] = np.bincount(plane[around][rim], minlength=1).argmax()


def _empty_cavity(
    plane: Plane,
    hu: npt.NDArray[np.int16] | npt.NDArray[np.float32],
    spacing_mm: tuple[float, float],
) -> None:
    """Muscle within visceral fat becomes no tissue."""
    components, count = ndimage.label(plane == MUSCLE)
    sizes = np.bincount(components.ravel(), minlength=count + 1)
    pixel_cm2 = spacing_mm[0] * spacing_mm[1] / 100
    suspects = [label for label in range(1, count + 1) if sizes[label] * pixel_cm2 < ORGAN_CM2]
    if not suspects:
        return
    bone = ndimage.binary_opening(hu > BONE_HU, _AROUND)
    to_bone_mm = (
        ndimage.distance_transform_edt(~bone, sampling=spacing_mm)
        if bone.any()
        else np.full(plane.shape, np.inf)
    )
    boxes = ndimage.find_objects(components)
    for label in suspects:
        around, island, rim = _with_rim(components, label, boxes[label - 1])
        neighbours = plane[around][rim]
        if not rim.any() or (neighbours == SUBCUTANEOUS).any():
            continue
        share = (neighbours == VISCERAL).mean()
        is_small = sizes[label] * pixel_cm2 < CAVITY_CM2
        is_far = to_bone_mm[around][island].min() > BONE_MM
        if is_far and share >= (VISCERAL_RIM_SHARE if is_small else ORGAN_RIM_SHARE):
            plane[around][island] = 0


def _with_rim(
    components: npt.NDArray[np.integer], label: int, box: tuple[slice, ...]
) -> tuple[tuple[slice, ...], Mask, Mask]:
    """The box around an island one pixel wider, the island in it, and the pixels around the island."""
    around = tuple(
        slice(max(0, side.start - 1), min(size, side.stop + 1))
        for side, size in zip(box, components.shape, strict=True)
    )
    island: Mask = components[around] == label
    return around, island, ndimage.binary_dilation(island, _AROUND) & ~island
