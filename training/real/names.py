"""Names of bones that references have and we do not segment, and names that are almost known."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from inference.domain.labelmap import Structure
from training.label_names import structure_named

L3_NAMES = frozenset({"vertebrae_l3", "vertebra_l3", "l3_vertebra", "l3"})
CANAL_NAMES = ("spinal_cord", "spinal_canal")
ALMOST = 0.9
"""Of two names' letters, in order, that are the same: stomac is stomach, kidney is neither kidney."""
RIB_PREFIXES = ("rib_", "costal_cartilage", "sternum")


def is_known(name: str) -> bool:
    """Whether a mask of that plain name is used for anything."""
    is_bone_or_canal = name in L3_NAMES or name in CANAL_NAMES or name.startswith(RIB_PREFIXES)
    return is_bone_or_canal or structure_named(name) is not None


def misspelt(names: Iterable[str]) -> Iterator[str]:
    """A word on each name that is nothing, and almost one of ours: its mask would be left out in silence."""
    ours = [structure.value for structure in Structure]
    for name in names:
        close = [] if is_known(name) else get_close_matches(name, ours, n=1, cutoff=ALMOST)
        if close:
            yield f"found a mask called almost {close[0]}; wanted that name. It is not compared."
