"""Hounsfield units of every fine class, and what contrast adds in each phase."""

from enum import StrEnum

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
    Tissue.INTERCOSTAL: 30,
    Tissue.RIB_LEVEL_MUSCLE: 46,
    Tissue.METAL: 3000,
    Tissue.BONE_CEMENT: 1300,
    Tissue.AORTIC_CALCIFICATION: 550,
    Tissue.MESENTERIC_VEIN: 40,
    Tissue.RENAL_VEIN: 38,
    Tissue.BRANCH_ARTERY: 40,
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
    Tissue.MESENTERIC_VEIN: (45, 125, 78),
    Tissue.RENAL_VEIN: (110, 115, 75),
    Tissue.BRANCH_ARTERY: (250, 110, 72),
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
    **dict.fromkeys(MUSCLES, (4.0, 9.0, 10.0)),
}
