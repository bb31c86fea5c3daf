"""A patient as a label map on any grid: wall, frame and viscera looked up through the bend, then bones, arms, couch.

Written over an array namespace (arrays.py), so that the same lines run in numpy and on an accelerator.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from training.synthetic.fields import WaveField
from training.synthetic.labels import Labels, Tissue
from training.synthetic.torso import Grid
from training.templates.arrays import NUMPY, Array, Arrays
from training.templates.contents import Spot, fill_contents
from training.templates.course import SPINE_BEHIND_MM, SPINE_REACH_MM, centre_line
from training.templates.patient import Patient
from training.templates.surroundings import set_arms, set_couch
from training.templates.template import ANGLES, FIRST_RIB_CODE, Template, angle_bin
from training.templates.vertebrae import PartArrays, set_vertebrae
from training.templates.wall_tables import wall_tables

SLAB_POINTS = 400_000
"""Points at once in numpy: small enough for the working arrays to stay in the cache."""
LAMELLA_PLACES = ((0.36, 0.04), (0.67, 0.035))
"""Where in the flank's wall fat parts its muscles, and half its thickness, as shares of the wall."""
COARSEST_LAMELLA_MM = 2.2
LEAST_LAMELLAE = 0.4
LINING_MM = 1.5
RIB12_ROOT_MM = 26.0

WING_MM = (40.0, 75.0)
"""From the centre line: where the pelvis's wings begin, and from where on they move freely against the sacrum."""
RIB_ROOT_MM = 45.0
SACRUM = ((-3.0, -2.3), (1.0, 0.0))
CRESTS = ((-0.6, 1.0), (1.0, 0.0))
RIBS = ((1.0, 2.6), (0.0, 1.0))
"""By level: the share of each one's own movement."""
CHEST_GROWTH = ((0.5, 2.5), (1.0, 1.05))
"""Under the ribs organs fill the whole width, whatever their size: by level, the factor on it."""


Axes = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""x, y and z in mm."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TemplateArrays:
    """A template's voxels where the work is done, flat."""

    frame: Array
    viscera: Array
    depth: Array
    frame_depth: Array
    parts: PartArrays
    shape: tuple[int, int, int]


@lru_cache(maxsize=8)
def load(template: Template, kit: Any) -> TemplateArrays:
    """Once per template and device; the kit is an Arrays."""
    slices, rows, columns = template.frame.shape
    shape = (slices, rows, columns)
    flat = {
        name: kit.put(np.ascontiguousarray(getattr(template, name)).ravel())
        for name in ("frame", "viscera", "depth", "frame_depth", "parts", "parts_depth")
    }
    parts = PartArrays(parts=flat["parts"], depth=flat["parts_depth"], shape=shape)
    return TemplateArrays(
        frame=flat["frame"],
        viscera=flat["viscera"],
        depth=flat["depth"],
        frame_depth=flat["frame_depth"],
        parts=parts,
        shape=shape,
    )


