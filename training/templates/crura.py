"""The crura of the diaphragm, which label maps leave out: muscle at the aorta's sides, like it in a CT without contrast.

Without them a network takes the right crus of a real body for vena cava and the left one for aorta.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from training.synthetic.labels import Tissue
from training.templates.course import bed_line
from training.templates.depth import depth_of
from training.templates.template import Codes, Template

Mask = npt.NDArray[np.bool_]

LEVELS = (1.0, 1.4, 2.0, 3.0, 4.0, 5.0, 5.6)
"""Vertebrae above L3: from between L2 and L1 to below T9."""
RIGHT_MM = (0.0, 6.0, 11.0, 11.0, 8.0, 5.0, 0.0)
LEFT_MM = (0.0, 0.0, 6.0, 7.0, 5.0, 4.0, 0.0)
"""How thick the crura are there: the right one is the broader and reaches a vertebra lower (Gray's Anatomy, diaphragm)."""
ARCH_LEVELS, ARCH_MM = (2.3, 3.2), 3.0
"""The median arcuate ligament joins them before the aorta, between L1 and T12."""
GAP_MM = 1.0
"""Of fat between them and the aorta."""
BEFORE, BEHIND_MM = 0.8, 11.0
"""A crus begins so many radii before the aorta's middle, and ends so far behind the aorta."""
LEAF_LEVELS, LEAF_MM = (2.6, 4.6), 3.2
"""Between the lungs and the fat of the abdomen the diaphragm itself is seen: a leaf of muscle beside the spine."""
LEAF_ASIDE_MM, LEAF_BEFORE_MM = 75.0, 25.0
OWN_LEVELS = (1.0, 1.6, 2.2, 3.4, 5.0)
OWN_MM = (0.0, 3.5, 5.0, 5.0, 0.0)
"""Half the breadth there of a right crus that stands off the aorta, before the right edge of the spine's front."""
OWN_LENGTH = 1.9
"""Times as long from front to back as it is broad."""
OWN_BEFORE_MM = 7.0
"""Its middle lies so far before the vertebra's front."""
LEFT_OVER = 0.2
"""Of the crescent at the aorta's right side where the crus stands off it."""
NEAR_MM = 30.0
FREE = (Tissue.AIR, Tissue.MEDIASTINAL_FAT)
"""What the map has no label for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crura:
    """Of one body."""

    thickness: float = 1.0
    """Factor: strong in the young, thin in the old."""
    gap_mm: float = GAP_MM
    beside_mm: float | None = 13.0
    """How far to the right of the spine's middle the right crus stands as a body of its own; None: it hugs the aorta alone."""
    turned_deg: float = 15.0
    """That body's front, towards the middle."""


def with_crura(template: Template, crura: Crura = Crura()) -> Template:
    """The template with these, whatever crura it had."""
    viscera, step_mm = template.viscera.copy(), float(template.step_mm)
    viscera[viscera == Tissue.DIAPHRAGM] = Tissue.AIR
    reach, levels = round(NEAR_MM / step_mm), _levels_of(template)
    fronts_mm = _spine_fronts_mm(template)
    for k in np.flatnonzero((levels > LEVELS[0]) & (levels < LEVELS[-1])):
        free = np.isin(viscera[k], FREE) & (template.frame[k] == 0)
        found = ndimage.find_objects((viscera[k] == Tissue.AORTA).astype(np.uint8))
        if not found:
            continue
        box = tuple(slice(max(s.start - reach, 0), s.stop + reach) for s in found[0])
        muscle = np.zeros_like(free)
        muscle[box] = _beside(viscera[k][box] == Tissue.AORTA, levels[k], step_mm, crura)
        if LEAF_LEVELS[0] < levels[k] < LEAF_LEVELS[1]:
            muscle |= _leaf(viscera[k], step_mm, crura)
        muscle |= _own_body(free.shape, fronts_mm[k], levels[k], step_mm, crura)
        viscera[k][free & muscle] = Tissue.DIAPHRAGM
    return replace(template, viscera=viscera, depth=depth_of(viscera, step_mm))


def _levels_of(template: Template) -> npt.NDArray[np.float64]:
    """Of each slice, in vertebrae above L3; evenly beyond the highest that is whole."""
    names = list(template.body_names)
    z_mm = template.body_centre_mm[::-1, 2]
    levels = names.index("L3") - np.arange(len(names), dtype=float)[::-1]
    heights_mm = np.arange(len(template.viscera)) * float(template.step_mm)
    beyond = np.maximum(heights_mm - z_mm[-1], 0.0) / float(z_mm[-1] - z_mm[-2])
    return np.interp(heights_mm, z_mm, levels) + beyond


def _beside(aorta: Mask, level: float, step_mm: float, crura: Crura) -> Mask:
    """A crescent at each side of the aorta, as thick as the level says."""
    far_mm = (ndimage.distance_transform_edt(~aorta) - 0.5) * step_mm
    rows, columns = np.nonzero(aorta)
    y_mm = (np.arange(aorta.shape[0]) - rows.mean())[:, None] * step_mm
    x_mm = (np.arange(aorta.shape[1]) - columns.mean())[None, :] * step_mm
    radius_mm = float(np.sqrt(len(rows) / np.pi)) * step_mm
    right = 1.0 if crura.beside_mm is None else LEFT_OVER
    thick_mm = np.where(
        x_mm < 0, right * np.interp(level, LEVELS, RIGHT_MM), np.interp(level, LEVELS, LEFT_MM)
    )
    sides = (y_mm > -BEFORE * radius_mm) & (y_mm < radius_mm + BEHIND_MM)
    sides = sides & (abs(x_mm) > 0.5 * radius_mm)
    muscle: Mask = sides & (far_mm <= crura.gap_mm + crura.thickness * thick_mm)
    if ARCH_LEVELS[0] < level < ARCH_LEVELS[1]:
        muscle = muscle | (y_mm < 0) & (far_mm <= crura.gap_mm + crura.thickness * ARCH_MM)
    return muscle & (far_mm > crura.gap_mm)


def _spine_fronts_mm(template: Template) -> npt.NDArray[np.float64]:
    """[slice, 2] x, y of the middle of the spine's front."""
    heights_mm = np.arange(len(template.viscera)) * float(template.step_mm)
    z_mm = template.body_centre_mm[::-1, 2]
    half_mm = np.interp(heights_mm, z_mm, template.body_canal_mm[::-1])
    x, y = bed_line(template)(np.clip(heights_mm, z_mm[0], z_mm[-1])).T
    return np.stack([x, y - half_mm], axis=1)


def _own_body(
    shape: tuple[int, ...],
    front_mm: npt.NDArray[np.float64],
    level: float,
    step_mm: float,
    crura: Crura,
) -> Mask:
    """An oval at the right edge of the spine's front, its long axis from front to back."""
    half_mm = crura.thickness * float(np.interp(level, OWN_LEVELS, OWN_MM))
    if crura.beside_mm is None or half_mm == 0:
        return np.zeros(shape, bool)
    x_mm = np.arange(shape[1])[None, :] * step_mm - (front_mm[0] - crura.beside_mm)
    y_mm = np.arange(shape[0])[:, None] * step_mm - (front_mm[1] - OWN_BEFORE_MM)
    turn = np.deg2rad(crura.turned_deg)
    across = x_mm * np.cos(turn) + y_mm * np.sin(turn)
    along = y_mm * np.cos(turn) - x_mm * np.sin(turn)
    oval: Mask = (across / half_mm) ** 2 + (along / (OWN_LENGTH * half_mm)) ** 2 <= 1
    return oval


def _leaf(viscera: Codes, step_mm: float, crura: Crura) -> Mask:
    """Along the lungs, behind and beside the aorta."""
    lung = viscera == Tissue.LUNG
    if not lung.any():
        return lung
    rows, columns = np.nonzero(viscera == Tissue.AORTA)
    y_mm = (np.arange(lung.shape[0]) - rows.mean())[:, None] * step_mm
    x_mm = (np.arange(lung.shape[1]) - columns.mean())[None, :] * step_mm
    far_mm = (ndimage.distance_transform_edt(~lung) - 0.5) * step_mm
    near: Mask = (abs(x_mm) < LEAF_ASIDE_MM) & (y_mm > -LEAF_BEFORE_MM)
    return near & (far_mm <= crura.thickness * LEAF_MM)
