"""How a patient runs along z: which template height lies where, how the spine sways, what is where in the plane."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline, PchipInterpolator

from training.synthetic.fields import WaveField, wave_field
from training.synthetic.spine import Vertebra
from training.templates.body_plan import BodyPlan
from training.templates.spine_plan import SHORTEST_DISC_MM, SpinePlan, VertebraPlan
from training.templates.template import Template

Table = npt.NDArray[np.float64]
Values = npt.NDArray[np.float32]

STEP_MM = 1.0
SPINE_REACH_MM = 85.0
"""How far round the spine the body follows its sway."""
SPINE_BEHIND_MM = 40.0
LIMIT_STEPS = 2
KNOT_JITTER_MM = 8.0
DISC_MM = (3.0, 14.0)
LOWEST_DISC_MM = 8.0
LORDOSIS_REACH_MM = 55.0
SACRUM_SWING_MM = 45.0
"""What the sacrum's end moves at most when it tilts."""
ROUNDS = 10
"""Of the search for the point that the bend maps onto the spine's bed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlacedVertebra:
    """One vertebra in the patient: z = 0 is the middle of S1, x = y = 0 the centre line."""

    plan: VertebraPlan
    source: int
    """Index among the template's vertebrae."""
    centre_mm: Table
    rotation: Table
    """Template directions to the patient's."""
    scale: tuple[float, float, float]
    height_mm: float
    gap_below_mm: float
    gap_above_mm: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Course:
    """Tables over z_mm."""

    z_mm: Table
    frame_z_mm: Table
    """Template height of muscles and bones."""
    viscera_z_mm: Table
    sway_x_mm: Table
    sway_y_mm: Table
    width: Table
    depth: Table
    level: Table
    """L3 0, L2 1, T12 3, S1 -3 by the frame, whatever the count of lumbar bodies."""

    def at(self, table: Table, z_mm: npt.ArrayLike) -> Table:
        """A table's values at heights."""
        return np.asarray(np.interp(np.asarray(z_mm, float), self.z_mm, table))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bend:
    """The smooth irregular displacement of a patient, mm."""

    x: tuple[WaveField, ...]
    y: tuple[WaveField, ...]
    z: tuple[WaveField, ...]
    organ_x: tuple[WaveField, ...]
    organ_y: tuple[WaveField, ...]
    organ_z: tuple[WaveField, ...]


def bend_of(body: BodyPlan) -> Bend:
    """Waves of a patient: the frame a slow and a fast part, the organs one of their own on top."""

    def slow_and_fast(key: int) -> tuple[WaveField, ...]:
        slow = wave_field(
            (body.seed, key), waves=5, wavelength_mm=(150, 340), rms=0.8 * body.warp_mm
        )
        fast = wave_field(
            (body.seed, key + 1), waves=6, wavelength_mm=(55, 110), rms=0.22 * body.warp_mm
        )
        return slow, fast

    def of_organs(key: int) -> tuple[WaveField, ...]:
        return (
            wave_field((body.seed, key), waves=6, wavelength_mm=(80, 230), rms=body.organ_warp_mm),
        )

    return Bend(
        x=slow_and_fast(11),
        y=slow_and_fast(13),
        z=(wave_field((body.seed, 15), waves=4, wavelength_mm=(150, 300), rms=1.5),),
        organ_x=of_organs(16),
        organ_y=of_organs(17),
        organ_z=of_organs(18),
    )


