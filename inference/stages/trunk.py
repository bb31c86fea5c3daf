"""The trunk in an axial slice, without the couch, sheets and arms that lie against it."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from inference.stages.grids import BODY_THRESHOLD_HU

Mask = npt.NDArray[np.bool_]
Slice = npt.NDArray[np.int16] | npt.NDArray[np.float32]

SHELL_MM = 6.0
"""What is thinner is a couch's shell or a sheet: the thinnest abdominal wall, with skin and muscle, is about 10 mm."""
ARM_CORE_MM = 22.0
"""Radius of a disc that fits into an arm, and does not pass where arm and trunk touch."""
ARM_CM2 = (12.0, 260.0)
ARM_BONE_HU = 250.0
ARM_BONE_CM2 = 0.6
"""Shaft of a humerus, or both bones of a forearm; nothing else beside the trunk is as dense."""
TOUCH_MM = 3.0
"""How near the skin what was left out must lie to have touched it."""
LEAST_TOUCH_MM = 25.0
LEAST_TOUCHING_MM2 = 100.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trunk:
    """The trunk of one slice, and what was left out beside it."""

    mask: Mask
    arms: Mask
    """Of them, those that touch the trunk or lie beside it."""
    is_touched_by_arm: bool
    left_out: Mask
    """Neither trunk nor arm."""
    spacing_mm: tuple[float, float]

    @property
    def is_touched_by_couch(self) -> bool:
        """By couch or bedding, over more than a finger's breadth."""
        others = _without_specks(self.left_out, self.spacing_mm)
        return _touch_mm(self.mask, others, self.spacing_mm) >= LEAST_TOUCH_MM


def trunk_in(hu: Slice, spacing_mm: tuple[float, float]) -> Trunk:
    """Of an axial slice [row, column] of a canonical volume."""
    dense = hu > BODY_THRESHOLD_HU
    rows, columns = np.flatnonzero(dense.any(axis=1)), np.flatnonzero(dense.any(axis=0))
    if not rows.size:
        return _trunk_in(hu, dense, spacing_mm)
    # Air around costs as much as the body; a rim of it stays, since beyond the picture's own edge the body goes on.
    margin = [int(np.ceil(SHELL_MM / step)) + 2 for step in spacing_mm]
    box = (
        slice(max(0, rows[0] - margin[0]), rows[-1] + 1 + margin[0]),
        slice(max(0, columns[0] - margin[1]), columns[-1] + 1 + margin[1]),
    )
    found = _trunk_in(hu[box], dense[box], spacing_mm)
    mask, arms, left_out = (
        _placed(part, box, hu.shape) for part in (found.mask, found.arms, found.left_out)
    )
    return replace(found, mask=mask, arms=arms, left_out=left_out)


def _placed(part: Mask, box: tuple[slice, slice], shape: tuple[int, ...]) -> Mask:
    whole = np.zeros(shape, np.bool_)
    whole[box] = part
    return whole


def _trunk_in(hu: Slice, dense: Mask, spacing_mm: tuple[float, float]) -> Trunk:
    solid = opened(dense, SHELL_MM / 2, spacing_mm)
    largest = ndimage.binary_fill_holes(_largest(solid))
    arms_beside = _arms(ndimage.binary_fill_holes(solid & ~largest), hu, spacing_mm)
    arms_touching = _touching_arms(largest, hu, spacing_mm)
    mask = largest & ~arms_touching
    return Trunk(
        mask=mask,
        arms=arms_touching | arms_beside,
        is_touched_by_arm=bool(arms_touching.any()),
        left_out=dense & ~largest & ~arms_beside,
        spacing_mm=spacing_mm,
    )


def opened(mask: Mask, radius_mm: float, spacing_mm: tuple[float, float]) -> Mask:
    """Without whatever a disc of that radius does not fit into; beyond the picture the body goes on."""
    padding = [int(np.ceil(radius_mm / step)) + 1 for step in spacing_mm]
    wide = np.pad(mask, [(p, p) for p in padding], mode="edge")
    core = ndimage.distance_transform_edt(wide, sampling=spacing_mm) > radius_mm
    grown = ndimage.distance_transform_edt(~core, sampling=spacing_mm) <= radius_mm
    if not core.any():
        return np.zeros_like(mask)
    inside = tuple(slice(p, -p) for p in padding)
    result: Mask = grown[inside] & mask
    return result


def _largest(mask: Mask) -> Mask:
    components, count = ndimage.label(mask)
    if count == 0:
        return mask
    result: Mask = components == np.argmax(np.bincount(components.ravel())[1:]) + 1
    return result


def _without_specks(mask: Mask, spacing_mm: tuple[float, float]) -> Mask:
    """Noise leaves specks along the skin."""
    components, _ = ndimage.label(mask)
    is_large = (
        np.bincount(components.ravel()) * (spacing_mm[0] * spacing_mm[1]) >= LEAST_TOUCHING_MM2
    )
    is_large[0] = False
    result: Mask = is_large[components]
    return result


def _arms(things: Mask, hu: Slice, spacing_mm: tuple[float, float]) -> Mask:
    """Of separate things those that are as large as an arm and have its bone."""
    components, count = ndimage.label(things)
    pixel_cm2 = spacing_mm[0] * spacing_mm[1] / 100
    found = np.zeros_like(things)
    for label in range(1, count + 1):
        thing = components == label
        bone_cm2 = float((thing & (hu > ARM_BONE_HU)).sum()) * pixel_cm2
        is_arm = ARM_CM2[0] <= thing.sum() * pixel_cm2 <= ARM_CM2[1]
        if is_arm and bone_cm2 >= ARM_BONE_CM2:
            found |= thing
    return found


def _touching_arms(body: Mask, hu: Slice, spacing_mm: tuple[float, float]) -> Mask:
    """Lobes of the body that hang on it by less than an arm's width, up to half way to the trunk's own core."""
    cores = ndimage.distance_transform_edt(body, sampling=spacing_mm) > ARM_CORE_MM
    components, count = ndimage.label(cores)
    if count < 2:
        return np.zeros_like(body)
    nearest = ndimage.distance_transform_edt(
        components == 0, sampling=spacing_mm, return_distances=False, return_indices=True
    )
    lobes = np.where(body, components[tuple(nearest)], 0)
    trunk = np.argmax(np.bincount(components.ravel())[1:]) + 1
    return _arms((lobes > 0) & (lobes != trunk), hu, spacing_mm)


def _touch_mm(trunk: Mask, others: Mask, spacing_mm: tuple[float, float]) -> float:
    """Length of the outline along which something lies against it."""
    if not others.any():
        return 0.0
    far_mm = ndimage.distance_transform_edt(~others, sampling=spacing_mm)
    outline = trunk & ~ndimage.binary_erosion(trunk, border_value=1)
    return float((outline & (far_mm <= TOUCH_MM)).sum()) * float(np.mean(spacing_mm))
