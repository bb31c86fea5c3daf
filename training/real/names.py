"""Names of bones that references have and we do not segment."""

from training.label_names import structure_named

L3_NAMES = frozenset({"vertebrae_l3", "vertebra_l3", "l3_vertebra", "l3"})
CANAL_NAMES = ("spinal_cord", "spinal_canal")
RIB_PREFIXES = ("rib_", "costal_cartilage", "sternum")


def is_known(name: str) -> bool:
    """Whether a mask of that plain name is used for anything."""
    is_bone_or_canal = name in L3_NAMES or name in CANAL_NAMES or name.startswith(RIB_PREFIXES)
    return is_bone_or_canal or structure_named(name) is not None
