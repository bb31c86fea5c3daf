"""What lies beside the trunk: arms and the couch."""

import numpy as np
import numpy.typing as npt

from training.synthetic.labels import Tissue
from training.templates.arrays import Array, Arrays
from training.templates.body_plan import ArmPlace
from training.templates.patient import Patient
from training.templates.wall_tables import wall_tables

Axes = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]

ARM_BONE_MM, ARM_MARROW_MM = 11.0, 6.0


def set_arms(labels: Array, axes: Axes, patient: Patient, kit: Arrays) -> None:
    """Arms that lie beside the trunk, over air only."""
    if patient.body.arms is not ArmPlace.DOWN:
        return
    rng = np.random.default_rng((patient.body.seed, 61))
    x, y, z = axes
    course, wall = patient.course, patient.body.wall
    skin = wall_tables(patient.template, patient.body, course, z).skin
    quarter = skin.shape[1] // 4
    fat = 3.0 + 0.28 * wall.sat_mm
    gy = kit.put(y.astype(np.float32))[None, :, None]
    for sign, bin_ in ((-1.0, quarter), (1.0, 3 * quarter)):
        thick = (30 + 0.3 * wall.sat_mm) * rng.uniform(0.85, 1.15)
        narrow = np.interp(course.at(course.level, z), [-4, 0, 6], [0.72, 0.85, 1.1])
        radius = thick * narrow
        middle = sign * (skin[:, bin_] * course.at(course.width, z) + radius + rng.uniform(1, 22))
        behind = rng.uniform(-5, 40) + rng.normal(0, 0.05) * z
        gx = kit.put((x[None, :] - middle[:, None]).astype(np.float32))[:, None, :]
        far2 = gx**2 + (gy - kit.put(behind.astype(np.float32))[:, None, None]) ** 2
        for tissue, limit in (
            (Tissue.ARM_FAT, radius),
            (Tissue.ARM_MUSCLE, np.maximum(radius - fat, 14.0)),
            (Tissue.ARM_BONE, np.full(len(z), ARM_BONE_MM)),
            (Tissue.ARM_FAT, np.full(len(z), ARM_MARROW_MM)),
        ):
            within = far2 < kit.put((limit**2).astype(np.float32))[:, None, None]
            beside = (labels == int(Tissue.AIR)) | (labels >= int(Tissue.ARM_MUSCLE)) & (
                labels <= int(Tissue.ARM_BONE)
            )
            labels[within & beside] = int(tissue)


def set_couch(labels: Array, axes: Axes, patient: Patient, kit: Arrays) -> None:
    """A board of some curve and thickness with shells above and below, over air only; at times a mattress on it."""
    rng = np.random.default_rng((patient.body.couch_seed, 62))
    x, y, _ = axes
    top = patient.back_mm + rng.uniform(0.0, 14.0)
    curve = rng.uniform(0.0, 1 / 700) if rng.random() < 0.8 else 0.0
    middle, half, thick = rng.normal(0, 15), rng.uniform(190, 270), rng.uniform(12, 60)
    upper, lower = rng.uniform(1.2, 3.5), rng.uniform(1.2, 4.0)
    is_hollow, has_pad = rng.random() < 0.35, rng.random() < 0.4
    across = (x - middle)[None, :]
    # A curved couch rises at its sides; a body wider than it rests on the middle.
    below = y[:, None] - (top - curve / 2 * across**2)
    on = np.abs(across) < half
    pad = on & (below > -8) & (below <= 0) & has_pad
    shell = on & (((below > 0) & (below < upper)) | ((below > thick - lower) & (below < thick)))
    filling = on & (below >= upper) & (below <= thick - lower) & (not is_hollow)
    air = labels == int(Tissue.AIR)
    for mask, tissue in ((pad, Tissue.TABLE), (filling, Tissue.TABLE), (shell, Tissue.TABLE_SHELL)):
        labels[air & kit.put(np.ascontiguousarray(mask))[None]] = int(tissue)
