"""Relatives of a template: the same map with organs of other sizes and great vessels that part at another vertebra.

A network that learns one map learns its kidneys' volume and where its aorta ends by heart, however the body is bent:
both differ between people by more than any smooth warp of one of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.interpolate import PchipInterpolator

from training.synthetic.labels import Tissue
from training.templates.build import depth_of
from training.templates.course import bed_line
from training.templates.template import Codes, Template

Mask = npt.NDArray[np.bool_]
Box = tuple[slice, ...]

KIDNEYS = (Tissue.KIDNEY_RIGHT, Tissue.KIDNEY_LEFT)
USUAL_ML = {
    Tissue.SPLEEN: (90.0, 420.0),
    Tissue.STOMACH_CONTENT: (90.0, 450.0),
    Tissue.GALLBLADDER: (8.0, 80.0),
    Tissue.PANCREAS: (45.0, 120.0),
    Tissue.DUODENUM: (35.0, 90.0),
    Tissue.ADRENAL_RIGHT: (2.2, 6.5),
    Tissue.ADRENAL_LEFT: (2.2, 6.5),
}
"""Between which volumes of adults a relative's lies, evenly in the logarithm."""
KIDNEY_ML = (70.0, 220.0)
KIDNEYS_DIFFER = 0.1
"""Spread of the logarithm of a kidney's volume about the pair's."""
SINUS_MM = (0.0, 13.0)
"""Gaps of a kidney up to twice as broad are filled: wasted kidneys are thin shells about much fat, others are solid."""
LIFTED_MM = {Tissue.SPLEEN: 20.0, Tissue.GALLBLADDER: 15.0}
KIDNEYS_LIFTED_MM, KIDNEY_LIFTED_MM = 20.0, 10.0
"""How much higher or lower than in the template an organ lies at most; kidneys as a pair, and each one beside that."""
LINEAR = (0.7, 1.5)
"""Beyond these a map's form is no model of so small or large an organ."""
SIDES_DIFFER = 0.1
"""Spread of the logarithm of one axis's factor."""
ANCHOR_SHARE = 0.4
"""Of an organ's half breadth: how far beside its middle the point that stays may lie."""
GROWN_MM = {
    Tissue.AORTA: (-1.5, 2.5),
    Tissue.INFERIOR_VENA_CAVA: (-2.5, 3.5),
    Tissue.PORTAL_SPLENIC_VEIN: (-0.4, 2.6),
    Tissue.ARTERY: (-0.3, 1.5),
    Tissue.VEIN: (-0.5, 1.5),
}
"""By how much a vessel's wall moves outwards."""
COURSED = (Tissue.AORTA, Tissue.ARTERY, Tissue.INFERIOR_VENA_CAVA, Tissue.VEIN)
ARTERIES = (Tissue.AORTA, Tissue.ARTERY)
PARTING_LEVEL = (-1.25, 0.6)
"""Of the aorta, mean and spread in vertebrae below L3: mostly on L4, now and then on L3 or L5."""
PARTING_LIMITS = (-2.4, 0.3)
VEINS_LOWER_MM = (0.0, 20.0)
FIXED_LEVELS = (-4.5, 1.6)
"""Within these the vessels run anew: from the pelvis to the renal veins."""
GIVE_WAY = (
    Tissue.AIR,
    Tissue.LIVER,
    Tissue.BOWEL_CONTENT,
    Tissue.FAECES,
    Tissue.MEDIASTINAL_FAT,
    Tissue.PELVIC_ORGAN,
)
"""What is pressed aside by an organ that grows; AIR is what the map has no label for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativePlan:
    """What differs from the template."""

    scale: dict[Tissue, tuple[float, float, float]]
    """z, y, x."""
    anchor: dict[Tissue, tuple[float, float, float]]
    """The point that stays, in half breadths from the middle."""
    lifted_mm: dict[Tissue, float]
    sinus_mm: float
    """Half the breadth of the gaps that are filled in kidneys."""
    grown_mm: dict[Tissue, float]
    arteries_part_mm: float
    """Template height."""
    veins_part_mm: float


def sample_relative(template: Template, rng: np.random.Generator) -> RelativePlan:
    """A plan of its own for every seed."""
    cube_ml = float(template.step_mm) ** 3 / 1000
    pair_ml = _evenly_in_log(rng, KIDNEY_ML)
    wanted = {organ: _evenly_in_log(rng, limits) for organ, limits in USUAL_ML.items()}
    for kidney in KIDNEYS:
        wanted[kidney] = pair_ml * float(np.exp(rng.normal(0, KIDNEYS_DIFFER)))
    sinus_mm = float(rng.uniform(*SINUS_MM))
    scale, anchor = {}, {}
    for organ, volume_ml in wanted.items():
        mask = _filled(template.viscera == organ, organ, sinus_mm / float(template.step_mm))
        own_ml = float(mask.sum()) * cube_ml
        if own_ml == 0:
            continue
        sides = np.exp(rng.normal(0, SIDES_DIFFER, 3))
        factors = (volume_ml / own_ml) ** (1 / 3) * sides / sides.prod() ** (1 / 3)
        scale[organ] = _three(np.clip(factors, *LINEAR))
        anchor[organ] = _three(rng.uniform(-ANCHOR_SHARE, ANCHOR_SHARE, 3))
    level = float(np.clip(rng.normal(*PARTING_LEVEL), *PARTING_LIMITS))
    arteries_mm = _height_mm(template, level)
    return RelativePlan(
        scale=scale,
        anchor=anchor,
        lifted_mm=_lifted_mm(rng),
        sinus_mm=sinus_mm,
        grown_mm={vessel: float(rng.uniform(*limits)) for vessel, limits in GROWN_MM.items()},
        arteries_part_mm=arteries_mm,
        veins_part_mm=arteries_mm - float(rng.uniform(*VEINS_LOWER_MM)),
    )


def relative_of(template: Template, plan: RelativePlan) -> Template:
    """The template with its viscera changed; frame, spine and wall are the same."""
    viscera = template.viscera.copy()
    step_mm = float(template.step_mm)
    for organ in plan.scale:
        mask = _filled(viscera == organ, organ, plan.sinus_mm / step_mm)
        viscera[viscera == organ] = Tissue.AIR
        lift = round(plan.lifted_mm.get(organ, 0.0) / step_mm)
        box, grown = _scaled(mask, plan.scale[organ], plan.anchor[organ], lift)
        _set(viscera[box], grown, organ)
    _run_vessels_anew(viscera, template, plan)
    for vessel, by_mm in plan.grown_mm.items():
        _grow(viscera, vessel, by_mm / step_mm)
    return replace(template, viscera=viscera, depth=depth_of(viscera, step_mm))


def _set(viscera: Codes, mask: Mask, tissue: Tissue) -> None:
    viscera[mask & np.isin(viscera, GIVE_WAY)] = tissue


def _lifted_mm(rng: np.random.Generator) -> dict[Tissue, float]:
    lifted = {organ: float(rng.uniform(-most, most)) for organ, most in LIFTED_MM.items()}
    pair = rng.uniform(-KIDNEYS_LIFTED_MM, KIDNEYS_LIFTED_MM)
    return lifted | {
        kidney: float(pair + rng.uniform(-KIDNEY_LIFTED_MM, KIDNEY_LIFTED_MM)) for kidney in KIDNEYS
    }


def _filled(mask: Mask, organ: Tissue, reach: float) -> Mask:
    """A kidney without its narrower gaps, of which none is deeper than the reach in voxels; other organs as they are."""
    found = ndimage.find_objects(mask.astype(np.uint8))
    if organ not in KIDNEYS or reach == 0 or not found:
        return mask
    border = int(np.ceil(reach)) + 1
    near = ndimage.distance_transform_edt(~np.pad(mask[found[0]], border)) <= reach
    closed = ndimage.distance_transform_edt(near) > reach
    filled = mask.copy()
    filled[found[0]] |= closed[border:-border, border:-border, border:-border]
    return filled


def _scaled(
    mask: Mask, scale: Sequence[float], anchor: Sequence[float], lift: int
) -> tuple[Box, Mask]:
    """The mask resized about its anchor and moved along z, and the box it lies in."""
    found = ndimage.find_objects(mask.astype(np.uint8))[0]
    first = np.array([s.start for s in found], float)
    half = (np.array([s.stop for s in found]) - first - 1) / 2
    still = first + half * (1 + np.asarray(anchor))
    factor = np.asarray(scale)
    low = np.floor(still + (first - still) * factor) - 1
    high = np.ceil(still + (first + 2 * half - still) * factor) + 2
    moved = np.array([lift, 0, 0])
    still, low, high = still + moved, low + moved, high + moved
    low = np.clip(low, 0, None).astype(int)
    high = np.maximum(np.minimum(high, mask.shape), low).astype(int)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    # Output index o of the box lies at still + (o + low - still) / factor of the whole; beyond its own box an organ ends
    # half a voxel after the last one.
    resized = ndimage.affine_transform(
        np.pad(mask[found], 1).astype(np.float32),
        1 / factor,
        still - moved + (low - still) / factor - first + 1,
        output_shape=tuple(int(b - a) for a, b in zip(low, high, strict=True)),
        order=1,
    )
    return box, resized > 0.5


def _run_vessels_anew(viscera: Codes, template: Template, plan: RelativePlan) -> None:
    """Every height shows the vessels of another one, moved along with the spine's front."""
    step_mm = float(template.step_mm)
    low_mm, high_mm = (_height_mm(template, level) for level in FIXED_LEVELS)
    first, last = max(0, round(low_mm / step_mm)), round(high_mm / step_mm)
    old, bed = viscera[first:last].copy(), bed_line(template)
    heights_mm = np.arange(first, last) * step_mm
    viscera[first:last][np.isin(old, COURSED)] = Tissue.AIR
    for tissue in COURSED:
        trunk = Tissue.AORTA if tissue in ARTERIES else Tissue.INFERIOR_VENA_CAVA
        slices = np.flatnonzero((template.viscera == trunk).any(axis=(1, 2)))
        wanted_mm = plan.arteries_part_mm if tissue in ARTERIES else plan.veins_part_mm
        if len(slices) == 0 or not low_mm < slices[0] * step_mm < high_mm:
            # A map that ends above its parting has none to move: every height shows itself.
            wanted_mm, parting_mm = low_mm + 1, low_mm + 1
        else:
            parting_mm = float(slices[0]) * step_mm
        source_mm = PchipInterpolator([low_mm, wanted_mm, high_mm], [low_mm, parting_mm, high_mm])
        mask = old == tissue
        for z, at_mm in enumerate(heights_mm):
            from_mm = float(np.clip(source_mm(at_mm), heights_mm[0], heights_mm[-1]))
            shift = (bed(at_mm) - bed(from_mm)) / step_mm
            plane = mask[round(from_mm / step_mm) - first]
            moved = ndimage.shift(plane.astype(np.float32), shift[::-1], order=1) > 0.5
            _set(viscera[first + z], moved, tissue)


