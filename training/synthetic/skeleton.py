"""Bones: vertebrae with their processes, discs, ribs, sternum, pelvis and femora."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from training.synthetic.anatomy import Anatomy
from training.synthetic.frame import place
from training.synthetic.labels import Tissue
from training.synthetic.shapes import (
    Column,
    Ellipsoid,
    Points,
    Shape,
    both_sides,
    shell,
    smooth_path,
    tube,
)
from training.synthetic.spine import spine_xy, tilt_rad, to_own_z, to_standard_z
from training.synthetic.wall import ANGLE_RAD, rings

IN_BODY = frozenset(Tissue) - {Tissue.AIR, Tissue.SKIN}

RIB_DROP_MM = (40, 75, 100, 115, 125, 132, 136, 136, 128, 102, 84, 58)
RIB_END_DEGREES = (158, 155, 152, 150, 148, 146, 142, 132, 118, 104, 72, 46)
"""How far each rib falls from its head to its tip, and how far round the trunk it reaches."""


def skeleton(anatomy: Anatomy) -> Iterator[Shape]:
    """Every bone, in painting order."""
    yield from _ribs(anatomy)
    yield from _sternum_and_shoulder(anatomy)
    yield from _spine(anatomy)
    yield from _pelvis(anatomy)
    yield from _femora(anatomy)


def _body_radii_mm(anatomy: Anatomy, z_mm: float) -> tuple[float, float]:
    """Half width and half depth of a vertebral body."""
    standard = float(to_standard_z(anatomy.spine, z_mm))
    wide = np.interp(standard, [-96, 0, 102, 240, 373], [27, 24.5, 20.5, 15.5, 14.5])
    deep = np.interp(standard, [-96, 0, 102, 240, 373], [16.5, 17.5, 16, 14.5, 9.5])
    scale = 0.5 * anatomy.spine.stature_scale + 0.5 * anatomy.width_scale
    return float(wide) * scale, float(deep) * scale


def _spine(anatomy: Anatomy) -> Iterator[Shape]:
    """Arches, bodies, discs, and the canal through them all."""
    names = list(anatomy.vertebrae)
    for name in names:
        yield from _arch(anatomy, name)
    yield _canal(anatomy)
    for low, high in pairwise(names):
        a = np.array(anatomy.vertebrae[low].centre_lps_mm)
        b = np.array(anatomy.vertebrae[high].centre_lps_mm)
        z_low, z_high = anatomy.vertebrae[low].z_high_mm, anatomy.vertebrae[high].z_low_mm
        middle = a + (b - a) * ((z_low + z_high) / 2 - a[2]) / (b[2] - a[2])
        wide, deep = _body_radii_mm(anatomy, float(middle[2]))
        yield Ellipsoid(
            tissue=Tissue.DISC,
            centre=middle,
            radii=np.array([wide * 1.03, deep * 1.03, (z_high - z_low) / 2 + 1.5]),
            axes=_tilted(anatomy, float(middle[2])),
            squareness=4,
        )
    for name in names:
        vertebra = anatomy.vertebrae[name]
        wide, deep = _body_radii_mm(anatomy, vertebra.centre_lps_mm[2])
        body = Ellipsoid(
            tissue=Tissue.VERTEBRA_CORTICAL,
            centre=np.array(vertebra.centre_lps_mm),
            radii=np.array([wide, deep, (vertebra.z_high_mm - vertebra.z_low_mm) / 2]),
            axes=_tilted(anatomy, vertebra.centre_lps_mm[2]),
            squareness=4,
        )
        yield body
        yield body.shrunk(1.3, Tissue.VERTEBRA_TRABECULAR)


def _tilted(anatomy: Anatomy, z_mm: float) -> Points:
    """Axes of a vertebra that follows the spine's line."""
    angle = tilt_rad(anatomy.spine, z_mm)
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _arch(anatomy: Anatomy, name: str) -> Iterator[Shape]:
    """Pedicles, laminae, spinous, transverse and joint processes."""
    vertebra = anatomy.vertebrae[name]
    centre = np.array(vertebra.centre_lps_mm)
    wide, deep = _body_radii_mm(anatomy, float(centre[2]))
    axes = _tilted(anatomy, float(centre[2]))
    lumbar = not name.startswith("T")
    behind = deep + 24 if lumbar else deep + 20
    tip = (behind + (26 if lumbar else 22), -13 if lumbar else -26)
    reach = wide + (21 if name != "S1" else 8) if lumbar else wide + 17
    half = (vertebra.z_high_mm - vertebra.z_low_mm) / 2
    heights = (-1.0, -7.0, -14.0) if lumbar else (-5.0, -12.0)
    middle: list[list[list[float]]] = [
        [
            [0, behind - 3, z, 4.5],
            [0, (behind + tip[0]) / 2, (tip[1] + z) / 2, 3.2],
            [0, tip[0], tip[1] + z + 6, 4.0],
        ]
        for z in heights
    ]
    side = [
        [[wide * 0.62, deep - 3, half * 0.35, 5.5], [wide * 0.66, deep + 10, half * 0.3, 5.5]],
        [
            [wide * 0.66, deep + 10, half * 0.1, 5.0],
            [wide * 0.4, deep + 19, -4, 4.5],
            [0, behind, -6, 4],
        ],
        [
            [wide * 0.66, deep + 10, 2, 5.5],
            [wide + 6, deep + 11, 2, 4.2],
            [reach, deep + 13, 4 if lumbar else 0, 3.8],
        ],
        [[wide * 0.75, deep + 16, half, 5.5], [wide * 0.68, deep + 17, -half - 6, 6.0]],
    ]
    for part in middle:
        yield from _in_frame(np.array(part, float), centre, axes)
    for part in side:
        points = np.array(part, float)
        for own in both_sides(points):
            yield from _in_frame(own, centre, axes)


