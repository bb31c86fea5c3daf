"""Labelled cases of NIfTI files: an image and a map of numbers, or an image and a mask per class."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inference.domain.volume import Volume
from training.data.cases import SAME_PLACE_MM, Loaded
from training.data.problems import Problem
from training.label_names import OUR_NUMBERS, LabelTable
from training.nifti import DISAGREEMENT_MM, corners_apart_mm, read_header, read_nifti


@dataclass(frozen=True, slots=True, kw_only=True)
class NiftiPair:
    """An image and one map of numbers."""

    image: Path
    label: Path
    table: LabelTable

    @property
    def paths(self) -> tuple[Path, ...]:
        """Both files."""
        return self.image, self.label

    @property
    def names(self) -> frozenset[str]:
        """As the table says."""
        return self.table.names

    def load(self) -> Loaded:
        """Everything; raises HabitusError."""
        volume = read_nifti(self.image)
        label = read_nifti(self.label)
        return Loaded(
            volume=volume,
            numbers=label.hu,
            label_affine=label.affine_lps,
            table=self.table,
            remarks=(*place_remarks(self.image, "image"), *place_remarks(self.label, "label")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NiftiMasks:
    """An image and a mask per class, by our names."""

    image: Path
    masks: Mapping[str, tuple[Path, ...]]
    """Several where a class comes in parts."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files."""
        return self.image, *(path for paths in self.masks.values() for path in paths)

    @property
    def names(self) -> frozenset[str]:
        """Of every class with a file."""
        return frozenset(self.masks)

    def load(self) -> Loaded:
        """Everything; raises HabitusError."""
        volume = read_nifti(self.image)
        numbers = np.zeros(volume.shape, np.uint8)
        remarks = list(place_remarks(self.image, "image"))
        overlapping = 0
        for name, paths in self.masks.items():
            for path in paths:
                mask = read_nifti(path)
                if trouble := list(_mask_troubles(mask, volume, path)):
                    remarks += trouble
                    continue
                inside = mask.hu > 0.5
                overlapping += int(
                    numbers[inside & (numbers != OUR_NUMBERS[name])].astype(bool).sum()
                )
                numbers[inside] = OUR_NUMBERS[name]
        meanings = {OUR_NUMBERS[name]: name for name in self.masks}
        return Loaded(
            volume=volume,
            numbers=numbers,
            label_affine=volume.affine_lps,
            table=LabelTable(meanings=meanings),
            remarks=(*remarks, *overlap_remarks(overlapping, int(np.count_nonzero(numbers)))),
        )


def overlap_remarks(overlapping: int, labelled: int) -> Iterable[Problem]:
    """Where masks share voxels only one can keep them."""
    if overlapping:
        yield Problem(
            where="label",
            found=f"{overlapping} voxels of two masks ({overlapping / labelled:.2%} of what is labelled)",
            wanted="one structure per voxel",
            advice="The later one by name keeps them; mend the masks where that matters.",
            is_error=overlapping > 0.05 * labelled,
        )


def _mask_troubles(mask: Volume, volume: Volume, path: Path) -> Iterable[Problem]:
    advice = "Take the mask that was made on this image."
    if mask.shape != volume.shape:
        found = " × ".join(str(size) for size in mask.shape)
        wanted = " × ".join(str(size) for size in volume.shape)
        yield Problem(where=path.name, found=f"{found} voxels", wanted=wanted, advice=advice)
        return
    apart_mm = corners_apart_mm(mask.affine_lps, volume.affine_lps, volume.shape)
    if apart_mm > max(SAME_PLACE_MM, min(volume.spacing_mm) / 2):
        yield Problem(
            where=path.name,
            found=f"a mask up to {apart_mm:.3g} mm away from the image",
            wanted="the same place in space",
            advice=advice,
        )
    if not np.isfinite(mask.hu).all():
        yield Problem(
            where=path.name, found="voxels that are no number", wanted="0 and 1", advice=advice
        )


def place_remarks(path: Path, where: str) -> Iterable[Problem]:
    """What a NIfTI header leaves in doubt."""
    header = read_header(path)
    if not header.has_place:
        yield Problem(
            where=where,
            found="a header that does not say where left, back and head are (sform and qform code 0)",
            wanted="a place in space",
            advice="Make sure that sides are right (the pictures of the report), then save it with its affine.",
            is_error=False,
        )
    if header.disagreement_mm > DISAGREEMENT_MM:
        yield Problem(
            where=where,
            found=f"two places in one header (sform and qform, {header.disagreement_mm:.3g} mm apart)",
            wanted="one",
            advice="Other software may read the other one; the sform is taken here.",
            is_error=False,
        )
