"""What a pool holds: examples as uncompressed npz files, written whole or not at all; importable without torch."""

import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt


def _none() -> npt.NDArray[np.uint8]:
    return np.zeros(0, np.uint8)


def _unknown() -> npt.NDArray[np.float32]:
    return np.zeros((0, 3), np.float32)


def _four_mm() -> npt.NDArray[np.float32]:
    """Of pools that do not say."""
    return np.full(3, 4.0, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """Arrays that belong together; the file holds one array per field."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """The sample in a file; never unpickles."""
        with np.load(path, allow_pickle=False) as stored:
            held = [f.name for f in fields(cls) if f.name in stored.files]
            return cls(**{name: stored[name] for name in held})

    def write(self, path: Path) -> None:
        """Write beside the place and rename, so that a reader never meets half a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        arrays: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        with partial.open("wb") as file:
            np.savez(file, **arrays)
        partial.replace(path)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TorsoSample(Sample):
    """A torso at the pool's step, from which each task makes its own."""

    hu: npt.NDArray[np.int16]
    """[slice, row, column], canonical order."""
    labels: npt.NDArray[np.uint8]
    """Output channel of the organ network per voxel."""
    body_centre: npt.NDArray[np.float32]
    """Index (slice, row, column) of the body's middle."""
    tissues: npt.NDArray[np.uint8] = field(default_factory=_none)
    """Fine tissue per voxel, so that the torso can be painted anew; empty in pools that lack it."""
    landmarks: npt.NDArray[np.float32] = field(default_factory=_unknown)
    """Index (slice, row, column) of each landmark of the L3 locator, in the field or not; NaN where the anatomy has none."""
    step_mm: npt.NDArray[np.float32] = field(default_factory=_four_mm)
    """Of slices, rows and columns."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProjectionSample(Sample):
    """Projections of one field of view."""

    hu: npt.NDArray[np.int16]
    """[channel, row, column]; every row holds data."""
    landmark_rows: npt.NDArray[np.float32]
    """Row of each landmark, in or outside the field; NaN where the anatomy has none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SliceSample(Sample):
    """Axial slices of one anatomy on the tissue network's grid."""

    hu: npt.NDArray[np.int16]
    """[example, row, column]"""
    labels: npt.NDArray[np.uint8]
    """Output channel of the tissue network per pixel."""
    tissues: npt.NDArray[np.uint8] = field(default_factory=_none)
    """Fine tissue per pixel, as of TorsoSample."""


SAMPLE_FOLDERS: dict[type[Sample], str] = {
    TorsoSample: "torso",
    ProjectionSample: "projections",
    SliceSample: "slices",
}


def sample_files(pool: Path, kind: type[Sample]) -> list[Path]:
    """The complete files of a kind in a pool, ordered by seed."""
    return sorted((pool / SAMPLE_FOLDERS[kind]).glob("[!.]*.npz"))


def seed_of(path: Path) -> int:
    """The anatomy's seed: the number in front of the first hyphen."""
    return int(path.stem.split("-")[0])


def is_kept_back(path: Path, validation_share: float) -> bool:
    """Whether an anatomy belongs to the validation part; by seed, so that it never changes sides."""
    # The golden ratio spreads consecutive seeds evenly over 0..1, whatever the share.
    return (seed_of(path) * 0.6180339887498949) % 1.0 < validation_share