def label_map(
    patient: Patient,
    grid: Grid,
    kit: Arrays = NUMPY,
    *,
    with_table: bool = False,
) -> Labels:
    """Fine tissue of every voxel's centre."""
    device: Any = kit
    arrays = load(patient.template, device)
    at_once = max(1, SLAB_POINTS // (grid.shape[1] * grid.shape[2])) if kit is NUMPY else 10**6
    z, y, x = (grid.axis_mm(axis) for axis in range(3))
    slabs = []
    for first in range(0, len(z), at_once):
        axes = (x, y, z[first : first + at_once])
        labels = _body(patient, axes, arrays, kit, fine=grid.spacing_mm[1] < COARSEST_LAMELLA_MM)
        set_vertebrae(labels, axes, patient.template, arrays.parts, patient.placed, kit)
        set_arms(labels, axes, patient, kit)
        if with_table:
            set_couch(labels, axes, patient, kit)
        slabs.append(labels)
    return slabs[0] if len(slabs) == 1 else kit.xp.concatenate(slabs)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Slab:
    """Some slices of a grid, and where its voxels lie in the template's plane."""

    axes: Axes
    kit: Arrays
    u: Array
    v: Array
    """Patient mm, turned with the body."""
    xs: Array
    ys: Array
    """Template mm from the centre line."""
    radius: Array

    def column(self, values: npt.NDArray[np.float64]) -> Array:
        """One value per slice, to meet whole slices."""
        return self.kit.put(np.asarray(values, np.float32))[:, None, None]

    def waves(self, fields: Sequence[WaveField]) -> Array:
        """The sum of smooth displacements."""
        return sum(field.on_axes(*self.axes, self.kit) for field in fields)


def _body(
    patient: Patient, axes: Axes, arrays: TemplateArrays, kit: Arrays, *, fine: bool
) -> Array:
    """Wall, frame and viscera of a slab; the spine's bed is still empty."""
    slab = _slab(patient, axes, kit)
    labels, fat, cavity = _wall(patient, slab, fine=fine)
    course, template = patient.course, patient.template
    x, y = (slab.xs + _centre(patient, slab, 0), slab.ys + _centre(patient, slab, 1))
    frame_z = slab.column(course.at(course.frame_z_mm, axes[2])) + slab.waves(patient.bend.z)
    frame_z = frame_z + _bones_shift(patient, slab)
    step = float(template.step_mm)
    at = _index(kit, arrays.shape, step, (x, y, frame_z))
    organ_at = _index(kit, arrays.shape, step, _organ_places(patient, slab))
    spot = Spot(
        axes=axes,
        labels=labels,
        frame=arrays.frame[at],
        frame_depth=arrays.frame_depth[at],
        viscera=arrays.viscera[organ_at],
        depth=arrays.depth[organ_at],
        in_cavity=slab.radius < cavity - LINING_MM,
        in_wall=slab.radius < fat,
        room_mm=cavity - slab.radius,
        y_mm=slab.ys,
        level=slab.column(course.at(course.level, axes[2])),
    )
    fill_contents(spot, patient.body, patient.spine.calcification, kit)
    _shorten_ribs(labels, arrays.parts.parts[at], x, patient)
    return labels


def _slab(patient: Patient, axes: Axes, kit: Arrays) -> _Slab:
    """As course.bent, for whole slices."""
    x, y, z = axes
    course, body, xp = patient.course, patient.body, kit.xp
    gx = kit.put(x.astype(np.float32))[None, None, :]
    gy = kit.put(y.astype(np.float32))[None, :, None]
    cos, sin = float(np.cos(body.rotation_rad)), float(np.sin(body.rotation_rad))
    u, v = gx * cos + gy * sin, gy * cos - gx * sin
    near = xp.exp(-(u**2 + (v - SPINE_BEHIND_MM) ** 2) * (0.5 / SPINE_REACH_MM**2))
    tables = (course.sway_x_mm, course.sway_y_mm, course.width, course.depth)
    sway_x, sway_y, width, depth = (
        kit.put(course.at(table, z).astype(np.float32))[:, None, None] for table in tables
    )
    xs = (u - sway_x * near + body.shear * v) / width
    ys = (v - sway_y * near) / depth
    xs = xs + sum(field.on_axes(*axes, kit) for field in patient.bend.x)
    ys = ys + sum(field.on_axes(*axes, kit) for field in patient.bend.y)
    return _Slab(axes=axes, kit=kit, u=u, v=v, xs=xs, ys=ys, radius=xp.sqrt(xs**2 + ys**2))


def _wall(patient: Patient, slab: _Slab, *, fine: bool) -> tuple[Array, Array, Array]:
    """Labels of the layers, and how far fat and cavity reach."""
    kit, z = slab.kit, slab.axes[2]
    tables = wall_tables(patient.template, patient.body, patient.course, z)
    bins = angle_bin(kit.xp.arctan2(slab.xs, -slab.ys))
    lower = kit.whole(kit.xp.floor(bins))
    share = bins - kit.xp.floor(bins)
    row = kit.put(np.arange(len(z)) * ANGLES)[:, None, None]
    first, second = row + lower % ANGLES, row + (lower + 1) % ANGLES

    def limit(table: npt.NDArray[np.float32]) -> Array:
        flat = kit.put(table.ravel())
        return flat[first] * (1 - share) + flat[second] * share

    radius = slab.radius
    fat, muscle, cavity = limit(tables.fat), limit(tables.muscle), limit(tables.cavity)
    labels = kit.zeros((len(z), len(slab.axes[1]), len(slab.axes[0])))
    labels[radius < limit(tables.skin)] = int(Tissue.SKIN)
    labels[radius < fat] = int(Tissue.SUBCUTANEOUS_FAT)
    in_wall = (radius < muscle) & (radius >= cavity)
    labels[in_wall] = kit.put(tables.kind.ravel())[first][in_wall]
    if fine and patient.body.wall.lamellae > LEAST_LAMELLAE:
        place = (radius - cavity) / kit.xp.clip(muscle - cavity, 1e-3, None)
        layered = in_wall & (kit.put(tables.is_layered.ravel())[first] > 0)
        for middle, half in LAMELLA_PLACES:
            shown = layered & (abs(place - middle) < half * patient.body.wall.lamellae)
            labels[shown] = int(Tissue.INTERMUSCULAR_FAT)
    labels[radius < cavity] = int(Tissue.VISCERAL_FAT)
    return labels, fat, cavity


def _bones_shift(patient: Patient, slab: _Slab) -> Array:
    """Template heights that ribs, iliac crests and the sacrum's end plate have more than the spine beside them."""
    level = patient.course.at(patient.course.level, slab.axes[2])
    aside = abs(slab.xs)
    wing = slab.kit.xp.clip((aside - WING_MM[0]) / (WING_MM[1] - WING_MM[0]), 0, 1)
    crests = np.interp(level, *CRESTS) * patient.body.crest_mm
    ribs = np.interp(level, *RIBS) * patient.body.rib_slope
    sacrum = np.interp(level, *SACRUM) * patient.spine.sacral_tilt_rad
    s1_mm = float(patient.vertebrae["S1"].centre_lps_mm[1])
    return (
        slab.column(sacrum) * (slab.v - s1_mm) * (1 - wing)
        - slab.column(crests) * wing
        - slab.column(ribs) * slab.kit.xp.clip(aside - RIB_ROOT_MM, 0, None)
    )


def _organ_places(patient: Patient, slab: _Slab) -> tuple[Array, Array, Array]:
    """Template positions of the viscera: moved, resized and bent against the frame."""
    body, course, bend, z = patient.body, patient.course, patient.bend, slab.axes[2]
    size = body.organ_size * np.interp(course.at(course.level, z), *CHEST_GROWTH)
    grow = slab.column(1 / size)
    lean = body.tilt[0] * slab.u + body.tilt[1] * slab.v
    return (
        slab.xs * grow + slab.waves(bend.organ_x) + _centre(patient, slab, 0),
        slab.ys * grow + slab.waves(bend.organ_y) + _centre(patient, slab, 1),
        slab.column(course.at(course.viscera_z_mm, z)) + lean + slab.waves(bend.organ_z),
    )


def _centre(patient: Patient, slab: _Slab, axis: int) -> Array:
    """The template's centre line at the slab's heights."""
    frame_z = patient.course.at(patient.course.frame_z_mm, slab.axes[2])
    return slab.column(centre_line(patient.template, frame_z)[:, axis])


def _index(
    kit: Arrays, shape: tuple[int, int, int], step: float, place: tuple[Array, Array, Array]
) -> Array:
    """Flat template indices of positions in mm; the border holds nothing."""
    slices, rows, columns = shape
    x, y, z = place
    k = kit.xp.clip(kit.whole(z / step), 0, slices - 1)
    r = kit.xp.clip(kit.whole(y / step), 0, rows - 1)
    c = kit.xp.clip(kit.whole(x / step), 0, columns - 1)
    return (k * rows + r) * columns + c


def _shorten_ribs(labels: Array, parts: Array, x_mm: Array, patient: Patient) -> None:
    """The last ribs end early, or are not there."""
    reach = patient.spine.rib12_reach
    if min(reach) >= 1.0:
        return
    template = patient.template
    middle = float(template.body_centre_mm[template.index_of("T12"), 0])
    rib = parts == FIRST_RIB_CODE + 12
    for sign, share, whole_mm in zip((-1, 1), reach, template.rib12_mm, strict=True):
        kept = RIB12_ROOT_MM + share * (float(whole_mm) - RIB12_ROOT_MM) if share > 0 else 0.0
        labels[rib & ((x_mm - middle) * sign > kept)] = int(Tissue.RIB_LEVEL_MUSCLE)
