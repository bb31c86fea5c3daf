"""Where the vertebrae are: a standard spine, scaled, curved and with four to six lumbar bodies."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

Points = npt.NDArray[np.float64]

THORACIC = tuple(f"T{n}" for n in range(12, 0, -1))
STANDARD_Z_MM = np.concatenate(
    [
        [-380, -96, -68, -35, 0, 36, 70],
        [102, 132, 160.5, 187.5, 213.5, 238.5, 263, 287, 310, 332, 353, 373.5],
        [480],
    ]
)
"""Coccyx end of the range, S1, L5 … L1, T12 … T1, top of the neck; read off whole-torso label maps."""
STANDARD_Y_MM = np.array(
    [120, 20, 7, 1, 0, 2, 6, 12, 17, 21, 23, 25, 25, 23, 20, 14, 7, -3, -14, -70], float
)
STANDARD_S1_Z_MM = -96.0
STANDARD_T12_Z_MM = 102.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SpineForm:
    """What makes one spine differ from the standard one."""

    stature_scale: float
    lordosis: float
    kyphosis: float
    scoliosis_mm: float
    lumbar_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Vertebra:
    """The body of one vertebra."""

    z_low_mm: float
    z_high_mm: float
    centre_lps_mm: tuple[float, float, float]


def z_knots(form: SpineForm) -> tuple[Points, Points]:
    """Standard z and this spine's z at the same landmarks; below L3 the count of bodies stretches it."""
    s1 = STANDARD_S1_Z_MM * (form.lumbar_count - 2.0) / 3.0
    standard = np.array([-380.0, STANDARD_S1_Z_MM, 0.0, 480.0])
    own = np.array([s1 - 284.0, s1, 0.0, 480.0]) * form.stature_scale
    return standard, own


def to_own_z(form: SpineForm, standard_z_mm: npt.ArrayLike) -> Points:
    """This spine's z of a standard z."""
    return np.asarray(np.interp(np.asarray(standard_z_mm, float), *z_knots(form)))


def to_standard_z(form: SpineForm, z_mm: npt.ArrayLike) -> Points:
    """The standard z of this spine's z."""
    standard, own = z_knots(form)
    return np.asarray(np.interp(np.asarray(z_mm, float), own, standard))


def spine_xy(form: SpineForm, z_mm: npt.ArrayLike) -> tuple[Points, Points]:
    """Where the line through the vertebral bodies is at a height."""
    z = np.asarray(z_mm, float)
    standard_z = to_standard_z(form, z)
    y12 = float(np.interp(STANDARD_T12_Z_MM, STANDARD_Z_MM, STANDARD_Y_MM))
    y = np.where(
        STANDARD_Z_MM <= STANDARD_T12_Z_MM,
        STANDARD_Y_MM * form.lordosis,
        y12 * form.lordosis + (STANDARD_Y_MM - y12) * form.kyphosis,
    )
    below = STANDARD_Z_MM < STANDARD_S1_Z_MM
    y[below] = STANDARD_Y_MM[below]
    line = CubicSpline(STANDARD_Z_MM, y, bc_type="natural")
    x = form.scoliosis_mm * np.sin(2 * np.pi * standard_z / 420.0)
    return x, np.asarray(line(standard_z), float)


def tilt_rad(form: SpineForm, z_mm: float) -> float:
    """How far the spine's line leans backwards going up."""
    _, y = spine_xy(form, np.array([z_mm - 8.0, z_mm + 8.0]))
    return float(np.arctan2(y[1] - y[0], 16.0))


def vertebrae(form: SpineForm) -> dict[str, Vertebra]:
    """S1, the lumbar and the thoracic bodies from the lowest up; the middle of L3 is at z = 0."""
    count = form.lumbar_count
    s1 = float(to_own_z(form, STANDARD_S1_Z_MM))
    below = [f"L{n}" for n in range(count, 3, -1)]
    above = ["L3", "L2", "L1", *THORACIC]
    z_below = np.linspace(s1, 0.0, len(below) + 2)[1:-1]
    z_above = to_own_z(form, STANDARD_Z_MM[4 : 4 + len(above)])
    names = ["S1", *below, *above]
    z = np.concatenate([[s1], z_below, z_above])
    pitch = np.gradient(z)
    x, y = spine_xy(form, z)
    filled = np.interp(z, [-40 * form.stature_scale, 150 * form.stature_scale], [0.375, 0.42])
    return {
        name: Vertebra(
            z_low_mm=float(z[i] - pitch[i] * filled[i]),
            z_high_mm=float(z[i] + pitch[i] * filled[i]),
            centre_lps_mm=(float(x[i]), float(y[i]), float(z[i])),
        )
        for i, name in enumerate(names)
    }
