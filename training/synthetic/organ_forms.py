"""How an organ is made: which tissues it may push aside, and standard forms placed in a patient."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.synthetic.anatomy import Anatomy
from training.synthetic.frame import place
from training.synthetic.labels import ORGANS, Tissue
from training.synthetic.shapes import Ellipsoid, Hollow, Over, Points, smooth_path

ABDOMEN: Over = frozenset(
    {
        Tissue.VISCERAL_FAT,
        Tissue.BOWEL_WALL,
        Tissue.BOWEL_CONTENT,
        Tissue.BOWEL_GAS,
        Tissue.FAECES,
        Tissue.RENAL_PELVIS,
        Tissue.ARTERY,
        Tissue.VEIN,
        Tissue.MESENTERIC_VESSEL,
        *(tissue for tissues in ORGANS.values() for tissue in tissues),
    }
)
"""What an abdominal organ may push aside."""

CHEST: Over = frozenset(
    {
        Tissue.LUNG,
        Tissue.AIRWAY_VESSEL,
        Tissue.MEDIASTINAL_FAT,
        Tissue.HEART,
        Tissue.ARTERY,
        Tissue.VEIN,
        Tissue.DIAPHRAGM,
        Tissue.WALL_MUSCLE,
        Tissue.AORTA,
    }
)
TRUNK: Over = ABDOMEN | CHEST


def organ_path(anatomy: Anatomy, name: str, points: npt.ArrayLike, *, mobility: float) -> Points:
    """Standard points x, y, z, radius of an organ, in this patient, smooth."""
    p = np.array(points, float)
    shift, scale = anatomy.organ_shift_mm.get(name, (0, 0, 0)), anatomy.organ_scale.get(name, 1.0)
    middle = p[:, :3].mean(0)
    p[:, :3] = middle + (p[:, :3] - middle) * (0.5 + 0.5 * scale) + shift
    p[:, 3] *= scale
    return smooth_path(place(anatomy, p, mobility=mobility), max(6.0, float(p[:, 3].min()) * 0.8))


def turned(degrees_xyz: tuple[float, float, float]) -> Points:
    """Axes turned about x, then y, then z."""
    a, b, c = np.radians(degrees_xyz)
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(rz @ ry @ rx).T


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganForm:
    """A standard ellipsoid with dents."""

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    turn_degrees: tuple[float, float, float] = (0.0, 0.0, 0.0)
    mobility: float = 0.0
    dents: tuple[tuple[tuple[float, float, float], tuple[float, float, float], float], ...] = ()
    """Direction of the ball, a point on the dented surface from the centre, radius of the ball."""


def organ_ellipsoid(
    anatomy: Anatomy, name: str, tissue: Tissue, form: OrganForm, *, over: Over = ABDOMEN
) -> Ellipsoid:
    """A standard ellipsoid in this patient, with the organ's own shift and size."""
    shifted = np.array(form.centre) + anatomy.organ_shift_mm.get(name, (0, 0, 0))
    size = anatomy.organ_scale.get(name, 1.0) * (0.4 + 0.6 * anatomy.spine.stature_scale)
    middle = place(anatomy, shifted, mobility=form.mobility)
    return Ellipsoid(
        tissue=tissue,
        centre=middle,
        radii=np.array(form.radii) * size,
        axes=turned(form.turn_degrees),
        over=over,
        hollows=tuple(
            Hollow(normal=np.array(n), point=middle + np.array(at) * size, radius_mm=r * size)
            for n, at, r in form.dents
        ),
    )
