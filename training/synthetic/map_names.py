"""TotalSegmentator class names and the fine tissues they become."""

import re

from training.synthetic.labels import Tissue

EXACT: dict[str, Tissue] = {
    "liver": Tissue.LIVER,
    "kidney_right": Tissue.KIDNEY_RIGHT,
    "kidney_left": Tissue.KIDNEY_LEFT,
    "spleen": Tissue.SPLEEN,
    "pancreas": Tissue.PANCREAS,
    "aorta": Tissue.AORTA,
    "inferior_vena_cava": Tissue.INFERIOR_VENA_CAVA,
    "adrenal_gland_right": Tissue.ADRENAL_RIGHT,
    "adrenal_gland_left": Tissue.ADRENAL_LEFT,
    "gallbladder": Tissue.GALLBLADDER,
    "esophagus": Tissue.ESOPHAGUS,
    "stomach": Tissue.STOMACH_WALL,
    "duodenum": Tissue.DUODENUM,
    "portal_vein_and_splenic_vein": Tissue.PORTAL_SPLENIC_VEIN,
    "small_bowel": Tissue.BOWEL_WALL,
    "colon": Tissue.BOWEL_WALL,
    "urinary_bladder": Tissue.BLADDER,
    "prostate": Tissue.PELVIC_ORGAN,
    "trachea": Tissue.TRACHEA,
    "heart": Tissue.HEART,
    "spinal_cord": Tissue.CANAL,
    "sacrum": Tissue.VERTEBRA_TRABECULAR,
    "sternum": Tissue.RIB_TRABECULAR,
    "costal_cartilages": Tissue.COSTAL_CARTILAGE,
}

PATTERNS: tuple[tuple[str, Tissue], ...] = (
    (r"vertebrae_", Tissue.VERTEBRA_TRABECULAR),
    (r"rib_|clavicula_|scapula_", Tissue.RIB_TRABECULAR),
    (r"hip_", Tissue.PELVIS_TRABECULAR),
    (r"femur_|humerus_", Tissue.FEMUR_TRABECULAR),
    (r"iliopsoas_", Tissue.PSOAS),
    (r"autochthon_", Tissue.ERECTOR_SPINAE),
    (r"gluteus_", Tissue.GLUTEAL),
    (r"lung_", Tissue.LUNG),
    (r"atrial_|heart_", Tissue.HEART),
    (r".*(vein|vena)", Tissue.VEIN),
    (r".*(artery|trunk)", Tissue.ARTERY),
)

OTHER = Tissue.PELVIC_ORGAN
"""Any other labelled soft tissue."""


def tissue_of(name: str) -> Tissue:
    """The fine class of a TotalSegmentator name."""
    if name in EXACT:
        return EXACT[name]
    for pattern, tissue in PATTERNS:
        if re.match(pattern, name):
            return tissue
    return OTHER
