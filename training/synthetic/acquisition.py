"""How a patient is scanned: contrast phase, Hounsfield units of every tissue, noise, blur, couch."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from training.synthetic.anatomy import Ranges, draw
from training.synthetic.labels import MUSCLES, Tissue


class Phase(StrEnum):
    """Contrast phase."""

    NONE = "none"
    ARTERIAL = "arterial"
    PORTAL = "portal"
    LATE = "late"


PHASES = tuple(Phase)

PLAIN_HU: dict[Tissue, float] = {
    Tissue.AIR: -1000,
    Tissue.SKIN: 10,
    Tissue.SUBCUTANEOUS_FAT: -105,
    Tissue.WALL_MUSCLE: 46,
    Tissue.RECTUS: 50,
    Tissue.OBLIQUE: 48,
    Tissue.QUADRATUS_LUMBORUM: 50,
    Tissue.PSOAS: 54,
    Tissue.ERECTOR_SPINAE: 46,
    Tissue.GLUTEAL: 48,
    Tissue.INTERMUSCULAR_FAT: -90,
    Tissue.FASCIA: 35,
    Tissue.VISCERAL_FAT: -98,
    Tissue.BOWEL_WALL: 40,
    Tissue.BOWEL_CONTENT: 18,
    Tissue.BOWEL_GAS: -960,
    Tissue.FAECES: 25,
    Tissue.LUNG: -850,
    Tissue.HEART: 42,
    Tissue.MEDIASTINAL_FAT: -95,
    Tissue.DIAPHRAGM: 45,
    Tissue.VERTEBRA_CORTICAL: 620,
    Tissue.VERTEBRA_TRABECULAR: 190,
    Tissue.VERTEBRA_ARCH: 420,
    Tissue.DISC: 75,
    Tissue.RIB_CORTICAL: 520,
    Tissue.RIB_TRABECULAR: 170,
    Tissue.COSTAL_CARTILAGE: 100,
    Tissue.PELVIS_CORTICAL: 620,
    Tissue.PELVIS_TRABECULAR: 160,
    Tissue.FEMUR_CORTICAL: 950,
    Tissue.FEMUR_TRABECULAR: 200,
    Tissue.CANAL: 30,
    Tissue.ARM_MUSCLE: 48,
    Tissue.ARM_FAT: -103,
    Tissue.ARM_BONE: 850,
    Tissue.TABLE: -940,
    Tissue.TABLE_SHELL: -250,
    Tissue.LIVER: 58,
    Tissue.KIDNEY_RIGHT: 32,
    Tissue.SPLEEN: 48,
    Tissue.PANCREAS: 38,
    Tissue.AORTA: 40,
    Tissue.INFERIOR_VENA_CAVA: 38,
    Tissue.ADRENAL_RIGHT: 28,
    Tissue.ADRENAL_LEFT: 28,
    Tissue.GALLBLADDER: 10,
    Tissue.ESOPHAGUS: 36,
    Tissue.STOMACH_WALL: 42,
    Tissue.STOMACH_CONTENT: 22,
    Tissue.STOMACH_GAS: -970,
    Tissue.DUODENUM: 36,
    Tissue.KIDNEY_LEFT: 32,
    Tissue.PORTAL_SPLENIC_VEIN: 40,
    Tissue.KIDNEY_RIGHT_MEDULLA: 30,
    Tissue.KIDNEY_LEFT_MEDULLA: 30,
    Tissue.RENAL_PELVIS: 8,
    Tissue.ARTERY: 40,
    Tissue.VEIN: 38,
    Tissue.MESENTERIC_VESSEL: 35,
    Tissue.BLADDER: 6,
    Tissue.PELVIC_ORGAN: 40,
    Tissue.TRACHEA: -985,
    Tissue.LIVER_VESSEL: 42,
    Tissue.AIRWAY_VESSEL: 20,
}
"""Unenhanced Hounsfield units of every class."""

ENHANCEMENT_HU: dict[Tissue, tuple[float, float, float]] = {
    # arterial, portal, late: what a full dose adds
    Tissue.LIVER: (14, 50, 38),
    Tissue.LIVER_VESSEL: (20, 125, 75),
    Tissue.SPLEEN: (70, 72, 52),
    Tissue.KIDNEY_RIGHT: (125, 150, 125),
    Tissue.KIDNEY_LEFT: (125, 150, 125),
    Tissue.KIDNEY_RIGHT_MEDULLA: (35, 120, 125),
    Tissue.KIDNEY_LEFT_MEDULLA: (35, 120, 125),
    Tissue.RENAL_PELVIS: (0, 10, 400),
    Tissue.PANCREAS: (65, 58, 40),
    Tissue.AORTA: (260, 115, 75),
    Tissue.ARTERY: (250, 110, 72),
    Tissue.INFERIOR_VENA_CAVA: (30, 95, 72),
    Tissue.VEIN: (20, 95, 72),
    Tissue.PORTAL_SPLENIC_VEIN: (45, 125, 78),
    Tissue.MESENTERIC_VESSEL: (110, 100, 65),
    Tissue.ADRENAL_RIGHT: (45, 50, 32),
    Tissue.ADRENAL_LEFT: (45, 50, 32),
    Tissue.ESOPHAGUS: (20, 30, 26),
    Tissue.STOMACH_WALL: (35, 45, 35),
    Tissue.DUODENUM: (35, 45, 35),
    Tissue.BOWEL_WALL: (40, 50, 38),
    Tissue.HEART: (200, 95, 65),
    Tissue.PELVIC_ORGAN: (20, 35, 35),
    Tissue.AIRWAY_VESSEL: (170, 90, 60),
    Tissue.SKIN: (5, 10, 10),
    **{muscle: (4.0, 9.0, 10.0) for muscle in MUSCLES},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """One scan's properties."""

    phase: Phase
    mean_hu: tuple[float, ...]
    """Per fine class, by its number."""
    texture: float
    """Strength of the structure inside tissues; 0: constant HU."""
    noise_hu: float
    noise_correlation_mm: float
    """In-plane standard deviation of the noise's kernel; 0: white."""
    psf_mm: float
    """In-plane standard deviation of the blur; 0: none."""
    subslices: int
    """How many thin slices are averaged to one thick slice."""
    has_table: bool


