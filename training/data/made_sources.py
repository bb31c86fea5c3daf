"""Labelled cases that code makes from seeds when they are read: torsos, and patients painted from a template."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from inference.domain.labelmap import Structure
from inference.domain.volume import Affine, Volume, slice_z_mm
from training.data.cases import Loaded
from training.label_names import L3, OUR_NUMBERS, LabelTable
from training.synthetic.case import make_case
from training.synthetic.labels import MUSCLES, ORGANS, RIB_LEVEL, Labels, Tissue, lookup
from training.templates.case import make_painted_case
from training.templates.template import Template

TISSUE_PARTS = {
    Structure.SKELETAL_MUSCLE: (*MUSCLES, *RIB_LEVEL),
    Structure.SUBCUTANEOUS_FAT: (Tissue.SUBCUTANEOUS_FAT,),
    Structure.VISCERAL_FAT: (Tissue.VISCERAL_FAT,),
    Structure.INTERMUSCULAR_FAT: (Tissue.INTERMUSCULAR_FAT,),
}
OURS = {
    **{OUR_NUMBERS[structure]: ORGANS[n] for n, structure in enumerate(tuple(Structure)[:14], 1)},
    **{OUR_NUMBERS[structure]: parts for structure, parts in TISSUE_PARTS.items()},
}
"""Our numbers and the fine classes that they are made of."""
TABLE = LabelTable(meanings={OUR_NUMBERS[s]: s.value for s in Structure} | {OUR_NUMBERS[L3]: L3})
BODIES = (Tissue.VERTEBRA_CORTICAL, Tissue.VERTEBRA_TRABECULAR, Tissue.BONE_CEMENT)
"""Of vertebrae; which of them is L3 its height tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeGrid:
    """On what a case is made."""

    spacing_mm: tuple[float, float, float]
    """Slices, rows, columns."""
    shape_rc: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeTorso:
    """A torso made by code."""

    seed: int
    grid: MadeGrid

    @property
    def paths(self) -> tuple[Path, ...]:
        """None."""
        return ()

    @property
    def names(self) -> frozenset[str]:
        """Everything."""
        return TABLE.names

    def load(self) -> Loaded:
        """The case of the seed."""
        grid = self.grid
        case = make_case(self.seed, spacing_mm=grid.spacing_mm, shape_rc=grid.shape_rc)
        extent_mm = case.anatomy.l3_extent_mm
        return _loaded(case.volume, case.tissue_labels, case.grid.affine_lps, extent_mm)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaintedPatient:
    """A patient painted from a template."""

    template: Path
    seed: int
    grid: MadeGrid

    @property
    def paths(self) -> tuple[Path, ...]:
        """The template."""
        return (self.template,)

    @property
    def names(self) -> frozenset[str]:
        """Everything."""
        return TABLE.names

    def load(self) -> Loaded:
        """The case of the seed; raises UnreadableInput."""
        grid = self.grid
        case = make_painted_case(
            _template(self.template), self.seed, spacing_mm=grid.spacing_mm, shape_rc=grid.shape_rc
        )
        extent_mm = case.patient.l3_extent_mm
        return _loaded(case.volume, case.tissue_labels, case.grid.affine_lps, extent_mm)


@cache
def _template(path: Path) -> Template:
    return Template.read(path)


def _loaded(
    volume: Volume, tissues: Labels, affine_lps: Affine, l3_extent_mm: tuple[float, float]
) -> Loaded:
    numbers = lookup(OURS)[tissues]
    low_mm, high_mm = l3_extent_mm
    z_mm = slice_z_mm(volume)
    is_l3 = (z_mm >= low_mm) & (z_mm <= high_mm)
    numbers[is_l3[:, None, None] & np.isin(tissues, BODIES)] = OUR_NUMBERS[L3]
    return Loaded(volume=volume, numbers=numbers, label_affine=affine_lps, table=TABLE)
