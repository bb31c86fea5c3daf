"""The body wall as distances from the centre line, per slice and direction: cavity, muscle, fat, skin."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from training.synthetic.fields import wave_field
from training.synthetic.labels import Tissue
from training.templates.body_plan import BodyPlan
from training.templates.course import Course
from training.templates.template import BIN_ANGLE_RAD, Template

Table = npt.NDArray[np.float32]

LARGEST_LATERAL_SHARE = 0.8
SKIN_AND_FASCIA_MM = 1.5
LEAST_FAT_MM = 1.6
FLAT_SHARE = 0.45
RIDGE_RADIUS_MM = 110.0
"""Random unevenness is drawn on a cylinder of this radius."""

DEGREES = np.abs(np.degrees(BIN_ANGLE_RAD))[None, :]
COS, SIN = np.cos(BIN_ANGLE_RAD)[None, :], np.sin(BIN_ANGLE_RAD)[None, :]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WallTables:
    """[slice, ANGLES], in mm of the template's plane."""

    cavity: Table
    muscle: Table
    fat: Table
    skin: Table
    kind: npt.NDArray[np.uint8]
    """Tissue of the muscle layer."""
    is_layered: npt.NDArray[np.uint8]
    """1 where three flat muscles lie upon each other."""


def wall_tables(
    template: Template, body: BodyPlan, course: Course, z_mm: npt.NDArray[np.float64]
) -> WallTables:
    """The wall at the given patient heights."""
    rows = course.at(course.frame_z_mm, z_mm) / float(template.step_mm)
    lower = np.clip(np.floor(rows).astype(int), 0, len(template.hull_mm) - 2)
    share = (rows - lower)[:, None]
    hull, inner = (
        table[lower] * (1 - share) + table[lower + 1] * share
        for table in (template.hull_mm, template.cavity_mm)
    )
    level = course.at(course.level, z_mm)[:, None]
    scale = (course.at(course.width, z_mm) + course.at(course.depth, z_mm))[:, None] / 2
    uneven = [_uneven(body.seed, key, z_mm) for key in range(3)]
    push = _push_mm(body, level) * (1 + 0.12 * uneven[0]) / scale
    cavity = inner + push
    muscle, kind, layered = _muscle(template, body, cavity, level, lower)
    muscle = muscle * (1 + 0.1 * uneven[1]) / scale
    fat = _fat_mm(body, level) * (1 + 0.08 * uneven[2]) / scale
    # Fat fills the valleys of the muscle layer: the body's outline is smoother than the muscle's.
    even = ndimage.gaussian_filter1d(muscle, 5.0, axis=1, mode="wrap")
    outer = np.maximum(
        cavity + muscle + LEAST_FAT_MM, hull + push + even + np.maximum(fat, LEAST_FAT_MM)
    )
    outer = ndimage.gaussian_filter1d(outer, 2.0, axis=1, mode="wrap")
    outer = np.maximum(_flattened(body, outer, fat), cavity + muscle + LEAST_FAT_MM)
    return WallTables(
        cavity=cavity.astype(np.float32),
        muscle=(cavity + muscle).astype(np.float32),
        fat=outer.astype(np.float32),
        skin=(outer + body.wall.skin_mm / scale).astype(np.float32),
        kind=kind,
        is_layered=layered,
    )