def _in_frame(points: Points, centre: Points, axes: Points) -> Iterator[Shape]:
    """Arch bone along points given in a vertebra's own frame."""
    path = points.copy()
    path[:, :3] = points[:, :3] @ axes + centre
    yield from tube(Tissue.VERTEBRA_ARCH, path)


def _canal(anatomy: Anatomy) -> Shape:
    """The spinal canal from the sacrum to the neck."""
    low, high = anatomy.vertebrae["S1"].z_low_mm - 10, float(to_own_z(anatomy.spine, 478.0))
    z = np.arange(low, high, 8.0)
    x, y = spine_xy(anatomy.spine, z)
    deep = np.array([_body_radii_mm(anatomy, float(v))[1] for v in z])
    one = np.ones_like(z)
    return Column(
        tissue=Tissue.CANAL,
        knots=np.stack([z, x, y + deep + 9.5, 11.0 * one, 8.5 * one, 0 * one], 1),
    )


def _ribs(anatomy: Anatomy) -> Iterator[Shape]:
    """Twelve pairs of tubes round the chest, and the cartilages of the first ten."""
    jitter = np.random.default_rng((anatomy.detail_seed, 31)).normal(0, 3.0, (12, 2))
    for n in range(1, 13):
        head = anatomy.vertebrae[f"T{n}"].centre_lps_mm
        for sign in (-1.0, 1.0):
            turn = np.radians(np.linspace(0, RIB_END_DEGREES[n - 1], 15))
            drop = (RIB_DROP_MM[n - 1] + jitter[n - 1, int(sign > 0)]) * anatomy.spine.stature_scale
            z = head[2] + 6 - drop * np.linspace(0, 1, 15) ** 1.15
            path = _along_wall(anatomy, sign, turn, z, head)
            path[:, 3] *= 0.85 if n > 10 else 1.0
            yield from shell(
                smooth_path(path, 14.0),
                Tissue.RIB_CORTICAL,
                Tissue.RIB_TRABECULAR,
                by_mm=1.4,
                over=IN_BODY,
            )
            if n <= 9:
                yield from _cartilage(anatomy, n, path[-1])


def _along_wall(
    anatomy: Anatomy, sign: float, turn: Points, z: Points, head: tuple[float, float, float]
) -> Points:
    """Points inside the chest wall at angles from the back, starting beside a vertebra."""
    ring = rings(anatomy, z)
    column = np.argmin(
        np.abs(np.angle(np.exp(1j * (ANGLE_RAD[None] - sign * (np.pi - turn)[:, None])))), axis=1
    )
    inset = np.interp(np.degrees(turn), [0, 25, 60, 90, 180], [30, 22, 13, 11, 11])
    radius = ring.fascia_mm[np.arange(len(z)), column] - inset
    x = ring.around.x_mm + sign * np.sin(turn) * radius
    y = ring.centre_y_mm + np.cos(turn) * radius
    path = np.stack([x, y, z, np.full(len(z), 5.6)], 1)
    near = np.abs(x - head[0]) < 34
    path = path[~near]
    start = np.array([[head[0] + sign * 19, head[1] + 16, z[0], 4.5]])
    return np.concatenate([start, path])


def _cartilage(anatomy: Anatomy, n: int, tip: Points) -> Iterator[Shape]:
    """From a rib's tip up to the sternum's edge."""
    z = float(to_own_z(anatomy.spine, np.interp(n, [1, 7, 9], [322, 182, 165])))
    ring = rings(anatomy, np.array([z, (z + tip[2]) / 2]))
    front = ring.around.front_mm + 11
    sign = np.sign(tip[0])
    path = np.array(
        [
            [tip[0], tip[1], tip[2], 5.6],
            [tip[0] * 0.55 + sign * 8, front[1] + 4, tip[2] * 0.7 + z * 0.3 - 4, 5.6],
            [sign * 20, front[0], z, 5.6],
        ]
    )
    yield from tube(Tissue.COSTAL_CARTILAGE, smooth_path(path, 14.0), over=IN_BODY)


