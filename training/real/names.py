"""What a mask is a mask of, by the names that other software gives: file names, label tables, Segment Labels."""

from inference.domain.labelmap import Structure

OTHER_NAMES = {
    "adrenal_gland_right": Structure.ADRENAL_RIGHT,
    "right_adrenal": Structure.ADRENAL_RIGHT,
    "right_adrenal_gland": Structure.ADRENAL_RIGHT,
    "adrenal_gland_left": Structure.ADRENAL_LEFT,
    "left_adrenal": Structure.ADRENAL_LEFT,
    "left_adrenal_gland": Structure.ADRENAL_LEFT,
    "right_kidney": Structure.KIDNEY_RIGHT,
    "left_kidney": Structure.KIDNEY_LEFT,
    "portal_vein_and_splenic_vein": Structure.PORTAL_SPLENIC_VEIN,
    "portal_and_splenic_vein": Structure.PORTAL_SPLENIC_VEIN,
    "postcava": Structure.INFERIOR_VENA_CAVA,
    "ivc": Structure.INFERIOR_VENA_CAVA,
    "oesophagus": Structure.ESOPHAGUS,
    "gall_bladder": Structure.GALLBLADDER,
    "muscle": Structure.SKELETAL_MUSCLE,
    "sat": Structure.SUBCUTANEOUS_FAT,
    "subcutaneous_adipose_tissue": Structure.SUBCUTANEOUS_FAT,
    "torso_fat": Structure.VISCERAL_FAT,
    "vat": Structure.VISCERAL_FAT,
    "visceral_adipose_tissue": Structure.VISCERAL_FAT,
    "imat": Structure.INTERMUSCULAR_FAT,
}
"""TotalSegmentator, FLARE22, AMOS and what people write."""

L3_NAMES = frozenset({"vertebrae_l3", "vertebra_l3", "l3_vertebra", "l3"})
CANAL_NAMES = ("spinal_cord", "spinal_canal")
RIB_PREFIXES = ("rib_", "costal_cartilage", "sternum")


def plain(name: str) -> str:
    """A name as it is compared: small letters, one underscore between words."""
    return "_".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


def structure_named(name: str) -> Structure | None:
    """The structure of a plain name."""
    if name in set(Structure):
        return Structure(name)
    return OTHER_NAMES.get(name)
