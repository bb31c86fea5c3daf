"""Relatives of a template: the same map with organs of other sizes and great vessels that part at another vertebra.

A network that learns one map learns its kidneys' volume and where its aorta ends by heart, however the body is bent:
both differ between people by more than any smooth warp of one of them.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.interpolate import PchipInterpolator

from training.synthetic.labels import Tissue
from training.templates.branches import BRANCHES, Branches, with_branches
from training.templates.course import bed_line
from training.templates.crura import Crura, with_crura
from training.templates.reshape import Change, Mask, reshaped
from training.templates.template import Codes, Template

KIDNEYS = (Tissue.KIDNEY_RIGHT, Tissue.KIDNEY_LEFT)
USUAL_ML = {
    Tissue.SPLEEN: (90.0, 420.0),
    Tissue.GALLBLADDER: (12.0, 70.0),
    Tissue.PANCREAS: (35.0, 130.0),
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
MOVED_MM = {
    Tissue.KIDNEY_RIGHT: (28.0, 15.0, 18.0),
    Tissue.KIDNEY_LEFT: (28.0, 15.0, 18.0),
    Tissue.SPLEEN: (20.0, 12.0, 8.0),
    Tissue.GALLBLADDER: (10.0, 8.0, 8.0),
    Tissue.PANCREAS: (10.0, 8.0, 10.0),
    Tissue.DUODENUM: (10.0, 8.0, 10.0),
    Tissue.ADRENAL_RIGHT: (8.0, 5.0, 6.0),
    Tissue.ADRENAL_LEFT: (8.0, 5.0, 6.0),
}
"""How far an organ lies at most from where the template has it: up or down, to front or back, to a side."""
KIDNEYS_TOGETHER_MM = 12.0
"""Both kidneys up or down, beside what each one moves."""
TURNED_DEG = {
    Tissue.KIDNEY_RIGHT: (35.0, 20.0, 20.0),
    Tissue.KIDNEY_LEFT: (35.0, 20.0, 20.0),
    Tissue.SPLEEN: (10.0, 10.0, 10.0),
    Tissue.GALLBLADDER: (25.0, 25.0, 25.0),
    Tissue.PANCREAS: (10.0, 15.0, 5.0),
}
"""How far an organ is turned at most about the axes z, y, x."""
LINEAR = (0.7, 1.5)
"""Beyond these a map's form is no model of so small or large an organ."""
SIDES_DIFFER = 0.1
"""Spread of the logarithm of one axis's factor."""
ANCHOR_SHARE = 0.4
"""Of an organ's half breadth: how far beside its middle the point that stays may lie."""
GROWN_MM = {
    Tissue.AORTA: (-1.0, 8.5),
    Tissue.INFERIOR_VENA_CAVA: (-2.5, 3.5),
    Tissue.PORTAL_SPLENIC_VEIN: (-0.4, 4.5),
    Tissue.PANCREAS: (-3.0, 0.3),
    Tissue.ARTERY: (-0.3, 1.5),
    Tissue.VEIN: (-0.5, 1.5),
}
"""By how much a vessel's wall moves outwards; an old pancreas is as long as before and thin."""
FORWARDS = 0.6
"""Of what an aorta's wall moves outwards its middle moves to the front: the spine does not give way."""
COURSED = (Tissue.AORTA, Tissue.ARTERY, Tissue.INFERIOR_VENA_CAVA, Tissue.VEIN)
ARTERIES = (Tissue.AORTA, Tissue.ARTERY)
PARTING_LEVEL = (-1.25, 0.6)
"""Of the aorta, mean and spread in vertebrae below L3: mostly on L4, now and then on L3 or L5."""
PARTING_LIMITS = (-2.4, 0.3)
VEINS_LOWER_MM = (0.0, 20.0)
ASIDE_MM = {
    Tissue.AORTA: ((-12.0, 2.0), (-8.0, 26.0)),
    Tissue.INFERIOR_VENA_CAVA: ((-10.0, 2.0), (-14.0, 8.0)),
}
"""How far a vessel bends out of its course, to the back and to the left: an old aorta is long and lies before the psoas."""
BENT_AT = (0.35, 0.75)
"""Where it does so most, as a share of the height within which vessels run anew."""
CRURA_THICK, CRURA_GAP_MM = (0.5, 1.5), (0.0, 2.5)
CRUS_BESIDE_MM, CRUS_TURNED_DEG = (9.0, 18.0), (-15.0, 40.0)
CRUS_ALONE = 0.7
"""How many have a right crus that stands off the aorta."""
VEIN_MM, ARTERY_MM = (9.0, 19.0), (5.5, 9.0)
MESENTERIC_TAPER = (0.6, 1.0)
MESENTERIC_LENGTH_MM, MESENTERIC_FORWARDS_MM, MESENTERIC_RIGHTWARDS_MM = (
    (50.0, 120.0),
    (-5.0, 30.0),
    (-8.0, 20.0),
)
RENAL = (0.6, 1.3)
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


