"""One scan of a patient: contrast, texture, noise, kernel, thickness, field of view; numbers from a seed."""

from dataclasses import dataclass, replace

import numpy as np

from training.synthetic.anatomy import TRAINING, Ranges
from training.synthetic.labels import Tissue
from training.synthetic.painting import Acquisition, sample_acquisition

TRABECULAR = (
    Tissue.VERTEBRA_TRABECULAR,
    Tissue.RIB_TRABECULAR,
    Tissue.PELVIS_TRABECULAR,
    Tissue.FEMUR_TRABECULAR,
)
CORTICAL = (
    Tissue.VERTEBRA_CORTICAL,
    Tissue.RIB_CORTICAL,
    Tissue.PELVIS_CORTICAL,
    Tissue.FEMUR_CORTICAL,
)
WIDELY_VARIED = (
    Tissue.LIVER, Tissue.SPLEEN, Tissue.PANCREAS, Tissue.GALLBLADDER, Tissue.STOMACH_CONTENT,
    Tissue.BOWEL_CONTENT, Tissue.DUODENUM, Tissue.BLADDER, Tissue.PELVIC_ORGAN, Tissue.HEART,
)  # fmt: skip
"""Now and then far from the usual HU: disease, timing, oral contrast."""

FLOWS_ON = {
    Tissue.MESENTERIC_VEIN: Tissue.PORTAL_SPLENIC_VEIN,
    Tissue.BRANCH_ARTERY: Tissue.AORTA,
}
"""The same blood."""

FATTY_LIVER, FATTY_PANCREAS = 0.2, 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What sample_acquisition draws, and what thick, sharp, cut and metal-streaked scans add."""

    acquisition: Acquisition
    seed: int
    sharpening: float
    """Of the kernel: 0 soft, 1 strong overshoot at edges."""
    coarse_mm: float
    """Further blur, as of a scan resampled from wider pixels."""
    noise_along_z: float
    """Correlation between slices, in slices."""
    field_radius_mm: float
    """Of the round field of view; infinite: everything is reconstructed."""
    field_centre_mm: tuple[float, float]
    strands: float
    """0..1: fibres in the fat."""
    muscle_fat: float
    """0..1: fat streaks in muscle."""
    streaks_hu: float
    """Of metal."""
    pancreas_fat: float
    """0..1: fat between the lobules of the pancreas."""


def sample_scan(rng: np.random.Generator, ranges: Ranges = TRAINING) -> Scan:
    """Any scan a hospital may send."""
    acquisition = sample_acquisition(rng, ranges)
    hu = list(acquisition.mean_hu)
    trabecular, cortical = rng.uniform(60, 260), rng.uniform(450, 1100)
    for tissue in TRABECULAR:
        hu[tissue] = float(trabecular * rng.uniform(0.8, 1.15))
    for tissue in CORTICAL:
        hu[tissue] = float(cortical * rng.uniform(0.9, 1.1))
    hu[Tissue.VERTEBRA_ARCH] = 0.5 * (hu[Tissue.VERTEBRA_TRABECULAR] + hu[Tissue.VERTEBRA_CORTICAL])
    hu[Tissue.INTERCOSTAL] = hu[Tissue.WALL_MUSCLE] - float(rng.uniform(0, 45))
    hu[Tissue.RIB_LEVEL_MUSCLE] = hu[Tissue.WALL_MUSCLE] - float(rng.uniform(0, 12))
    hu[Tissue.AORTIC_CALCIFICATION] = float(rng.uniform(250, 900))
    hu[Tissue.TABLE_SHELL] = float(rng.uniform(-500, 250))
    hu[Tissue.TABLE] = float(rng.uniform(-985, -820))
    if rng.random() < 0.25:
        for tissue in WIDELY_VARIED:
            hu[tissue] += float(rng.normal(0, 25))
    for branch, trunk in FLOWS_ON.items():
        hu[branch] = hu[trunk]
    is_cut = rng.random() < 0.12
    scan = Scan(
        acquisition=replace(acquisition, mean_hu=tuple(hu)),
        seed=int(rng.integers(1 << 31)),
        sharpening=float(rng.uniform(0, 0.8)) if rng.random() < 0.35 else 0.0,
        coarse_mm=float(rng.uniform(0.8, 1.6)) if rng.random() < 0.3 else 0.0,
        noise_along_z=float(rng.uniform(0, 0.6)),
        field_radius_mm=float(rng.uniform(150, 215) if is_cut else rng.uniform(225, 260)),
        field_centre_mm=(float(rng.normal(0, 10)), float(rng.normal(0, 10))),
        strands=float(rng.uniform(0, 1)),
        muscle_fat=float(rng.uniform(0, 1) ** 1.5),
        streaks_hu=float(rng.uniform(40, 260)),
        pancreas_fat=0.0,
    )
    return _fattened(rng, scan)


def _fattened(rng: np.random.Generator, scan: Scan) -> Scan:
    """Fat in the liver and between the lobules of the pancreas, both frequent in those who are scanned."""
    hu = list(scan.acquisition.mean_hu)
    if rng.random() < FATTY_LIVER:
        hu[Tissue.LIVER] -= float(rng.uniform(10, 50))
    lobulated = float(rng.uniform(0, 1)) if rng.random() < FATTY_PANCREAS else 0.0
    hu[Tissue.PANCREAS] -= 12.0 * lobulated
    acquisition = replace(scan.acquisition, mean_hu=tuple(hu))
    return replace(scan, acquisition=acquisition, pancreas_fat=lobulated)