def _uneven(seed: int, key: int, z_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Smooth standard normal values over directions and heights."""
    field = wave_field((seed, 31 + key), waves=9, wavelength_mm=(70, 260), rms=1.0)
    x, y, z = np.broadcast_arrays(
        SIN * RIDGE_RADIUS_MM, -COS * RIDGE_RADIUS_MM, z_mm[:, None].astype(float)
    )
    return field.at_points(x, y, z)


def _push_mm(body: BodyPlan, level: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How far visceral fat moves the wall of front and flanks: never the back, hardly the chest."""
    front = np.clip((138 - DEGREES) / 60, 0, 1)
    form = 1 + body.vat_form[0] * COS + body.vat_form[1] * np.cos(2 * np.radians(DEGREES))
    height = np.interp(level, [-4, -2, 0.5, 2.2, 4.5], [0.15, 0.85, 1.0, 0.7, 0.05])
    return np.asarray(body.vat_mm * front * form * height)


def _muscle(
    template: Template,
    body: BodyPlan,
    cavity: npt.NDArray[np.float64],
    level: npt.NDArray[np.float64],
    rows: npt.NDArray[np.int_],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Thickness, kind and layering of the muscle layer."""
    wall = body.wall
    rib_share = template.ribbed[rows]
    ribbed = rib_share > 0.5
    rising = np.clip((DEGREES - wall.front_deg) / 22, 0, 1) ** 0.8
    ending = np.clip((wall.back_deg - DEGREES) / 24, 0, 1) ** 0.7
    by_level = np.interp(level, [-4.2, -2.6, -1, 1, 2.5, 4.5], [0.1, 0.7, 1, 0.95, 0.5, 0.2])
    lateral = wall.lateral_mm * rising * ending * by_level
    # On the ribs the flat muscles end one by one: what covers them is thin.
    lateral = lateral * (1 - 0.6 * rib_share)
    from_midline = np.abs(cavity * SIN)
    q = (from_midline - wall.alba_mm / 2) / wall.rectus_width_mm
    is_front = (COS > 0) & (DEGREES < 75)
    bulge = 2.2 * np.sqrt(np.clip(q * (1 - q), 0, 1))
    rectus = np.where(is_front & (q > 0) & (q < 1), wall.rectus_mm * bulge, 0.0)
    rectus = rectus * np.interp(level, [-4, -3, 4, 6], [0.5, 1, 1, 0.4])
    bell = np.exp(-(((DEGREES - 121) / 19) ** 2))
    latissimus = wall.latissimus_mm * bell * np.interp(level, [-0.3, 1.2, 3], [0, 0.55, 1])
    behind = np.clip((DEGREES - 124) / 20, 0, 1) * wall.fascia_mm
    behind = np.broadcast_to(behind, lateral.shape)
    parts = np.stack([lateral, rectus, latissimus, behind, np.full_like(lateral, 1.2)])
    kind = np.full(lateral.shape, Tissue.OBLIQUE, np.uint8)
    kind[np.broadcast_to(wall.back_deg - 4 < DEGREES, kind.shape)] = Tissue.FASCIA
    kind[latissimus >= np.maximum(lateral, 1.5)] = Tissue.WALL_MUSCLE
    kind[ribbed & (rectus < 1.5) & (kind != Tissue.FASCIA)] = Tissue.RIB_LEVEL_MUSCLE
    kind[rectus > np.maximum(lateral, 1.2)] = Tissue.RECTUS
    kind[is_front & (q <= 0)] = Tissue.FASCIA
    layered = (lateral > 7) & (lateral >= LARGEST_LATERAL_SHARE * parts.max(axis=0)) & ~ribbed
    return parts.max(axis=0), kind, layered.astype(np.uint8)


def _fat_mm(body: BodyPlan, level: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Subcutaneous fat: uneven round the body, more at the flanks, less over the spine."""
    wall, turn = body.wall, BIN_ANGLE_RAD[None, :]
    c1, c2, s1, s2, c3, s3 = wall.sat_waves
    form = 1 + c1 * np.cos(turn) + c2 * np.cos(2 * turn) + s1 * np.sin(turn)
    form = form + s2 * np.sin(2 * turn) + c3 * np.cos(3 * turn) + s3 * np.sin(3 * turn)
    form = form + wall.flank * np.exp(-(((DEGREES - 136) / 26) ** 2))
    over_spine = np.exp(-(((180 - DEGREES) / 12) ** 2))
    form = form * (1 - (1 - wall.sat_midline) * over_spine)
    by_level = np.interp(level, [-4, -2, 2, 5], [1.25, 1.15, 0.85, 0.6])
    return np.asarray(np.maximum(wall.sat_mm * form, 0) * by_level)


def _flattened(
    body: BodyPlan, outer: npt.NDArray[np.float64], fat: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The back pressed flat by the couch, as far as its fat gives way."""
    behind = np.maximum(-COS, 1e-3)
    reach = (outer * -COS).max(axis=1, keepdims=True)
    back_fat = fat[:, DEGREES[0] > 140].mean(axis=1, keepdims=True)
    flat = reach - body.wall.flattening * FLAT_SHARE * np.clip(back_fat, 2.0, 45.0)
    return np.asarray(np.where(COS < -0.2, np.minimum(outer, flat / behind), outer))
