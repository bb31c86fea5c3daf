"""Axial slices of labelled CT on a square grid, with what is labelled in them; made by the functions the node uses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.stages.prompts import SquareView
from training.data.cases import LabelledVolume
from training.label_names import OUR_NUMBERS


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OrganSlice:
    """One slice of one case."""

    hu: npt.NDArray[np.int16]
    """[side, side]"""
    channels: npt.NDArray[np.uint8]
    """[side, side]: a structure's place among those asked for, from 1; 0 is anything else."""
    is_labelled: npt.NDArray[np.bool_]
    """Of each structure, whether this case has labels of it: elsewhere its absence says nothing."""
    present: tuple[int, ...]
    """Channels with pixels enough to be asked about."""


def channel_map(labels: npt.NDArray[np.uint8], structures: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Our numbers to places among `structures`, from 1."""
    lookup = np.zeros(256, np.uint8)
    for channel, name in enumerate(structures, start=1):
        lookup[OUR_NUMBERS[name]] = channel
    mapped: npt.NDArray[np.uint8] = lookup[labels]
    return mapped


def view_of(case: LabelledVolume, side: int) -> SquareView:
    """The same for all slices of a case."""
    _, rows, columns = case.volume.shape
    _, row_mm, column_mm = case.volume.spacing_mm
    return SquareView(shape=(rows, columns), spacing_mm=(row_mm, column_mm), side=side)


def organ_slices(
    case: LabelledVolume,
    structures: Sequence[str],
    side: int,
    *,
    least_pixels: int,
    step_mm: float = 0.0,
) -> Iterator[OrganSlice]:
    """Slices of a case that hold any of the structures."""
    view = view_of(case, side)
    labelled = np.array([name in case.names for name in structures])
    channels = channel_map(case.labels, structures)
    stride = max(1, round(step_mm / case.volume.spacing_mm[0]))
    for index in range(0, len(channels), stride):
        if not channels[index].any():
            continue
        square = view.labels(channels[index])
        counts = np.bincount(square.ravel(), minlength=len(structures) + 1)
        present = tuple(
            channel for channel in range(1, len(structures) + 1) if counts[channel] >= least_pixels
        )
        if present:
            hu = view.image(case.volume.hu[index].astype(np.float32))
            yield OrganSlice(
                hu=np.round(hu).astype(np.int16),
                channels=square,
                is_labelled=labelled,
                present=present,
            )
