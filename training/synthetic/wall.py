"""The layers of the trunk: skin, subcutaneous fat, muscle wall, cavity, diaphragm and lungs."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from training.synthetic.anatomy import Anatomy
from training.synthetic.fields import wave_field
from training.synthetic.frame import Outline, cavity_limit, outline
from training.synthetic.labels import Labels, Tissue
from training.synthetic.spine import to_own_z

Array = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

BINS = 1440
"""Directions round the trunk's axis for which the contours are tabulated."""
ANGLE_RAD = (np.arange(BINS) + 0.5) / BINS * 2 * np.pi - np.pi
"""0 is the front, positive to the patient's left."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rings:
    """Radii [height, direction] of the trunk's layers, from the outside in."""

    around: Outline
    centre_y_mm: Points
    skin_mm: Array
    fat_mm: Array
    fascia_mm: Array
    cavity_mm: Array


def _superellipse(half_width: Points, half_depth: Points, exponent: Points | float) -> Points:
    """Radius [height, direction]."""
    c = np.abs(np.sin(ANGLE_RAD))[None] / half_width[:, None]
    s = np.abs(np.cos(ANGLE_RAD))[None] / half_depth[:, None]
    return np.asarray((c**exponent + s**exponent) ** (-1.0 / exponent))


def rings(anatomy: Anatomy, z_mm: Points) -> Rings:
    """The layers at heights z."""
    around = outline(anatomy, z_mm)
    centre_y = (around.front_mm + around.back_mm) / 2
    exponent = np.where(np.abs(ANGLE_RAD) > np.pi / 2, 2.7, 2.3)[None]
    fascia = _superellipse(around.half_width_mm, (around.back_mm - around.front_mm) / 2, exponent)
    groove = np.exp(-(((np.pi - np.abs(ANGLE_RAD)) / 0.16) ** 2))[None]
    fascia -= 7.0 * anatomy.muscle_scale * groove * _between(around.standard_z_mm, -120, 300)
    fat = _fat_mm(anatomy, around)
    return Rings(
        around=around,
        centre_y_mm=centre_y,
        skin_mm=(fascia + fat + anatomy.skin_mm).astype(np.float32),
        fat_mm=(fascia + fat).astype(np.float32),
        fascia_mm=fascia.astype(np.float32),
        cavity_mm=(fascia - _wall_mm(anatomy, around, fascia)).astype(np.float32),
    )


def _between(standard_z: Points, low: float, high: float) -> Points:
    """1 between two heights, fading over 40 mm; [height, 1]."""
    rise = np.clip((standard_z - low) / 40, 0, 1) * np.clip((high - standard_z) / 40, 0, 1)
    return np.asarray(rise[:, None])


def _fat_mm(anatomy: Anatomy, around: Outline) -> Points:
    """Thickness [height, direction] of the subcutaneous fat."""
    turn = np.degrees(np.abs(ANGLE_RAD))
    side, back = anatomy.sat_side, anatomy.sat_back
    shape = np.interp(
        turn,
        [0, 40, 90, 125, 150, 172, 180],
        [anatomy.sat_front, anatomy.sat_front, side, back, back * 1.1, back * 0.7, back * 0.55],
    )
    hips = np.interp(turn, [30, 90, 150], [1.0, anatomy.sat_hip, anatomy.sat_hip])
    low = np.clip((-20 - around.standard_z_mm) / 70, 0, 1)[:, None]
    factor = shape[None] * (1 + low * (hips[None] - 1)) * around.fat[:, None]
    uneven = np.random.default_rng((anatomy.detail_seed, 11)).normal(0, 0.06, 6)
    for n in range(3):
        factor = factor * (
            1
            + uneven[2 * n] * np.cos((n + 1) * ANGLE_RAD)
            + uneven[2 * n + 1] * np.sin((n + 1) * ANGLE_RAD)
        )
    smooth = ndimage.gaussian_filter1d(factor, BINS / 60, axis=1, mode="wrap")
    return np.asarray(np.maximum(anatomy.sat_mm * smooth, 2.5))