BEFORE_AORTA = (Tissue.DUODENUM, Tissue.PANCREAS)
"""They make room for a wide one: else it would be half an aorta."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativePlan:
    """What differs from the template."""

    organs: dict[Tissue, Change]
    sinus_mm: float
    """Half the breadth of the gaps that are filled in kidneys."""
    grown_mm: dict[Tissue, float]
    arteries_part_mm: float
    """Template height."""
    veins_part_mm: float
    aside_mm: dict[Tissue, tuple[float, float]]
    """y, x: of a trunk and its branches."""
    bent_at: float
    crura: Crura
    branches: Branches


def sample_relative(template: Template, rng: np.random.Generator) -> RelativePlan:
    """A plan of its own for every seed."""
    cube_ml = float(template.step_mm) ** 3 / 1000
    pair_ml = _evenly_in_log(rng, KIDNEY_ML)
    wanted = {organ: _evenly_in_log(rng, limits) for organ, limits in USUAL_ML.items()}
    for kidney in KIDNEYS:
        wanted[kidney] = pair_ml * float(np.exp(rng.normal(0, KIDNEYS_DIFFER)))
    sinus_mm = float(rng.uniform(*SINUS_MM))
    together_mm = float(rng.uniform(-KIDNEYS_TOGETHER_MM, KIDNEYS_TOGETHER_MM))
    organs = {}
    for organ, volume_ml in wanted.items():
        mask = _filled(template.viscera == organ, organ, sinus_mm / float(template.step_mm))
        own_ml = float(mask.sum()) * cube_ml
        if own_ml == 0:
            continue
        organs[organ] = _change(rng, organ, (volume_ml / own_ml) ** (1 / 3), together_mm)
    level = float(np.clip(rng.normal(*PARTING_LEVEL), *PARTING_LIMITS))
    arteries_mm = _height_mm(template, level)
    return RelativePlan(
        organs=organs,
        sinus_mm=sinus_mm,
        grown_mm={vessel: float(rng.uniform(*limits)) for vessel, limits in GROWN_MM.items()},
        arteries_part_mm=arteries_mm,
        veins_part_mm=arteries_mm - float(rng.uniform(*VEINS_LOWER_MM)),
        aside_mm={
            trunk: (float(rng.uniform(*back)), float(rng.uniform(*left)))
            for trunk, (back, left) in ASIDE_MM.items()
        },
        bent_at=float(rng.uniform(*BENT_AT)),
        crura=_crura(rng),
        branches=_branches(rng),
    )


def _crura(rng: np.random.Generator) -> Crura:
    thickness, gap_mm = float(rng.uniform(*CRURA_THICK)), float(rng.uniform(*CRURA_GAP_MM))
    beside_mm = float(rng.uniform(*CRUS_BESIDE_MM)) if rng.random() < CRUS_ALONE else None
    return Crura(
        thickness=thickness,
        gap_mm=gap_mm,
        beside_mm=beside_mm,
        turned_deg=float(rng.uniform(*CRUS_TURNED_DEG)),
    )


def _branches(rng: np.random.Generator) -> Branches:
    return Branches(
        vein_mm=float(rng.uniform(*VEIN_MM)),
        artery_mm=float(rng.uniform(*ARTERY_MM)),
        taper=float(rng.uniform(*MESENTERIC_TAPER)),
        length_mm=float(rng.uniform(*MESENTERIC_LENGTH_MM)),
        forwards_mm=float(rng.uniform(*MESENTERIC_FORWARDS_MM)),
        rightwards_mm=float(rng.uniform(*MESENTERIC_RIGHTWARDS_MM)),
        renal=float(rng.uniform(*RENAL)),
    )


def relative_of(template: Template, plan: RelativePlan) -> Template:
    """The template with its viscera changed; frame, spine and wall are the same."""
    viscera = template.viscera.copy()
    # Crura and branches are set anew about the vessels in their new course.
    viscera[np.isin(viscera, (Tissue.DIAPHRAGM, *BRANCHES))] = Tissue.AIR
    step_mm = float(template.step_mm)
    for organ, change in plan.organs.items():
        mask = _filled(viscera == organ, organ, plan.sinus_mm / step_mm)
        viscera[viscera == organ] = Tissue.AIR
        box, changed = reshaped(mask, change, step_mm)
        _set(viscera[box], changed, organ)
    _run_vessels_anew(viscera, template, plan)
    for vessel, by_mm in plan.grown_mm.items():
        _grow(viscera, vessel, by_mm / step_mm)
    branched = with_branches(replace(template, viscera=viscera), plan.branches)
    return with_crura(branched, plan.crura)


def _set(viscera: Codes, mask: Mask, tissue: Tissue) -> None:
    viscera[mask & np.isin(viscera, GIVE_WAY)] = tissue


def _change(rng: np.random.Generator, organ: Tissue, factor: float, together_mm: float) -> Change:
    sides = np.exp(rng.normal(0, SIDES_DIFFER, 3))
    moved_mm = np.asarray(MOVED_MM[organ]) * rng.uniform(-1, 1, 3)
    if organ in KIDNEYS:
        moved_mm[0] += together_mm
    return Change(
        scale=_three(np.clip(factor * sides / sides.prod() ** (1 / 3), *LINEAR)),
        anchor=_three(rng.uniform(-ANCHOR_SHARE, ANCHOR_SHARE, 3)),
        moved_mm=_three(moved_mm),
        turned_deg=_three(np.asarray(TURNED_DEG.get(organ, (0.0,) * 3)) * rng.uniform(-1, 1, 3)),
    )


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


def _run_vessels_anew(viscera: Codes, template: Template, plan: RelativePlan) -> None:
    """Every height shows the vessels of another one, moved along with the spine's front and aside."""
    step_mm = float(template.step_mm)
    low_mm, high_mm = (_height_mm(template, level) for level in FIXED_LEVELS)
    first, last = max(0, round(low_mm / step_mm)), round(high_mm / step_mm)
    old, bed = viscera[first:last].copy(), bed_line(template)
    heights_mm = np.arange(first, last) * step_mm
    viscera[first:last][np.isin(old, COURSED)] = Tissue.AIR
    bend_mm = low_mm + plan.bent_at * (high_mm - low_mm)
    bent = PchipInterpolator([low_mm, bend_mm, high_mm], [0.0, 1.0, 0.0])
    for tissue in COURSED:
        trunk = Tissue.AORTA if tissue in ARTERIES else Tissue.INFERIOR_VENA_CAVA
        aside_mm = np.array(plan.aside_mm.get(trunk, (0.0, 0.0)))[::-1]
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
            aside = float(bent(np.clip(at_mm, low_mm, high_mm))) * aside_mm
            shift = (bed(at_mm) - bed(from_mm) + aside) / step_mm
            plane = mask[round(from_mm / step_mm) - first]
            moved = ndimage.shift(plane.astype(np.float32), shift[::-1], order=1) > 0.5
            _set(viscera[first + z], moved, tissue)


def _grow(viscera: Codes, vessel: Tissue, by_voxels: float) -> None:
    """The wall moves outwards where it may, or inwards."""
    found = ndimage.find_objects((viscera == vessel).astype(np.uint8))
    if not found:
        return
    reach = 2 * int(np.ceil(abs(by_voxels))) + 1
    box = tuple(slice(max(s.start - reach, 0), s.stop + reach) for s in found[0])
    inside = viscera[box] == vessel
    # Both distances are to the middle of a voxel; the wall lies half a voxel nearer.
    far = ndimage.distance_transform_edt(~inside) - 0.5
    deep = ndimage.distance_transform_edt(inside) - 0.5
    if vessel is Tissue.AORTA and by_voxels >= 0:
        ahead = round(FORWARDS * by_voxels)
        wide = far <= by_voxels
        wide = np.concatenate([wide[:, ahead:], np.zeros_like(wide[:, :ahead])], axis=1)
        part = viscera[box]
        part[wide & np.isin(part, (*GIVE_WAY, *BEFORE_AORTA))] = vessel
    elif by_voxels >= 0:
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
