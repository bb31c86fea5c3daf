"""What a voxel can belong to, and label maps on a volume's grid."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from inference.domain.listed_structures import listed_structures
from inference.domain.volume import Affine, SlicePlaces, places_of


class Structure(StrEnum):
    """What a voxel can be; the value is the name used in manifests, JSON and REST.

    Members are what our networks segment and our code reasons about. A name of the table of listed structures is one, too, that
    iterating does not give: Structure("rib_left_1").
    """

    LIVER = "liver"
    KIDNEY_RIGHT = "kidney_right"
    SPLEEN = "spleen"
    PANCREAS = "pancreas"
    AORTA = "aorta"
    INFERIOR_VENA_CAVA = "inferior_vena_cava"
    ADRENAL_RIGHT = "adrenal_right"
    ADRENAL_LEFT = "adrenal_left"
    GALLBLADDER = "gallbladder"
    ESOPHAGUS = "esophagus"
    STOMACH = "stomach"
    DUODENUM = "duodenum"
    KIDNEY_LEFT = "kidney_left"
    PORTAL_SPLENIC_VEIN = "portal_splenic_vein"
    SKELETAL_MUSCLE = "skeletal_muscle"
    SUBCUTANEOUS_FAT = "subcutaneous_fat"
    VISCERAL_FAT = "visceral_fat"
    INTERMUSCULAR_FAT = "intermuscular_fat"

    @classmethod
    def _missing_(cls, value: object) -> "Structure | None":
        if not isinstance(value, str) or value not in listed_structures():
            return None
        # As enum.Flag makes members for values that have no name in the code.
        listed = str.__new__(cls, value)
        listed._name_, listed._value_ = value.upper(), value
        cls._value2member_map_[value] = listed
        return listed

    @property
    def is_listed(self) -> bool:
        """Whether only the table knows it: reported as a network labels it, under no rule of ours."""
        return self.value in listed_structures()


FLARE22_ORGANS: tuple[Structure, ...] = tuple(Structure)[:13]
"""The 13 organs in FLARE22's label order: label n is FLARE22_ORGANS[n - 1]."""

TISSUES: tuple[Structure, ...] = (
    Structure.SKELETAL_MUSCLE,
    Structure.SUBCUTANEOUS_FAT,
    Structure.VISCERAL_FAT,
    Structure.INTERMUSCULAR_FAT,
)
"""The tissues measured at L3, in the order of their segment numbers."""

LISTED: tuple[Structure, ...] = tuple(map(Structure, listed_structures()))
"""The table's structures, in its order."""

EXPERIMENTAL: tuple[Structure, ...] = (Structure.INTERMUSCULAR_FAT,)
"""Measured, and said to be on trial wherever they are shown: networks agree too little with references so far."""


def in_fixed_order(structures: Collection[Structure]) -> tuple[Structure, ...]:
    """Ours first, then the listed ones, each as its table has them."""
    return tuple(structure for structure in (*Structure, *LISTED) if structure in structures)


WHOLE = slice(None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelMap:
    """Labels [slice, row, column] on a volume's own grid; 0 is anything else."""

    labels: npt.NDArray[np.uint8]
    affine_lps: Affine
    structures: Mapping[int, Structure]
    """What each non-zero label means."""
    slice_places: SlicePlaces | None = None
    """As of the volume."""

    @property
    def places(self) -> SlicePlaces:
        """Of every slice on the affine's slice axis, in its steps."""
        return places_of(self.slice_places, len(self.labels))

    def mask(self, structure: Structure, slices: slice = WHOLE) -> npt.NDArray[np.bool_]:
        """Where the structure is, on all slices or on some."""
        labels = self.labels[slices]
        inside = np.zeros(labels.shape, np.bool_)
        for label, named in self.structures.items():
            if named == structure:
                # np.isin takes forty times as long, which whole scans notice.
                inside |= labels == label
        return inside
