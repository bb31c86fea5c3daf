"""Labelled cases of DICOM: a CT series and the Segmentations that refer to it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inference.dicom.read_series import load_series
from inference.domain.volume import Volume, canonical
from training.data.cases import Loaded
from training.data.nifti_sources import overlap_remarks
from training.data.problems import Problem
from training.label_names import OUR_NUMBERS, our_name, ours_as_table
from training.real.reference_seg import reference_from_segs


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomSeg:
    """A CT series with Segmentations."""

    images: tuple[Path, ...]
    segmentations: tuple[Path, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files."""
        return *self.images, *self.segmentations

    @property
    def names(self) -> frozenset[str]:
        """Unknown before the Segmentations are read."""
        return frozenset()

    def load(self) -> Loaded:
        """Everything; raises HabitusError."""
        series = load_series(self.images)
        volume = canonical(series.volume)
        numbers = np.zeros(volume.shape, np.uint8)
        labelled: set[str] = set()
        remarks = [_flagged(flag) for flag in series.flags]
        overlapping = 0
        for path in self.segmentations:
            for place, (name, mask) in enumerate(_masks(path, volume), start=1):
                if not mask.any():
                    remarks.append(_empty(place))
                    continue
                labelled.add(name)
                others = mask & (numbers != 0) & (numbers != OUR_NUMBERS[name])
                overlapping += int(others.sum())
                numbers[mask] = OUR_NUMBERS[name]
        meanings = {n: name for n, name in ours_as_table().meanings.items() if name in labelled}
        return Loaded(
            volume=volume,
            numbers=numbers,
            label_affine=volume.affine_lps,
            table=type(ours_as_table())(meanings=meanings),
            remarks=(*remarks, *overlap_remarks(overlapping, int(np.count_nonzero(numbers)))),
        )


def _masks(
    path: Path, volume: Volume
) -> Iterable[tuple[str, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]]:
    """Of the segments that are of ours, by our names."""
    for name, read in reference_from_segs([path], volume).readers.items():
        if ours := our_name(name):
            yield ours, read()


def _flagged(flag: str) -> Problem:
    return Problem(
        where="image",
        found=flag,
        wanted="images as the scanner made them",
        advice="Look at the case before you train on it.",
        is_error=False,
    )


def _empty(place: int) -> Problem:
    return Problem(
        where="label",
        found=f"segment {place} of ours without a voxel on the series",
        wanted="a segment that lies on the images",
        advice="Check that the Segmentation belongs to this series.",
        is_error=False,
    )
