"""TotalSegmentator class names: the layer of a template they belong to and the fine tissue they become."""

import re
from enum import StrEnum

from training.synthetic.labels import Tissue


class Layer(StrEnum):
    """What of a body moves together."""

    FRAME = "frame"
    """Muscles, ribs, pelvis: what carries the wall."""
    VISCERA = "viscera"
    """Organs, vessels, bowel, lungs: they slide against the frame."""
    SPINE = "spine"
    """Vertebrae, set one by one."""
    CANAL = "canal"
    LEFT_OUT = "left-out"
    """Arms and head: they lie outside the trunk."""


EXACT: dict[str, tuple[Layer, Tissue]] = {
    "liver": (Layer.VISCERA, Tissue.LIVER),
    "kidney_right": (Layer.VISCERA, Tissue.KIDNEY_RIGHT),
    "kidney_left": (Layer.VISCERA, Tissue.KIDNEY_LEFT),
    "spleen": (Layer.VISCERA, Tissue.SPLEEN),
    "pancreas": (Layer.VISCERA, Tissue.PANCREAS),
    "aorta": (Layer.VISCERA, Tissue.AORTA),
    "inferior_vena_cava": (Layer.VISCERA, Tissue.INFERIOR_VENA_CAVA),
    "adrenal_gland_right": (Layer.VISCERA, Tissue.ADRENAL_RIGHT),
    "adrenal_gland_left": (Layer.VISCERA, Tissue.ADRENAL_LEFT),
    "gallbladder": (Layer.VISCERA, Tissue.GALLBLADDER),
    "esophagus": (Layer.VISCERA, Tissue.ESOPHAGUS),
    "stomach": (Layer.VISCERA, Tissue.STOMACH_CONTENT),
    "duodenum": (Layer.VISCERA, Tissue.DUODENUM),
    "portal_vein_and_splenic_vein": (Layer.VISCERA, Tissue.PORTAL_SPLENIC_VEIN),
    "small_bowel": (Layer.VISCERA, Tissue.BOWEL_CONTENT),
    "colon": (Layer.VISCERA, Tissue.FAECES),
    "urinary_bladder": (Layer.VISCERA, Tissue.BLADDER),
    "trachea": (Layer.VISCERA, Tissue.TRACHEA),
    "heart": (Layer.VISCERA, Tissue.HEART),
    "spinal_cord": (Layer.CANAL, Tissue.CANAL),
    "sacrum": (Layer.FRAME, Tissue.VERTEBRA_TRABECULAR),
    "vertebrae_S1": (Layer.FRAME, Tissue.VERTEBRA_TRABECULAR),
    "sternum": (Layer.FRAME, Tissue.RIB_TRABECULAR),
    "costal_cartilages": (Layer.FRAME, Tissue.COSTAL_CARTILAGE),
}

PATTERNS: tuple[tuple[str, Layer, Tissue], ...] = (
    (r"vertebrae_", Layer.SPINE, Tissue.VERTEBRA_TRABECULAR),
    (r"humerus_|skull", Layer.LEFT_OUT, Tissue.AIR),
    (r"rib_|clavicula_|scapula_", Layer.FRAME, Tissue.RIB_TRABECULAR),
    (r"hip_", Layer.FRAME, Tissue.PELVIS_TRABECULAR),
    (r"femur_", Layer.FRAME, Tissue.FEMUR_TRABECULAR),
    (r"iliopsoas_", Layer.FRAME, Tissue.PSOAS),
    (r"autochthon_", Layer.FRAME, Tissue.ERECTOR_SPINAE),
    (r"gluteus_", Layer.FRAME, Tissue.GLUTEAL),
    (r"lung_", Layer.VISCERA, Tissue.LUNG),
    (r"atrial_|heart_", Layer.VISCERA, Tissue.HEART),
    (r".*(vein|vena)", Layer.VISCERA, Tissue.VEIN),
    (r".*(artery|trunk)", Layer.VISCERA, Tissue.ARTERY),
)

OTHER = (Layer.VISCERA, Tissue.PELVIC_ORGAN)
"""Any other labelled soft tissue."""


def meaning_of(name: str) -> tuple[Layer, Tissue]:
    """Layer and fine class of a TotalSegmentator name."""
    if name in EXACT:
        return EXACT[name]
    for pattern, layer, tissue in PATTERNS:
        if re.match(pattern, name):
            return layer, tissue
    return OTHER