def _grow(viscera: Codes, vessel: Tissue, by_voxels: float) -> None:
    """The wall moves outwards where it may, or inwards."""
    found = ndimage.find_objects((viscera == vessel).astype(np.uint8))
    if not found:
        return
    reach = int(np.ceil(abs(by_voxels))) + 1
    box = tuple(slice(max(s.start - reach, 0), s.stop + reach) for s in found[0])
    inside = viscera[box] == vessel
    # Both distances are to the middle of a voxel; the wall lies half a voxel nearer.
    far = ndimage.distance_transform_edt(~inside) - 0.5
    deep = ndimage.distance_transform_edt(inside) - 0.5
    if by_voxels >= 0:
        _set(viscera[box], ~inside & (far <= by_voxels), vessel)
    else:
        viscera[box][inside & (deep < -by_voxels)] = Tissue.AIR


def _height_mm(template: Template, level: float) -> float:
    """Template height of a level: L3 0, L4 -1, S1 -3, evenly beyond."""
    names = list(template.body_names)
    z = np.append(template.body_centre_mm[:, 2], template.s1_mm[2])[::-1]
    levels = names.index("L3") - np.arange(len(z), dtype=float)[::-1]
    inside = float(np.interp(level, levels, z))
    pitch = float(z[1] - z[0])
    return inside + (min(level - levels[0], 0.0) + max(level - levels[-1], 0.0)) * pitch


def _evenly_in_log(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    low, high = np.log(limits)
    return float(np.exp(rng.uniform(low, high)))


def _three(values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    z, y, x = (float(value) for value in values)
    return z, y, x