def _sternum_and_shoulder(anatomy: Anatomy) -> Iterator[Shape]:
    """Sternum, clavicles and shoulder blades."""
    z = to_own_z(anatomy.spine, np.linspace(178, 320, 8))
    ring = rings(anatomy, z)
    wide = np.array([8, 15, 15, 16, 17, 18, 24, 28.0])
    knots = np.stack(
        [z, ring.around.x_mm, ring.around.front_mm + 10, wide, np.full(8, 6.0), np.zeros(8)], 1
    )
    sternum = Column(tissue=Tissue.RIB_CORTICAL, knots=knots, over=IN_BODY)
    yield sternum
    yield sternum.shrunk(1.5, Tissue.RIB_TRABECULAR)
    shoulder: list[list[list[float]]] = [
        [[14, -82, 322, 6.5], [60, -80, 338, 6], [105, -45, 350, 6], [128, -18, 352, 6]],
        [[120, 25, 348, 9], [95, 55, 340, 5], [66, 62, 330, 4]],
        [[126, 28, 330, 7], [98, 58, 312, 3], [70, 66, 306, 3.5]],
        [[124, 34, 308, 5], [98, 60, 286, 3], [76, 67, 280, 3.5]],
        [[112, 46, 280, 4], [92, 63, 250, 3.5]],
    ]
    for bone in shoulder:
        for points in both_sides(bone):
            path = smooth_path(place(anatomy, points), 10.0)
            yield from shell(
                path, Tissue.RIB_CORTICAL, Tissue.RIB_TRABECULAR, by_mm=1.5, over=IN_BODY
            )


def _pelvis(anatomy: Anatomy) -> Iterator[Shape]:
    """Sacrum and hip bones."""
    sacrum: list[list[float]] = [
        [0, 8, -8, 17],
        [0, 30, -32, 15],
        [0, 46, -56, 12],
        [0, 52, -80, 9],
        [0, 40, -108, 5],
    ]
    wing: list[list[float]] = [[26, 14, -4, 13], [30, 34, -30, 13], [22, 46, -52, 10]]
    hips = [side for path in (wing, *_hip_paths()) for side in both_sides(path)]
    for points in (np.array(sacrum, float), *hips):
        yield from shell(
            smooth_path(_from_sacrum(anatomy, points), 10.0),
            Tissue.PELVIS_CORTICAL,
            Tissue.PELVIS_TRABECULAR,
            by_mm=1.7,
            over=IN_BODY,
        )


def _from_sacrum(anatomy: Anatomy, points: npt.ArrayLike) -> Points:
    """Points given from the first sacral body, in this patient's size."""
    scale = 0.5 * anatomy.spine.stature_scale + 0.5 * anatomy.width_scale
    path = np.array(points, float) * scale
    path[:, :3] += np.array(anatomy.vertebrae["S1"].centre_lps_mm)
    return path


def _femora(anatomy: Anatomy) -> Iterator[Shape]:
    """Necks, shafts and heads."""
    shaft: list[list[float]] = [
        [112, -8, -104, 16],
        [126, -8, -122, 17],
        [122, -10, -150, 15],
        [112, -14, -215, 14],
    ]
    head: list[list[float]] = [[88, -20, -92, 23], [91, -19, -93, 23]]
    neck: list[list[float]] = [[90, -19, -93, 15], [116, -10, -112, 15]]
    for part, cortex_mm in ((neck, 2.5), (shaft, 4.0), (head, 1.5)):
        for points in both_sides(part):
            yield from shell(
                smooth_path(_from_sacrum(anatomy, points), 12.0),
                Tissue.FEMUR_CORTICAL,
                Tissue.FEMUR_TRABECULAR,
                by_mm=cortex_mm,
                over=IN_BODY,
            )


def _hip_paths() -> list[list[list[float]]]:
    """Left hip bone from the first sacral body: rows of the iliac wing, then the rami."""
    crest, rows = 40.0, []
    for k in range(17):
        t = k / 16
        z = crest - 5.75 * k
        back = [44 - 8 * t, 52 - 16 * t, z - 14, 7 + 2 * t]
        bend = [92 - 18 * t, 26 - 14 * t, z - 2 * t, 5.0 + 3 * t]
        front = [124 - 32 * t, -24 - 4 * t, z - 12 - 6 * t, 5.5 + 4 * t]
        rows.append([back, bend, front] if k else [bend, [112, 4, z - 2, 6]])
    rows += [
        [[92, -18, -68, 16], [98, -16, -92, 14], [86, -8, -118, 13]],
        [[76, -28, -92, 12], [40, -60, -92, 8], [10, -64, -104, 9]],
        [[84, -2, -112, 12], [66, 14, -140, 12], [58, 8, -150, 12]],
        [[58, 0, -148, 8], [30, -34, -132, 7], [10, -58, -118, 8]],
    ]
    return rows
