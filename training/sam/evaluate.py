"""Dice of kept-back cases twice: with prompts from the truth, as papers do, and from our own 3D masks, as a node can."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.domain.labelmap import Structure
from inference.domain.predictor import Predictor
from inference.segment_organs import segment_organs
from training.data.cases import LabelledCase, LabelledVolume
from training.label_names import KIDNEY
from training.sam.answers import Masks, SliceNetwork
from training.slices.organ_slice import channel_map

FROM_TRUTH, FROM_OURS = "prompt from truth", "prompt from our 3D mask"
OURS_ALONE = "our 3D network alone"
GRID_SHIFTS = (0.0, 0.5)
"""As in the profiles that are shipped."""

Counts = npt.NDArray[np.int64]
"""[channel]: pixels."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """Pixels of one network, one way of asking and one case, over the slices that hold a structure or were said to."""

    shared: Counts
    both: Counts

    def add(self, found: Masks, truth: npt.NDArray[np.uint8]) -> None:
        """One slice, its truth by channel."""
        for channel in range(1, len(self.shared)):
            true = truth == channel
            seen = found.get(channel)
            self.both[channel] += int(true.sum())
            if seen is not None:
                self.shared[channel] += int((seen & true).sum())
                self.both[channel] += int(seen.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A network in the table."""

    name: str
    asked: str
    """FROM_TRUTH or FROM_OURS."""
    dice: Mapping[str, float]
    """By structure: mean over cases of the Dice of all slices of a case together."""

    @property
    def mean(self) -> float:
        """Over the structures."""
        return float(np.mean(list(self.dice.values()))) if self.dice else float("nan")


@dataclass(slots=True, kw_only=True)
class _Scores:
    structures: tuple[str, ...]
    dice: dict[tuple[str, str], dict[str, list[float]]] = field(default_factory=dict)

    def take(self, key: tuple[str, str], tally: Tally) -> None:
        by_name = self.dice.setdefault(key, {name: [] for name in self.structures})
        for channel, name in enumerate(self.structures, start=1):
            if tally.both[channel] > 0:
                by_name[name].append(2 * tally.shared[channel] / tally.both[channel])

    def rows(self) -> list[Row]:
        return [
            Row(
                name=name,
                asked=asked,
                dice={s: float(np.mean(values)) for s, values in by.items() if values},
            )
            for (name, asked), by in self.dice.items()
        ]


def evaluate(
    networks: Mapping[str, SliceNetwork],
    cases: Sequence[LabelledCase],
    structures: tuple[str, ...],
    organs: Predictor,
) -> list[Row]:
    """All rows; a structure that is not labelled in a case does not count there."""
    scores = _Scores(structures=structures)
    for number, case in enumerate(cases, 1):
        read = case.read()
        for key, tally in _of_case(networks, read, structures, organs).items():
            labelled = np.array([True, *(name in read.names for name in structures)])
            tally.both[~labelled] = 0
            scores.take(key, tally)
        sys.stderr.write(f"evaluated {number} of {len(cases)} cases\n")
    return scores.rows()


def _of_case(
    networks: Mapping[str, SliceNetwork],
    read: LabelledVolume,
    structures: tuple[str, ...],
    organs: Predictor,
) -> dict[tuple[str, str], Tally]:
    truth = channel_map(read.labels, structures)
    ours = our_channels(read, structures, organs)
    size = len(structures) + 1
    tallies: dict[tuple[str, str], Tally] = {}

    def tally(name: str, asked: str) -> Tally:
        empty = np.zeros((2, size), np.int64)
        return tallies.setdefault((name, asked), Tally(shared=empty[0], both=empty[1]))

    spacing_mm = read.volume.spacing_mm[1:]
    for index in np.flatnonzero((truth.any((1, 2))) | (ours.any((1, 2)))):
        hu: Any = read.volume.hu[index]
        seen, true = masks_of(ours[index]), masks_of(truth[index])
        tally(OURS_ALONE, FROM_OURS).add(seen, truth[index])
        for name, network in networks.items():
            found = network.answer(hu, spacing_mm, true)
            tally(name, FROM_TRUTH).add(found, truth[index])
            if network.takes_prompts:
                found = network.answer(hu, spacing_mm, seen)
            tally(name, FROM_OURS).add(found, truth[index])
    return tallies


def our_channels(
    read: LabelledVolume, structures: Sequence[str], organs: Predictor
) -> npt.NDArray[np.uint8]:
    """The node's own organs on the case's grid, by channel."""
    labels = segment_organs(read.volume, organs, GRID_SHIFTS, lambda _stage, _share: None)
    channels = np.zeros(read.labels.shape, np.uint8)
    for channel, name in enumerate(structures, start=1):
        sides = (Structure.KIDNEY_RIGHT, Structure.KIDNEY_LEFT)
        for structure in sides if name == KIDNEY else (Structure(name),):
            channels[labels.mask(structure)] = channel
    return channels


def masks_of(channels: npt.NDArray[np.uint8]) -> Masks:
    """Of one slice."""
    return {int(c): channels == c for c in np.unique(channels) if c > 0}
