"""Slices of labelled CT as varied batches, for networks with prompts and without."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.augment import (
    Chance,
    affine_grid,
    normalise,
    normalise_varied,
    random_affine,
    vary_hu,
    warp_hu,
    warp_labels,
)
from training.config import TrainConfig, options_of
from training.slices.organ_slice import OrganSlice, organ_slices
from training.slices.slice_options import SliceOptions
from training.source import Source
from training.tasks.labelled import LabelledExamples

GRID_PX_MM = 0.8
"""A usual pixel, which shifts in mm are counted in: slices fill the grid whatever their size."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SliceBatch:
    """On the device."""

    images: Tensor
    """[slice, 1, row, column], normalised."""
    channels: Tensor
    """[slice, row, column]: a structure's place, 0 is anything else."""
    is_labelled: Tensor
    """[slice, structure]: 1 where the case has labels of it."""


class SliceExamples:
    """The training and kept-back slices of a source."""

    def __init__(self, config: TrainConfig, source: Source, device: torch.device) -> None:
        self.options = options_of(SliceOptions, config)
        self.structures = config.specification.labels[1:]
        self.store = _store(config, source, self.options)
        self._config, self._device = config, device

    def describe(self) -> str:
        """In a sentence."""
        return f"{len(self.store.training)} slices. {self.store.data.described()}"

    def drawn(self, chance: Chance) -> SliceBatch:
        """The next training slices, varied."""
        config, side = self._config, self._config.input_shape
        places = chance.in_turn(len(self.store.training), config.batch_size)
        hu, channels, is_labelled = self._arrays([self.store.training[n] for n in places])
        reach = config.augmentation.shift_mm / GRID_PX_MM * side[0] / 512
        matrix, shift = random_affine(len(places), 2, config.augmentation, chance, max_shift=reach)
        grid = affine_grid(matrix, shift, hu.shape[2:], side)
        hu, channels = warp_hu(hu, grid), warp_labels(channels, grid)
        hu = vary_hu(hu, config.augmentation, chance)
        return SliceBatch(
            images=normalise_varied(hu, config, chance),
            channels=channels[:, 0],
            is_labelled=is_labelled,
        )

    def as_they_are(self, slices: Sequence[OrganSlice]) -> SliceBatch:
        """For scores."""
        hu, channels, is_labelled = self._arrays(slices)
        return SliceBatch(
            images=normalise(hu, self._config),
            channels=channels[:, 0].long(),
            is_labelled=is_labelled,
        )

    def _arrays(self, slices: Sequence[OrganSlice]) -> tuple[Tensor, Tensor, Tensor]:
        hu = torch.from_numpy(np.stack([one.hu for one in slices]))[:, None]
        channels = torch.from_numpy(np.stack([one.channels for one in slices]))[:, None]
        labelled = torch.from_numpy(np.stack([one.is_labelled for one in slices]))
        return (
            hu.to(self._device).float(),
            channels.to(self._device),
            labelled.to(self._device).float(),
        )


_last_read: dict[tuple[Any, ...], LabelledExamples[OrganSlice]] = {}
"""Networks that are compared are trained one after the other on the same slices, which cost more to read than to keep."""


def _store(
    config: TrainConfig, source: Source, options: SliceOptions
) -> LabelledExamples[OrganSlice]:
    side, structures = config.input_shape[0], config.specification.labels[1:]
    how = (side, structures, options.least_pixels, options.step_mm)
    key = (source, how, config.seed, config.validation_share, config.validation_examples)
    if key not in _last_read:
        _last_read.clear()
        _last_read[key] = LabelledExamples(
            source,
            config,
            wanted=(),
            examples_of=lambda case: organ_slices(
                case,
                structures,
                side,
                least_pixels=options.least_pixels,
                step_mm=options.step_mm,
            ),
        )
    return _last_read[key]