def course_of(template: Template, body: BodyPlan, spine: SpinePlan) -> Course:
    """The tables of a patient."""
    rng = np.random.default_rng((body.seed, 1))
    stack = stack_of(template, body, spine)
    knots, sources = _frame_knots(template, body, spine, stack, rng)
    frame = PchipInterpolator(knots, sources)
    low = float(np.interp(LIMIT_STEPS * template.step_mm, sources, knots))
    high = float(np.interp(template.height_mm - LIMIT_STEPS * template.step_mm, sources, knots))
    # Above the last whole vertebra the template has none to set.
    high = min(high, stack[-1].z_mm + stack[-1].height_mm / 2)
    z = np.arange(low, high, STEP_MM)
    frame_z = np.asarray(frame(z), float)
    level = _level(template, frame_z)
    reach = np.interp(level, [-4, -2, 1, 4, 7], [0.3, 0.8, 1.0, 1.0, 0.35])
    sway_x, sway_y = _sway(spine, stack, z)
    pelvis = np.interp(level, [-4.5, -2.5], [body.pelvis_width, 1.0])
    return Course(
        z_mm=z,
        frame_z_mm=frame_z,
        viscera_z_mm=frame_z - reach * body.organ_shift_mm / body.stature,
        sway_x_mm=sway_x,
        sway_y_mm=sway_y,
        width=body.width * pelvis,
        depth=np.full(len(z), body.depth),
        level=level,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Where along z one vertebra's body stands."""

    z_mm: float
    height_mm: float
    gap_below_mm: float


def stack_of(template: Template, body: BodyPlan, spine: SpinePlan) -> list[Slot]:
    """Bodies and discs on top of S1, whose middle is z = 0."""
    top = float(template.s1_height_mm) / 2 * body.stature
    slots = []
    for plan in spine.vertebrae:
        source = template.index_of(plan.source)
        height = template.usual_height_mm(plan.source) * body.stature * plan.height
        height *= (1 - plan.crush) * (1 - plan.wedge / 2)
        gap = _gap_mm(template, source, plan.disc_below) * body.stature
        slots.append(Slot(z_mm=top + gap + height / 2, height_mm=height, gap_below_mm=gap))
        top += gap + height
    return slots


def _gap_mm(template: Template, source: int, factor: float) -> float:
    """The source's disc times a factor: between it and the next lower body of the template.

    Bodies are measured along z. The end plates of L5 and S1 slope so much that the one may begin above where the other
    ends: there a factor moves the body by its share of a usual disc.
    """
    z, height = template.body_centre_mm[:, 2], template.body_height_mm
    if source + 1 < len(z):
        below = z[source + 1] + height[source + 1] / 2
        disc = np.clip(z[source] - height[source] / 2 - below, *DISC_MM)
        return max(float(disc) * factor, SHORTEST_DISC_MM)
    below = float(template.s1_mm[2] + template.s1_height_mm / 2)
    return float(z[source] - height[source] / 2 - below) + (factor - 1) * LOWEST_DISC_MM


def _frame_knots(
    template: Template,
    body: BodyPlan,
    spine: SpinePlan,
    stack: Sequence[Slot],
    rng: np.random.Generator,
) -> tuple[Table, Table]:
    """Pelvis stays with S1, ribs with the thoracic vertebrae; in between the frame runs on its own."""
    s1 = float(template.s1_mm[2])
    ribbed = [
        (slot.z_mm, float(template.body_centre_mm[template.index_of(plan.source), 2]))
        for slot, plan in zip(stack, spine.vertebrae, strict=True)
        if plan.name.startswith("T")
    ]
    t12, t12_source = ribbed[0]
    free = [
        (t12 * share + float(rng.uniform(-1, 1)) * KNOT_JITTER_MM, s1 + (t12_source - s1) * share)
        for share in (0.35, 0.68)
    ]
    above = template.height_mm - ribbed[-1][1]
    points = [
        (-s1 * body.stature, 0.0),
        (0.0, s1),
        *free,
        *((z + float(rng.normal(0, 1.5)), source) for z, source in ribbed),
        (ribbed[-1][0] + max(above, 5.0) * body.stature, ribbed[-1][1] + max(above, 5.0)),
    ]
    knots, sources = (np.array(column) for column in zip(*points, strict=True))
    rising = np.maximum.accumulate(knots + np.arange(len(knots)) * 1e-3)
    return rising, sources


def _level(template: Template, frame_z_mm: Table) -> Table:
    """The level coordinate, going on evenly beyond the vertebrae there are."""
    names = list(template.body_names)
    l3 = names.index("L3")
    z = np.append(template.body_centre_mm[:, 2], template.s1_mm[2])[::-1]
    level = l3 - np.arange(len(z), dtype=float)[::-1]
    pitch = 1 / 34.0
    inside = np.interp(frame_z_mm, z, level)
    below, above = np.minimum(frame_z_mm - z[0], 0), np.maximum(frame_z_mm - z[-1], 0)
    return np.asarray(inside + (below + above) * pitch)


def _sway(spine: SpinePlan, stack: Sequence[Slot], z: Table) -> tuple[Table, Table]:
    """Scoliosis above the pelvis; kyphosis about T11, lordosis about L4, the sacrum's tilt below S1's middle."""
    rise = np.clip((z + 10) / 80, 0, 1)
    envelope = rise * rise * (3 - 2 * rise)
    turn = 2 * np.pi * z / spine.scoliosis_length_mm + spine.scoliosis_phase
    apex = stack[min(len(stack) - 1, spine.lumbar_count + 1)].z_mm
    stoop = np.exp(-(((z - apex) / 95) ** 2))
    lumbar = np.exp(-(((z - stack[1].z_mm) / LORDOSIS_REACH_MM) ** 2))
    swing = np.tanh(np.minimum(z, 0) * spine.sacral_tilt_rad / SACRUM_SWING_MM) * SACRUM_SWING_MM
    backwards = spine.kyphosis_mm * stoop + spine.lordosis_mm * lumbar + swing
    return spine.scoliosis_mm * envelope * np.sin(turn), backwards


def bent(body: BodyPlan, course: Course, bend: Bend, points_mm: Table) -> Table:
    """Template offsets [n, 2] from the centre line of patient points [n, 3]."""
    x, y, z = points_mm.T
    u, v = turned(body, x, y)
    near = np.exp(-((u**2 + (v - SPINE_BEHIND_MM) ** 2) / (2 * SPINE_REACH_MM**2)))
    xs = (u - course.at(course.sway_x_mm, z) * near + body.shear * v) / course.at(course.width, z)
    ys = (v - course.at(course.sway_y_mm, z) * near) / course.at(course.depth, z)
    xs = xs + sum(field.at_points(x, y, z) for field in bend.x)
    ys = ys + sum(field.at_points(x, y, z) for field in bend.y)
    return np.stack([xs, ys], 1)


def turned(
    body: BodyPlan, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> tuple[Table, Table]:
    """Patient axes turned against the couch's."""
    cos, sin = np.cos(body.rotation_rad), np.sin(body.rotation_rad)
    return x * cos + y * sin, y * cos - x * sin


def spine_line(
    template: Template, body: BodyPlan, course: Course, bend: Bend, z_mm: Table
) -> Table:
    """[n, 3] where the middle of the spine is in the patient."""
    frame_z = course.at(course.frame_z_mm, z_mm)
    wanted = bed_line(template)(frame_z) - centre_line(template, frame_z)
    points = np.stack([np.zeros(len(z_mm)), np.full(len(z_mm), SPINE_BEHIND_MM), z_mm], 1)
    scale = np.stack([course.at(course.width, z_mm), course.at(course.depth, z_mm)], 1)
    cos, sin = np.cos(body.rotation_rad), np.sin(body.rotation_rad)
    back = np.array([[cos, sin], [-sin, cos]])
    for _ in range(ROUNDS):
        points[:, :2] += ((wanted - bent(body, course, bend, points)) * scale) @ back
    return points


def bed_line(template: Template) -> CubicSpline:
    """x, y of the template's spine by height."""
    z = np.append(template.body_centre_mm[:, 2], template.s1_mm[2])[::-1]
    xy = np.concatenate([template.body_centre_mm[:, :2], template.s1_mm[None, :2]])[::-1]
    outer_z = np.concatenate([[z[0] - 60], z, [z[-1] + 60]])
    low, high = (
        xy[0] - (xy[1] - xy[0]) / (z[1] - z[0]) * 60,
        xy[-1] + (xy[-1] - xy[-2]) / (z[-1] - z[-2]) * 60,
    )
    return CubicSpline(outer_z, np.concatenate([[low], xy, [high]]), bc_type="natural")


def centre_line(template: Template, frame_z_mm: Table) -> Table:
    """x, y of the template's centre line by height."""
    heights = np.arange(len(template.centre_xy_mm)) * float(template.step_mm)
    return np.stack(
        [np.interp(frame_z_mm, heights, template.centre_xy_mm[:, axis]) for axis in (0, 1)], 1
    )


def place_vertebrae(
    template: Template, body: BodyPlan, spine: SpinePlan, course: Course, bend: Bend
) -> list[PlacedVertebra]:
    """Every vertebra of a patient in its place."""
    stack = stack_of(template, body, spine)
    z = np.array([slot.z_mm for slot in stack])
    line = spine_line(template, body, course, bend, z)
    beyond = spine_line(template, body, course, bend, np.concatenate([z - 10, z + 10]))
    slope = (beyond[len(z) :, :2] - beyond[: len(z), :2]) / 20
    own = bed_line(template)
    placed = []
    for place, (slot, plan) in enumerate(zip(stack, spine.vertebrae, strict=True)):
        source = template.index_of(plan.source)
        centre = template.body_centre_mm[source]
        own_slope = (own(centre[2] + 10) - own(centre[2] - 10)) / 20
        lean = np.arctan(slope[place]) - np.arctan(own_slope)
        width = float(course.at(course.width, slot.z_mm)) * plan.width
        depth = float(course.at(course.depth, slot.z_mm)) * plan.width
        stretch = template.usual_height_mm(plan.source) / float(template.body_height_mm[source])
        placed.append(
            PlacedVertebra(
                plan=plan,
                source=source,
                centre_mm=line[place],
                rotation=_rotation(
                    body.rotation_rad, plan.lean_rad[0] - lean[1], plan.lean_rad[1] + lean[0]
                ),
                scale=(width, depth, body.stature * plan.height * (1 - plan.crush) * stretch),
                height_mm=slot.height_mm,
                gap_below_mm=slot.gap_below_mm,
                gap_above_mm=stack[place + 1].gap_below_mm if place + 1 < len(stack) else 4.0,
            )
        )
    return placed


def _rotation(about_z: float, about_x: float, about_y: float) -> Table:
    """Right-handed turns: about y first, then about x, then about z."""
    cx, sx, cy, sy = np.cos(about_x), np.sin(about_x), np.cos(about_y), np.sin(about_y)
    cz, sz = np.cos(about_z), np.sin(about_z)
    turn_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    turn_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    turn_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(turn_z @ turn_x @ turn_y)


def truth_of(
    template: Template, body: BodyPlan, placed: Sequence[PlacedVertebra], s1: Table
) -> dict[str, Vertebra]:
    """Middle and end plates of every body, and of S1."""
    result = {}
    half = float(template.s1_height_mm) / 2 * body.stature
    result["S1"] = Vertebra(
        z_low_mm=-half, z_high_mm=half, centre_lps_mm=(float(s1[0]), float(s1[1]), 0.0)
    )
    for vertebra in placed:
        x, y, z = (float(value) for value in vertebra.centre_mm)
        half = vertebra.height_mm / 2 * float(vertebra.rotation[2, 2])
        result[vertebra.plan.name] = Vertebra(
            z_low_mm=z - half, z_high_mm=z + half, centre_lps_mm=(x, y, z)
        )
    return result