def _wall_mm(anatomy: Anatomy, around: Outline, fascia: Points) -> Points:
    """Thickness [height, direction] of the muscle wall, ribs included."""
    turn = np.degrees(np.abs(ANGLE_RAD))[None]
    flank = np.clip((turn - 42) / 20, 0, 1) * np.clip((150 - turn) / 22, 0, 1)
    x = np.abs(np.sin(ANGLE_RAD))[None] * fascia
    half_rectus = rectus_half_width_mm(anatomy)
    q = np.clip((x - anatomy.alba_mm / 2) / half_rectus, 0, 1)
    belly = np.where(
        turn < 70, 11.5 * anatomy.muscle_scale * np.sqrt(np.clip(4 * q * (1 - q), 0, 1)), 0
    )
    abdomen = np.maximum(np.maximum(belly, 3.0), around.wall_mm[:, None] * flank)
    abdomen = np.maximum(abdomen, np.where(turn > 128, 7.0, 0.0))
    chest = around.wall_mm[:, None] * np.interp(turn, [0, 25, 60, 180], [0.75, 0.8, 1.0, 1.0])
    high = np.clip((around.standard_z_mm - 60) / 45, 0, 1)[:, None]
    wall = abdomen * (1 - high) + chest * high
    return np.asarray(ndimage.gaussian_filter1d(wall, BINS / 360, axis=1, mode="wrap"))


def rectus_half_width_mm(anatomy: Anatomy) -> float:
    """From the linea alba to the rectus's outer edge."""
    return 62.0 * anatomy.width_scale


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slab:
    """Body coordinates of a stack of slices: axes, and the warped x and y of every point."""

    x_mm: Array
    y_mm: Array
    z_mm: Array
    warped_x_mm: Array
    warped_y_mm: Array


def layers(anatomy: Anatomy, slab: Slab) -> Labels:
    """Labels [slice, row, column] before any muscle, bone or organ is set in."""
    z = slab.z_mm.astype(float)
    ring = rings(anatomy, z)
    dx = slab.warped_x_mm - ring.around.x_mm.astype(np.float32)[:, None, None]
    dy = slab.warped_y_mm - ring.centre_y_mm.astype(np.float32)[:, None, None]
    radius = np.sqrt(dx * dx + dy * dy)
    direction = (np.arctan2(dx, -dy) + np.float32(np.pi)) * np.float32(BINS / (2 * np.pi))
    at = np.minimum(direction.astype(np.int32), BINS - 1)
    at += (np.arange(len(z), dtype=np.int32) * BINS)[:, None, None]
    skin, fat, fascia, cavity = (
        t.ravel()[at] for t in (ring.skin_mm, ring.fat_mm, ring.fascia_mm, ring.cavity_mm)
    )
    labels = np.zeros(radius.shape, np.uint8)
    labels[radius < skin] = Tissue.SKIN
    labels[radius < fat] = Tissue.SUBCUTANEOUS_FAT
    within = radius < fascia
    turn = np.abs(np.degrees(ANGLE_RAD)).astype(np.float32)[at % BINS]
    wall_depth = (fascia - radius) / np.maximum(fascia - cavity, 0.1)
    hollow = (radius < cavity) & _limited(anatomy, ring, dx, slab.warped_y_mm)
    _muscle_ring(anatomy, slab, ring, labels, within & ~hollow, (dx, turn, wall_depth))
    labels[hollow] = Tissue.VISCERAL_FAT
    _thorax(anatomy, slab, labels, hollow, (dx, turn, radius / np.maximum(cavity, 1.0)))
    _fork(anatomy, ring, labels, dx)
    return labels


def _fork(anatomy: Anatomy, ring: Rings, labels: Labels, dx: Array) -> None:
    """Air between the thighs below the pelvic floor."""
    gap = (0.16 * (-242.0 - ring.around.standard_z_mm)).astype(np.float32)[:, None, None]
    side = np.abs(dx)
    trunk = labels > Tissue.AIR
    for reach, tissue in (
        (8.0 + 0.35 * anatomy.sat_mm, Tissue.SUBCUTANEOUS_FAT),
        (anatomy.skin_mm, Tissue.SKIN),
        (0.0, Tissue.AIR),
    ):
        labels[trunk & (gap > 0) & (side < gap + np.float32(reach))] = tissue


def infiltrate(anatomy: Anatomy, slab: Slab, labels: Labels) -> None:
    """Streaks of fat within the back muscles, by the degree of myosteatosis, in place."""
    streak = wave_field(
        (anatomy.detail_seed, 24), waves=24, wavelength_mm=(12, 40), rms=1.0
    ).on_grid(slab.x_mm, slab.y_mm, slab.z_mm)
    amount = wave_field(
        (anatomy.detail_seed, 25), waves=10, wavelength_mm=(50, 140), rms=1.0
    ).on_grid(slab.x_mm, slab.y_mm, slab.z_mm)
    thin = np.abs(streak) < 0.10 * anatomy.myosteatosis * np.clip(amount + 0.7, 0, 2)
    labels[(labels == Tissue.ERECTOR_SPINAE) & thin] = Tissue.INTERMUSCULAR_FAT


