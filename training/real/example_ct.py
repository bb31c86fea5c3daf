"""The example CT: its label map, tissue masks on a crop of it, and fields cut out of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from inference.domain.labelmap import Structure
from inference.domain.volume import Volume
from training.nifti import nifti_volume, read_nifti
from training.real.case import RealCase
from training.real.known_cases import KnownCase
from training.real.level_reference import labelled_z_mm
from training.real.read_case import merged_reference
from training.real.reference import Mask, Reference

CROP_SLICES = slice(82, 112)
"""What the tissue masks cover of the whole volume (L2 to T11); their own affine was not moved by the crop."""
TISSUE_FILES = {
    Structure.SKELETAL_MUSCLE: "skeletal_muscle",
    Structure.SUBCUTANEOUS_FAT: "subcutaneous_fat",
    Structure.VISCERAL_FAT: "torso_fat",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CutField:
    """A part of the scan in mm above (positive) and below the middle of L3; None: to the scan's end."""

    name: str
    low_mm: float | None
    high_mm: float | None
    has_l3: bool = True


CUT_FIELDS = (
    CutField(name="above +90", low_mm=None, high_mm=90),
    CutField(name="above +60", low_mm=None, high_mm=60),
    CutField(name="above +40", low_mm=None, high_mm=40),
    CutField(name="below -160", low_mm=-160, high_mm=None),
    CutField(name="below -110", low_mm=-110, high_mm=None),
    CutField(name="below -70", low_mm=-70, high_mm=None),
    CutField(name="below -40", low_mm=-40, high_mm=None),
    CutField(name="both -120 +90", low_mm=-120, high_mm=90),
    CutField(name="both -90 +60", low_mm=-90, high_mm=60),
    CutField(name="both -60 +90", low_mm=-60, high_mm=90),
    CutField(name="both -60 +60", low_mm=-60, high_mm=60),
    CutField(name="both -45 +45", low_mm=-45, high_mm=45),
    CutField(name="both -30 +60", low_mm=-30, high_mm=60),
    CutField(name="both -60 +30", low_mm=-60, high_mm=30),
    CutField(name="without, L2 to T11", low_mm=21, high_mm=None, has_l3=False),
    CutField(name="without, L1 to T11", low_mm=45, high_mm=None, has_l3=False),
    CutField(name="without, femora to L4", low_mm=None, high_mm=-21, has_l3=False),
    CutField(name="without, femora to L5", low_mm=None, high_mm=-55, has_l3=False),
    CutField(name="without, L4 to sacrum", low_mm=-130, high_mm=-21, has_l3=False),
    CutField(name="without, femora to sacrum", low_mm=None, high_mm=-110, has_l3=False),
)


def example_case(path: Path, name: str, known: KnownCase | None) -> RealCase:
    """The whole field with all references."""
    volume = nifti_volume(path)
    labels = merged_reference(path.with_name("example_ct_labels.nii.gz"), volume)

    def reader(mask_name: str) -> Callable[[], Mask]:
        def read() -> Mask:
            crop = read_nifti(path.with_name(f"example_ct_sm_{mask_name}.nii.gz")).hu > 0
            whole = np.zeros(volume.shape, np.bool_)
            whole[CROP_SLICES] = crop
            return whole

        return read

    tissues = Reference(readers={s.value: reader(file) for s, file in TISSUE_FILES.items()})
    reference = tissues.beside(labels)
    l3 = reference.l3
    return RealCase(
        name=name,
        volume=volume,
        reference=reference,
        l3_z_mm=labelled_z_mm(l3, reference.canal, volume) if l3 is not None else None,
        known=known,
    )


def cut(case: RealCase, field: CutField) -> RealCase:
    """A part of a case's slices; nothing but the field changes."""
    assert case.volume is not None
    assert case.l3_z_mm is not None
    whole, middle = case.volume, case.l3_z_mm
    z_mm = whole.affine_lps[2, 3] + whole.places * whole.affine_lps[2, 0]
    low = z_mm[0] if field.low_mm is None else middle + field.low_mm
    high = z_mm[-1] if field.high_mm is None else middle + field.high_mm
    inside = np.flatnonzero((z_mm >= low) & (z_mm <= high))
    slices = slice(int(inside[0]), int(inside[-1]) + 1)
    affine = whole.affine_lps.copy()
    affine[:3, 3] += affine[:3, 0] * whole.places[slices.start]
    return replace(
        case,
        name=f"{case.name}, {field.name}",
        volume=Volume(hu=whole.hu[slices], affine_lps=affine),
        reference=case.reference.cropped(slices),
        l3_z_mm=middle if field.has_l3 else None,
        is_l3_absent=not field.has_l3,
        known=None,
    )
