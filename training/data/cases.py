"""A labelled CT, wherever it comes from: a name, a patient, and how it is read."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from inference.domain.volume import Affine, Volume
from training.data.problems import Problem, stop_at_errors
from training.label_names import LabelTable
from training.nifti import corners_apart_mm, whole_hu

SAME_PLACE_MM = 0.01
"""Float32 headers differ by this much."""
COUNTED_AT_ONCE = 65_535
FAR_NUMBER = 2.0**31
"""Float32 holds no whole numbers apart there; no label map has them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Loaded:
    """Image and labels as their files hold them, both in canonical order, not yet on one grid."""

    volume: Volume
    """Its values as stored: neither rounded nor clipped."""
    numbers: npt.NDArray[Any]
    """The data set's own numbers."""
    label_affine: Affine
    table: LabelTable
    remarks: tuple[Problem, ...] = ()
    """What the reader saw on the way."""


class Source(Protocol):
    """Where image and labels come from."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Files; none where code makes the case."""

    @property
    def names(self) -> frozenset[str]:
        """Which of our structures are labelled here, as far as can be known before reading."""

    def load(self) -> Loaded:
        """Everything; raises HabitusError."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledVolume:
    """What a training reads."""

    volume: Volume
    """HU as int16, canonical order."""
    labels: npt.NDArray[np.uint8]
    """[slice, row, column] in label_names.OUR_NUMBERS, on the volume's grid."""
    names: frozenset[str]
    """What is labelled: what is not among it may be anywhere in the background."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledCase:
    """One scan with labels."""

    name: str
    patient: str
    """The same for all scans of one person; a hash where it comes from DICOM."""
    source: Source

    def read(self) -> LabelledVolume:
        """Image and labels; raises TrainingDataUnfit where they do not belong together, and other HabitusErrors."""
        loaded = self.source.load()
        stop_at_errors([p.at(self.name) for p in (*loaded.remarks, *unreadable(loaded))])
        return labelled(loaded)


def labelled(loaded: Loaded) -> LabelledVolume:
    """Of what `unreadable` has nothing against."""
    return LabelledVolume(
        volume=whole_hu(loaded.volume),
        labels=loaded.table.ours(loaded.numbers),
        names=loaded.table.names,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCases:
    """What lies in a folder of a known layout."""

    layout: str
    title: str
    cases: tuple[LabelledCase, ...]
    problems: tuple[Problem, ...] = ()
    """Images without labels and the reverse, and whatever else needs no voxel to be seen."""
    notes: tuple[str, ...] = field(default_factory=tuple)
    """What was left aside, in words."""


def unreadable(loaded: Loaded) -> Iterable[Problem]:
    """Why labels cannot be put on the image, if anything speaks against it."""
    yield from _grid_problems(loaded)
    yield from _number_problems(loaded)
    finite = np.isfinite(loaded.volume.hu)
    if not finite.all():
        yield Problem(
            where="image",
            found=f"{int((~finite).sum())} voxels that are no number (NaN or infinite)",
            wanted="Hounsfield units everywhere",
            advice="Convert the original images again; never fill such voxels unseen.",
        )


def _grid_problems(loaded: Loaded) -> Iterable[Problem]:
    volume = loaded.volume
    if volume.shape != loaded.numbers.shape:
        yield Problem(
            where="label",
            found=f"{_by(loaded.numbers.shape)} voxels beside an image of {_by(volume.shape)}",
            wanted="labels on the image's own grid",
            advice="Take the label of this image, or resample it by nearest neighbour.",
        )
        return
    apart_mm = corners_apart_mm(volume.affine_lps, loaded.label_affine, volume.shape)
    if apart_mm > SAME_PLACE_MM:
        yield Problem(
            where="label",
            found=f"labels up to {apart_mm:.3g} mm away from the image",
            wanted="the same place in space",
            advice="If both lie on each other voxel by voxel, copy the image's affine to the label.",
            is_error=apart_mm > min(volume.spacing_mm) / 2,
        )


def _number_problems(loaded: Loaded) -> Iterable[Problem]:
    numbers = loaded.numbers
    if numbers.dtype.kind == "f":
        odd = numbers[(numbers != np.rint(numbers)) | ~(np.abs(numbers) < FAR_NUMBER)]
        if odd.size:
            yield Problem(
                where="label",
                found=f"labels that are no whole numbers ({_few(np.unique(odd))})",
                wanted="one whole number per voxel",
                advice="The label was interpolated, or is a probability: take the original.",
            )
            return
    known = {0, *loaded.table.meanings}
    counts = counted(numbers)
    strange = [(number, count) for number, count in sorted(counts.items()) if number not in known]
    if strange:
        shown = ", ".join(f"{n} ({c} voxels)" for n, c in strange[:6])
        yield Problem(
            where="label",
            found=f"labels outside the table: {shown}{' …' if len(strange) > 6 else ''}",
            wanted=f"0 and {_range(sorted(loaded.table.meanings))}",
            advice="Name the right layout, or add the numbers to your table.",
        )


def counted(numbers: npt.NDArray[Any]) -> Mapping[int, int]:
    """Voxels of every whole number; a slice at a time, since sorting a whole scan takes many times as long."""
    total: Counter[int] = Counter()
    for plane in numbers:
        whole = plane.astype(np.int64).ravel()
        if whole.size and whole.min() >= 0 and whole.max() <= COUNTED_AT_ONCE:
            counts = np.bincount(whole)
            total.update({int(n): int(counts[n]) for n in np.flatnonzero(counts)})
        else:
            present, often = np.unique(whole, return_counts=True)
            total.update(dict(zip(present.tolist(), often.tolist(), strict=True)))
    return total


def _by(shape: Sequence[int]) -> str:
    return " × ".join(str(size) for size in shape)


def _few(values: npt.NDArray[Any]) -> str:
    return ", ".join(f"{value:g}" for value in values[:4]) + (" …" if values.size > 4 else "")


def _range(numbers: Sequence[int]) -> str:
    if len(numbers) > 3 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(str(number) for number in numbers)