def _limited(anatomy: Anatomy, ring: Rings, dx: Array, y: Array) -> Mask:
    """Inside the cavity's limits besides the wall."""
    limit = cavity_limit(anatomy, ring.around)

    def per_slice(values: Points) -> Array:
        return np.asarray(values, np.float32)[:, None, None]

    middle = per_slice((limit.front_mm + limit.back_mm) / 2)
    half = per_slice((limit.back_mm - limit.front_mm) / 2)
    ellipse = (dx / per_slice(limit.half_width_mm)) ** 2 + ((y - middle) / half) ** 4 < 1
    return np.asarray(ellipse & (y < per_slice(limit.back_mm)))


def _muscle_ring(
    anatomy: Anatomy,
    slab: Slab,
    ring: Rings,
    labels: Labels,
    where: Mask,
    polar: tuple[Array, Array, Array],
) -> None:
    """Everything between the subcutaneous fat and the cavity."""
    dx, turn, depth = polar
    standard = ring.around.standard_z_mm.astype(np.float32)[:, None, None]
    streak = wave_field(
        (anatomy.detail_seed, 21), waves=24, wavelength_mm=(14, 45), rms=1.0
    ).on_grid(slab.x_mm, slab.y_mm, slab.z_mm)
    side = np.abs(dx)
    edge = rectus_half_width_mm(anatomy) + anatomy.alba_mm / 2
    kind = np.full(labels.shape, int(Tissue.OBLIQUE), np.uint8)
    kind[(turn < 75) & (side < edge)] = Tissue.RECTUS
    kind[(turn < 75) & (side < anatomy.alba_mm / 2)] = Tissue.FASCIA
    kind[np.broadcast_to(standard > 82, kind.shape) | (turn > 135)] = Tissue.WALL_MUSCLE
    sheets = (np.abs(depth - 0.36) < 0.05) | (np.abs(depth - 0.68) < 0.05)
    gap = sheets & (turn > 48) & (streak > 0.9 - 1.6 * anatomy.myosteatosis)
    kind[gap & (depth < 1)] = Tissue.INTERMUSCULAR_FAT
    kind[(depth > 1) & (standard > -45)] = Tissue.INTERMUSCULAR_FAT
    kind[(depth > 1) & (standard > 260)] = Tissue.WALL_MUSCLE
    hip = (standard < -50) & ((turn > 48) | (depth > 1))
    kind[hip] = Tissue.GLUTEAL
    planes = wave_field(
        (anatomy.detail_seed, 23), waves=12, wavelength_mm=(45, 120), rms=1.0
    ).on_grid(slab.x_mm, slab.y_mm, slab.z_mm)
    kind[hip & (np.abs(planes) < 0.04 + 0.05 * anatomy.myosteatosis)] = Tissue.INTERMUSCULAR_FAT
    labels[where] = kind[where]


def diaphragm_z_mm(anatomy: Anatomy, polar: tuple[Array, Array, Array]) -> Array:
    """Height of the diaphragm over points given by x, turn and the fraction of the way to the wall."""
    dx, turn, fraction = polar
    top_right, top_left = to_own_z(anatomy.spine, np.array([168.0, 158.0]))
    domes = np.where(dx < 0, np.float32(top_right), np.float32(top_left))
    top = domes - 16 * np.exp(-((dx / 38) ** 2))
    deep = np.interp(turn.ravel(), [0, 60, 120, 180], [40, 72, 92, 88]).reshape(turn.shape)
    drop = deep.astype(np.float32) * np.float32(anatomy.spine.stature_scale)
    return np.asarray(top - drop * np.minimum(fraction, 1.0) ** 8, np.float32)


def _thorax(
    anatomy: Anatomy,
    slab: Slab,
    labels: Labels,
    hollow: Mask,
    polar: tuple[Array, Array, Array],
) -> None:
    """Diaphragm and what is above it."""
    lowest = float(to_own_z(anatomy.spine, 60.0))
    first = int(np.searchsorted(slab.z_mm, lowest))
    if first >= len(slab.z_mm):
        return
    part = slice(first, None)
    height = slab.z_mm[part, None, None] - diaphragm_z_mm(
        anatomy, (polar[0][part], polar[1][part], polar[2][part])
    )
    inside = hollow[part]
    target = labels[part]
    target[inside & (height > -2.5)] = Tissue.DIAPHRAGM
    lung = inside & (height > 0)
    vessels = wave_field(
        (anatomy.detail_seed, 22), waves=24, wavelength_mm=(12, 40), rms=1.0
    ).on_grid(slab.x_mm, slab.y_mm, slab.z_mm[part])
    target[lung] = Tissue.LUNG
    target[lung & (vessels > 2.1)] = Tissue.AIRWAY_VESSEL
