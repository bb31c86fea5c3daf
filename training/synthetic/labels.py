"""The fine tissue classes a synthetic torso is made of, and how they map to what Habitus segments."""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.uint8]
"""Tissue labels [slice, row, column]."""


class Tissue(IntEnum):
    """Every fine class; the value is stored in label maps."""

    AIR = 0
    SKIN = 1
    SUBCUTANEOUS_FAT = 2
    WALL_MUSCLE = 3
    RECTUS = 4
    OBLIQUE = 5
    QUADRATUS_LUMBORUM = 6
    PSOAS = 7
    ERECTOR_SPINAE = 8
    GLUTEAL = 9
    INTERMUSCULAR_FAT = 10
    FASCIA = 11
    VISCERAL_FAT = 12
    BOWEL_WALL = 13
    BOWEL_CONTENT = 14
    BOWEL_GAS = 15
    FAECES = 16
    LUNG = 17
    HEART = 18
    MEDIASTINAL_FAT = 19
    DIAPHRAGM = 20
    VERTEBRA_CORTICAL = 21
    VERTEBRA_TRABECULAR = 22
    VERTEBRA_ARCH = 23
    DISC = 24
    RIB_CORTICAL = 25
    RIB_TRABECULAR = 26
    COSTAL_CARTILAGE = 27
    PELVIS_CORTICAL = 28
    PELVIS_TRABECULAR = 29
    FEMUR_CORTICAL = 30
    FEMUR_TRABECULAR = 31
    CANAL = 32
    ARM_MUSCLE = 33
    ARM_FAT = 34
    ARM_BONE = 35
    TABLE = 36
    TABLE_SHELL = 37
    LIVER = 38
    KIDNEY_RIGHT = 39
    SPLEEN = 40
    PANCREAS = 41
    AORTA = 42
    INFERIOR_VENA_CAVA = 43
    ADRENAL_RIGHT = 44
    ADRENAL_LEFT = 45
    GALLBLADDER = 46
    ESOPHAGUS = 47
    STOMACH_WALL = 48
    STOMACH_CONTENT = 49
    STOMACH_GAS = 50
    DUODENUM = 51
    KIDNEY_LEFT = 52
    PORTAL_SPLENIC_VEIN = 53
    KIDNEY_RIGHT_MEDULLA = 54
    KIDNEY_LEFT_MEDULLA = 55
    RENAL_PELVIS = 56
    ARTERY = 57
    VEIN = 58
    MESENTERIC_VESSEL = 59
    BLADDER = 60
    PELVIC_ORGAN = 61
    TRACHEA = 62
    LIVER_VESSEL = 63
    AIRWAY_VESSEL = 64
    INTERCOSTAL = 65
    RIB_LEVEL_MUSCLE = 66
    METAL = 67
    BONE_CEMENT = 68
    AORTIC_CALCIFICATION = 69
    MESENTERIC_VEIN = 70
    RENAL_VEIN = 71
    BRANCH_ARTERY = 72


ORGANS: dict[int, tuple[Tissue, ...]] = {
    1: (Tissue.LIVER, Tissue.LIVER_VESSEL),
    2: (Tissue.KIDNEY_RIGHT, Tissue.KIDNEY_RIGHT_MEDULLA),
    3: (Tissue.SPLEEN,),
    4: (Tissue.PANCREAS,),
    5: (Tissue.AORTA, Tissue.AORTIC_CALCIFICATION),
    6: (Tissue.INFERIOR_VENA_CAVA,),
    7: (Tissue.ADRENAL_RIGHT,),
    8: (Tissue.ADRENAL_LEFT,),
    9: (Tissue.GALLBLADDER,),
    10: (Tissue.ESOPHAGUS,),
    11: (Tissue.STOMACH_WALL, Tissue.STOMACH_CONTENT, Tissue.STOMACH_GAS),
    12: (Tissue.DUODENUM,),
    13: (Tissue.KIDNEY_LEFT, Tissue.KIDNEY_LEFT_MEDULLA),
    14: (Tissue.PORTAL_SPLENIC_VEIN,),
}
"""FLARE22 label (14: portal and splenic vein) → the fine classes it is made of."""

MUSCLES: tuple[Tissue, ...] = (
    Tissue.WALL_MUSCLE,
    Tissue.RECTUS,
    Tissue.OBLIQUE,
    Tissue.QUADRATUS_LUMBORUM,
    Tissue.PSOAS,
    Tissue.ERECTOR_SPINAE,
    Tissue.GLUTEAL,
)

RIB_LEVEL: tuple[Tissue, ...] = (Tissue.INTERCOSTAL, Tissue.RIB_LEVEL_MUSCLE)
"""Muscle between and upon the ribs: some references count it, some leave it out."""

COMPARTMENTS: dict[int, tuple[Tissue, ...]] = {
    1: (*MUSCLES, *RIB_LEVEL, Tissue.INTERMUSCULAR_FAT, Tissue.FASCIA),
    2: (Tissue.SUBCUTANEOUS_FAT,),
    3: (Tissue.VISCERAL_FAT,),
}
"""1 muscle compartment (with the fat inside the fascia), 2 subcutaneous fat, 3 visceral fat; trunk only."""


def lookup(groups: dict[int, tuple[Tissue, ...]]) -> npt.NDArray[np.uint8]:
    """A 256-entry table from fine class to group number; 0 where no group has the class."""
    table = np.zeros(256, np.uint8)
    for number, tissues in groups.items():
        table[list(tissues)] = number
    return table


ORGAN_LUT = lookup(ORGANS)
COMPARTMENT_LUT = lookup(COMPARTMENTS)
