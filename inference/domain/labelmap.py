"""What a voxel can belong to, and label maps on a volume's grid."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from inference.domain.volume import Affine, SlicePlaces, places_of


class Structure(StrEnum):
    """Everything Habitus segments; the value is the name used in manifests, JSON and REST."""

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


FLARE22_ORGANS: tuple[Structure, ...] = tuple(Structure)[:13]
"""The 13 organs in FLARE22's label order: label n is FLARE22_ORGANS[n - 1]."""

TISSUES: tuple[Structure, ...] = (
    Structure.SKELETAL_MUSCLE,
    Structure.SUBCUTANEOUS_FAT,
    Structure.VISCERAL_FAT,
    Structure.INTERMUSCULAR_FAT,
)
"""The tissues measured at L3, in the order of their segment numbers."""

EXPERIMENTAL: tuple[Structure, ...] = (Structure.INTERMUSCULAR_FAT,)
"""Measured, and said to be on trial wherever they are shown: networks agree too little with references so far."""


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

    def mask(self, structure: Structure) -> npt.NDArray[np.bool_]:
        """Where the structure is."""
        inside = np.zeros(self.labels.shape, np.bool_)
        for label, named in self.structures.items():
            if named == structure:
                # np.isin takes forty times as long, which whole scans notice.
                inside |= self.labels == label
        return inside
