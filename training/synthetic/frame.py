"""The outlines of the trunk, and the map from standard body coordinates to one patient's."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.synthetic.anatomy import Anatomy
from training.synthetic.spine import (
    STANDARD_Y_MM,
    STANDARD_Z_MM,
    spine_xy,
    to_own_z,
    to_standard_z,
)

Points = npt.NDArray[np.float64]

OUTLINE = np.array(
    [
        # standard z, half width, front, back behind the spine's line, fat factor, vat factor, wall
        [480, 55, -112, 72, 0.30, 0.0, 10],
        [420, 58, -92, 66, 0.30, 0.0, 12],
        [385, 88, -82, 66, 0.35, 0.0, 14],
        [360, 132, -88, 72, 0.40, 0.0, 22],
        [330, 146, -104, 74, 0.45, 0.0, 26],
        [287, 146, -122, 68, 0.55, 0.0, 22],
        [213, 146, -130, 62, 0.60, 0.05, 18],
        [160, 148, -130, 61, 0.65, 0.35, 17],
        [102, 145, -122, 62, 0.75, 0.75, 17],
        [50, 139, -106, 66, 0.90, 1.0, 17],
        [0, 136, -96, 69, 1.00, 1.0, 17],
        [-35, 139, -92, 69, 1.08, 0.95, 17],
        [-65, 146, -86, 68, 1.15, 0.8, 16],
        [-110, 152, -80, 64, 1.25, 0.45, 12],
        [-160, 158, -76, 50, 1.30, 0.2, 10],
        [-210, 160, -72, 28, 1.25, 0.0, 10],
        [-280, 150, -66, -15, 1.15, 0.0, 10],
        [-380, 140, -60, -60, 1.00, 0.0, 10],
    ]
)[::-1]
"""Outer side of the muscle wall and ribs; read off label maps and one real CT."""

CAVITY = np.array(
    [
        # standard z, half width of the cavity, front, back behind the spine's line
        [480, 1, -20, -10],
        [376, 2, -20, -10],
        [368, 45, -52, 20],
        [352, 78, -72, 42],
        [330, 106, -92, 44],
        [287, 128, -110, 44],
        [250, 400, -400, 44],
        [102, 400, -400, 40],
        [60, 400, -400, 38],
        [-40, 400, -400, 38],
        [-52, 126, -400, 38],
        [-80, 108, -300, 30],
        [-110, 86, -72, 8],
        [-150, 64, -66, 15],
        [-190, 54, -60, 5],
        [-225, 40, -45, -30],
        [-238, 8, -10, -60],
        [-380, 1, 0, -65],
    ]
)[::-1]
"""What bounds the cavity besides the wall: shoulders, the back muscles' front, pelvis, pelvic floor."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outline:
    """The trunk's outer muscle contour at some heights, one value per height."""

    x_mm: Points
    half_width_mm: Points
    front_mm: Points
    back_mm: Points
    spine_y_mm: Points
    fat: Points
    wall_mm: Points
    standard_z_mm: Points


def outline(anatomy: Anatomy, z_mm: Points) -> Outline:
    """The contour at heights z."""
    standard = to_standard_z(anatomy.spine, z_mm)
    width, front, back, fat, vat, wall = (
        np.interp(standard, OUTLINE[:, 0], OUTLINE[:, i]) for i in range(1, 7)
    )
    x, y = spine_xy(anatomy.spine, z_mm)
    muscle = anatomy.muscle_scale
    return Outline(
        x_mm=np.zeros_like(x) + 0.3 * x,
        half_width_mm=width * anatomy.width_scale + 0.45 * anatomy.vat_mm * vat + 8 * (muscle - 1),
        front_mm=front * anatomy.depth_scale - anatomy.vat_mm * vat,
        back_mm=y + back * (0.82 + 0.18 * muscle),
        spine_y_mm=y,
        fat=fat,
        wall_mm=wall * (0.35 + 0.65 * muscle),
        standard_z_mm=standard,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CavityLimit:
    """The narrowing of the cavity at some heights."""

    half_width_mm: Points
    front_mm: Points
    back_mm: Points


def cavity_limit(anatomy: Anatomy, around: Outline) -> CavityLimit:
    """The cavity's limits besides the wall."""
    width, front, back = (
        np.interp(around.standard_z_mm, CAVITY[:, 0], CAVITY[:, i]) for i in range(1, 4)
    )
    return CavityLimit(
        half_width_mm=width * anatomy.width_scale,
        front_mm=front * anatomy.depth_scale,
        back_mm=around.spine_y_mm + back,
    )


def place(anatomy: Anatomy, points: npt.ArrayLike, *, mobility: float = 0.0) -> Points:
    """Standard body points [..., 3+] in this patient; mobility 1 follows the front wall, 0 the spine.

    Standard points were read off label maps with L3 at the origin; columns after z are kept.
    """
    p = np.array(points, float)
    z = to_own_z(anatomy.spine, p[..., 2])
    around = outline(anatomy, np.atleast_1d(z))
    front = np.interp(p[..., 2], OUTLINE[:, 0], OUTLINE[:, 2]).reshape(z.shape)
    spine_x, spine_y = spine_xy(anatomy.spine, z)
    standard_y = _standard_spine_y(p[..., 2])
    behind_spine = p[..., 1] - standard_y
    forward = (around.front_mm.reshape(z.shape) - spine_y) / np.minimum(front - standard_y, -40.0)
    stretch = 1.0 + mobility * (forward - 1.0)
    y = spine_y + np.where(behind_spine < 0, behind_spine * stretch, behind_spine)
    spread = anatomy.width_scale * (1.0 + 0.3 * mobility * anatomy.vat_mm / 140.0)
    p[..., 0] = p[..., 0] * spread + spine_x * 0.8
    p[..., 1] = y
    p[..., 2] = z
    return p


def _standard_spine_y(standard_z_mm: npt.ArrayLike) -> Points:
    """The spine's line of the standard body."""
    return np.asarray(np.interp(np.asarray(standard_z_mm, float), STANDARD_Z_MM, STANDARD_Y_MM))
