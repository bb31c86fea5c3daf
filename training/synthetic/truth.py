"""What is true about a patient, computed from the shapes at fine sampling, never from painted voxels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import erf

from inference.domain.labelmap import FLARE22_ORGANS, Structure
from training.synthetic.anatomy import Anatomy
from training.synthetic.frame import outline
from training.synthetic.labels import COMPARTMENT_LUT, COMPARTMENTS, ORGAN_LUT
from training.synthetic.painting import Acquisition
from training.synthetic.torso import Grid, label_map
from training.synthetic.wall import rings

PLANE_STEP_MM = 0.2
"""A quarter of the finest usual pixel (0.8 mm)."""
SLAB_STEP_MM = (0.75, 0.75, 0.75)
ORGAN_STEP_MM = 0.75
"""A quarter of a 3 mm grid."""

WINDOWS_HU: Mapping[Structure, tuple[int, tuple[float, float]]] = {
    Structure.SKELETAL_MUSCLE: (1, (-29.0, 150.0)),
    Structure.SUBCUTANEOUS_FAT: (2, (-190.0, -30.0)),
    Structure.VISCERAL_FAT: (3, (-150.0, -50.0)),
    Structure.INTERMUSCULAR_FAT: (1, (-190.0, -30.0)),
}
"""Tissue → its compartment and HU window (ends included), as the clinical definitions have it."""
LOW_DENSITY_HU = (-29.0, 29.0)
NORMAL_DENSITY_HU = (30.0, 150.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueTruth:
    """What measuring one tissue should give, in expectation over the noise."""

    area_cm2: float
    """In the plane through the middle of L3."""
    mean_hu: float
    sd_hu: float
    volume_ml: float
    """In the slab over the L3 extent."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth:
    """Areas at the middle of L3, volumes over the L3 extent."""

    l3_z_mm: float
    l3_extent_mm: tuple[float, float]
    compartment_area_cm2: Mapping[int, float]
    """By COMPARTMENT_LUT's numbers, whatever the HU."""
    compartment_volume_ml: Mapping[int, float]
    tissues: Mapping[Structure, TissueTruth]
    """By HU window; only meant for scans without texture, blur or partial volume."""
    low_density_muscle_cm2: float
    normal_density_muscle_cm2: float


def truncated_normal(
    mean_hu: float, sd_hu: float, window_hu: tuple[float, float]
) -> tuple[float, float, float]:
    """Mass of a normal distribution in a window, and the mean and variance of what is inside.

    Voxels are whole HU, so the window's ends reach half a unit further.
    """
    low, high = window_hu[0] - 0.5, window_hu[1] + 0.5
    if sd_hu <= 0:
        return float(low <= mean_hu < high), mean_hu, 0.0
    a, b = (low - mean_hu) / sd_hu, (high - mean_hu) / sd_hu
    mass = 0.5 * float(erf(b / np.sqrt(2)) - erf(a / np.sqrt(2)))
    if mass < 1e-12:
        return 0.0, float(np.clip(mean_hu, low, high)), 0.0
    at_a, at_b = (float(np.exp(-0.5 * v * v) / np.sqrt(2 * np.pi)) for v in (a, b))
    shift = (at_a - at_b) / mass
    variance = sd_hu**2 * (1 + (a * at_a - b * at_b) / mass - shift**2)
    return mass, mean_hu + sd_hu * shift, max(variance, 0.0)


def analytic_truth(anatomy: Anatomy, acquisition: Acquisition) -> Truth:
    """Truth at L3 for a scan."""
    z = anatomy.l3_z_mm
    plane = _class_amounts(anatomy, (z, z), (1.0, PLANE_STEP_MM, PLANE_STEP_MM)) / 100.0
    extent = anatomy.l3_extent_mm
    slab = _class_amounts(anatomy, extent, SLAB_STEP_MM) / 1000.0
    tissues = {
        structure: _expected(plane, slab, acquisition, compartment, window)
        for structure, (compartment, window) in WINDOWS_HU.items()
    }
    muscle = (plane, slab, acquisition, 1)
    return Truth(
        l3_z_mm=z,
        l3_extent_mm=extent,
        compartment_area_cm2=_by_compartment(plane),
        compartment_volume_ml=_by_compartment(slab),
        tissues=tissues,
        low_density_muscle_cm2=_expected(*muscle, LOW_DENSITY_HU).area_cm2,
        normal_density_muscle_cm2=_expected(*muscle, NORMAL_DENSITY_HU).area_cm2,
    )