def plain_acquisition(noise_hu: float) -> Acquisition:
    """Constant HU per tissue, white noise, no blur, no couch: what measuring is tested on."""
    return Acquisition(
        phase=Phase.NONE,
        mean_hu=tuple(float(PLAIN_HU[t]) for t in Tissue),
        texture=0.0,
        noise_hu=noise_hu,
        noise_correlation_mm=0.0,
        psf_mm=0.0,
        subslices=1,
        has_table=False,
    )


def sample_acquisition(rng: np.random.Generator, ranges: Ranges) -> Acquisition:
    """One scan: tissues of a kind vary together, contrast scales with one dose."""
    phase = PHASES[int(rng.choice(4, p=[0.3, 0.15, 0.42, 0.13]))]
    dose = float(rng.uniform(0.75, 1.2))
    hu = {tissue: float(value) for tissue, value in PLAIN_HU.items()}
    if phase is not Phase.NONE:
        for tissue, added in ENHANCEMENT_HU.items():
            hu[tissue] += dose * added[PHASES.index(phase) - 1]
    _vary_tissues(rng, hu)
    offset = draw(rng, ranges.scanner_offset_hu)
    return Acquisition(
        phase=phase,
        mean_hu=tuple(hu[t] + (offset if hu[t] > -800 else 0.0) for t in Tissue),
        texture=float(rng.uniform(0.5, 1.3)),
        noise_hu=float(
            np.exp(draw(rng, tuple((np.log(a), np.log(b)) for a, b in ranges.noise_hu)))
        ),
        noise_correlation_mm=draw(rng, ranges.noise_correlation_mm),
        psf_mm=draw(rng, ranges.psf_mm),
        subslices=int(rng.choice([1, 2], p=[0.7, 0.3])),
        has_table=bool(rng.random() < 0.85),
    )


def _vary_tissues(rng: np.random.Generator, hu: dict[Tissue, float]) -> None:
    """Moves groups of tissues together and each a little on its own."""
    groups: list[tuple[tuple[Tissue, ...], float]] = [
        (MUSCLES, 8.0),
        ((Tissue.SUBCUTANEOUS_FAT, Tissue.VISCERAL_FAT, Tissue.MEDIASTINAL_FAT, Tissue.INTERMUSCULAR_FAT, Tissue.ARM_FAT), 4.0),
        ((Tissue.LIVER,), 12.0),
        ((Tissue.KIDNEY_LEFT, Tissue.KIDNEY_RIGHT), 8.0),
        ((Tissue.KIDNEY_LEFT_MEDULLA, Tissue.KIDNEY_RIGHT_MEDULLA), 8.0),
        ((Tissue.ADRENAL_LEFT, Tissue.ADRENAL_RIGHT), 8.0),
        ((Tissue.AORTA, Tissue.ARTERY), 10.0),
        ((Tissue.INFERIOR_VENA_CAVA, Tissue.VEIN), 10.0),
        ((Tissue.LUNG,), 40.0),
        ((Tissue.TABLE_SHELL,), 120.0),
    ]  # fmt: skip
    for tissues, spread in groups:
        step = float(np.clip(rng.normal(0, 1), -2.2, 2.2)) * spread
        for tissue in tissues:
            hu[tissue] += step + float(rng.normal(0, 0.15 * spread))
    for tissue in (Tissue.SPLEEN, Tissue.PANCREAS, Tissue.STOMACH_WALL, Tissue.DUODENUM, Tissue.BOWEL_WALL,
                   Tissue.GALLBLADDER, Tissue.ESOPHAGUS, Tissue.PORTAL_SPLENIC_VEIN, Tissue.HEART):  # fmt: skip
        hu[tissue] += float(rng.normal(0, 6))
    bone = float(rng.uniform(0.55, 1.35))
    for tissue in Tissue:
        if tissue.name.endswith("TRABECULAR"):
            hu[tissue] *= bone
        elif tissue.name.endswith(("CORTICAL", "ARCH")):
            hu[tissue] *= 0.5 + 0.5 * bone
    oral = rng.random() < 0.3
    for tissue in (Tissue.BOWEL_CONTENT, Tissue.STOMACH_CONTENT):
        hu[tissue] += float(rng.uniform(80, 300)) if oral else float(rng.uniform(-12, 25))