def organ_truth_ml(
    anatomy: Anatomy,
    *,
    step_mm: float = ORGAN_STEP_MM,
    field_mm: tuple[float, float] = (-np.inf, np.inf),
) -> dict[Structure, float]:
    """Volume of every organ (and the portal and splenic vein) between two heights, or all of it."""
    levels = [v.centre_lps_mm[2] for v in anatomy.vertebrae.values()]
    low, high = max(min(levels), field_mm[0]), min(max(levels) + 80.0, field_mm[1])
    amounts = _class_amounts(anatomy, (low, high), (step_mm,) * 3) if high > low else np.zeros(256)
    ml = np.bincount(ORGAN_LUT, weights=amounts, minlength=15) / 1000.0
    structures = (*FLARE22_ORGANS, Structure.PORTAL_SPLENIC_VEIN)
    return {structure: float(ml[n]) for n, structure in enumerate(structures, start=1)}


def _class_amounts(
    anatomy: Anatomy, z_mm: tuple[float, float], step_mm: tuple[float, float, float]
) -> npt.NDArray[np.float64]:
    """mm² (one plane) or mm³ (a slab) of every fine class."""
    counts = np.zeros(256)
    slices, scale = 0, step_mm[1] * step_mm[2]
    for grid in _grids(anatomy, z_mm, step_mm):
        counts += np.bincount(label_map(anatomy, grid).ravel(), minlength=256)
        slices += grid.shape[0]
    height = z_mm[1] - z_mm[0]
    return counts * scale * (height / slices if height > 0 else 1.0)


def _grids(
    anatomy: Anatomy, z_mm: tuple[float, float], step_mm: tuple[float, float, float]
) -> Iterator[Grid]:
    """Fine grids round the trunk, a few slices each; slices lie in the middle of equal parts of z."""
    low, high = z_mm
    total = max(1, round((high - low) / step_mm[0]))
    thick = (high - low) / total
    z = np.linspace(low, high, 12)
    ring, around = rings(anatomy, z), outline(anatomy, z)
    reach = float(ring.skin_mm.max()) + 25.0
    middle_y = float((around.front_mm + around.back_mm).mean()) / 2
    side = int(np.ceil(2 * reach / step_mm[1]))
    at_once = max(1, 12_000_000 // side**2)
    for first in range(0, total, at_once):
        yield Grid(
            shape=(min(at_once, total - first), side, side),
            spacing_mm=(thick if thick > 0 else 1.0, step_mm[1], step_mm[2]),
            origin_lps_mm=(
                -side * step_mm[2] / 2 + step_mm[2] * 0.37,
                middle_y - side * step_mm[1] / 2 + step_mm[1] * 0.37,
                low + thick * (first + 0.5),
            ),
        )


def _by_compartment(amounts: npt.NDArray[np.float64]) -> dict[int, float]:
    sums = np.bincount(COMPARTMENT_LUT, weights=amounts, minlength=4)
    return {number: float(sums[number]) for number in COMPARTMENTS}


def _expected(
    plane: npt.NDArray[np.float64],
    slab: npt.NDArray[np.float64],
    acquisition: Acquisition,
    compartment: int,
    window_hu: tuple[float, float],
) -> TissueTruth:
    """Sums over the fine classes of a compartment of what the noise leaves in the window."""
    area = volume = first = second = 0.0
    for label in np.flatnonzero(compartment == COMPARTMENT_LUT):
        mass, mean, variance = truncated_normal(
            acquisition.mean_hu[label], acquisition.noise_hu, window_hu
        )
        area += plane[label] * mass
        volume += slab[label] * mass
        first += plane[label] * mass * mean
        second += plane[label] * mass * (variance + mean**2)
    mean = first / area if area else 0.0
    spread = second / area - mean**2 if area else 0.0
    return TissueTruth(
        area_cm2=float(area),
        mean_hu=float(mean),
        sd_hu=float(np.sqrt(max(spread, 0.0))),
        volume_ml=float(volume),
    )
