"""Thirteen organs from labelled CT by residual U-Nets: random patches in three dimensions, or stacks of slices."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from inference.domain.errors import ConfigurationInvalid
from inference.domain.volume import Volume, index_at
from inference.stages.grids import resample
from training.augment import (
    Chance,
    affine_grid,
    elastic_grid,
    normalise,
    normalise_varied,
    random_affine,
    vary_hu,
    warp_hu,
    warp_labels,
)
from training.config import TrainConfig, options_of
from training.data.cases import LabelledVolume
from training.label_names import OUR_NUMBERS
from training.published_losses import sparse_entropy_dice_loss
from training.source import Source
from training.tasks.labelled import LabelledExamples
from training.tasks.organs import cut
from training.tasks.scores import DiceCount
from training.tasks.store import Example


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganOptions:
    """[options] of a configuration."""

    organ_share: float = 0.8
    """Part of the patches that are cut about a voxel of an organ, every organ as often; the others come from anywhere."""
    patches_per_scan: int = 1
    """Of an epoch."""

    def __post_init__(self) -> None:
        if not 0 <= self.organ_share <= 1 or self.patches_per_scan < 1:
            raise ConfigurationInvalid(
                found=f"organ_share {self.organ_share}, patches_per_scan {self.patches_per_scan}",
                wanted="a share of 0 to 1, and one patch at least",
                advice="Mend [options] of the configuration.",
            )


class ResidualOrganTask:
    """See training.tasks.task.Task; of both recipes, which differ in network and grid alone."""

    def __init__(self, config: TrainConfig, source: Source, device: torch.device) -> None:
        self._config, self._device = config, device
        self._options = options_of(OrganOptions, config)
        self._spec = config.specification
        self._examples = LabelledExamples(
            source, config, wanted=self._spec.labels[1:], examples_of=self._scan_of
        )
        # A rotated and shrunk patch reaches beyond itself; without the margin it would meet air.
        self._outer = tuple(n + 2 * (n // 6) for n in config.input_shape)

    def grow(self) -> None:
        self._examples.grow()

    def describe(self) -> str:
        return f"Patches of {self._examples.data.described()}"

    def data_hash(self) -> str:
        return self._examples.data.data_hash

    def examples(self) -> int:
        return len(self._examples.training) * self._options.patches_per_scan

    def batch(self, chance: Chance) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        config, scans = self._config, self._examples.training
        drawn = chance.in_turn(self.examples(), config.batch_size)
        patches = [self._patch(scans[index % len(scans)], chance) for index in drawn]
        hu = torch.stack([hu.to(self._device).float() for hu, _ in patches])
        labels = torch.stack([labels.to(self._device) for _, labels in patches])
        matrix, shift = random_affine(len(patches), 3, config.augmentation, chance, max_shift=0.5)
        grid = affine_grid(matrix, shift, self._outer, config.input_shape)
        bend = config.augmentation.elastic_mm / self._spec.spacing_mm[-1]
        grid = elastic_grid(grid, self._outer, bend, chance)
        hu, labels = warp_hu(hu, grid), warp_labels(labels, grid)
        hu = vary_hu(hu, config.augmentation, chance)
        return (normalise_varied(hu, config, chance),), (labels[:, 0],)

    def loss(self, logits: Tensor, targets: tuple[Tensor, ...]) -> Tensor:
        return sparse_entropy_dice_loss(logits, targets[0])

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Dice over whole scans, by patches as the node lays them, added up over the cases."""
        score = DiceCount(self._spec.labels, self._device)
        for (scan,) in self._examples.validation:
            score.add(self._answer(network, scan), scan["labels"][None].to(self._device).long())
        return score.dice()

    def _answer(self, network: nn.Module, scan: Example) -> Tensor:
        from monai.inferers import sliding_window_inference

        inputs = normalise(scan["hu"][None, None].to(self._device).float(), self._config)
        air = (0.0 - self._config.mean) / self._config.sd
        logits = sliding_window_inference(
            inputs, self._config.input_shape, 1, network, overlap=0.5, mode="gaussian", cval=air
        )
        return torch.as_tensor(logits).argmax(1)

    def _patch(self, scan: Example, chance: Chance) -> tuple[Tensor, Tensor]:
        size = scan["hu"].shape
        centre = [float(chance.host.integers(n)) for n in size]
        present = [name for name in scan if name.startswith("places_")]
        if present and chance.host.random() < self._options.organ_share:
            places = scan[present[chance.choice(len(present), 1)[0]]]
            centre = places[chance.choice(len(places), 1)[0]].tolist()
        reach = self._config.augmentation.shift_mm
        offset = chance.host.uniform(-reach, reach, 3) / np.array(self._spec.spacing_mm)
        return cut(scan, [at + by for at, by in zip(centre, offset, strict=True)], self._outer)

    def _scan_of(self, case: LabelledVolume) -> Iterator[Example]:
        yield scan_on_grid(case, self._spec.spacing_mm, self._spec.labels)


def scan_on_grid(
    case: LabelledVolume, spacing_mm: tuple[float, ...], channels: tuple[str, ...]
) -> Example:
    """HU and output channels on the network's grid, and where some voxels of each organ lie."""
    coarse = resample(case.volume, spacing_mm)
    lookup = np.zeros(256, np.uint8)
    for channel, label in enumerate(channels[1:], start=1):
        lookup[OUR_NUMBERS[label]] = channel
    labels = lookup[nearest_labels(case, coarse)]
    scan = {
        "hu": torch.from_numpy(np.rint(coarse.hu).astype(np.int16)),
        "labels": torch.from_numpy(labels),
    }
    for channel in range(1, len(channels)):
        places = np.argwhere(labels == channel)
        if len(places):
            scan[f"places_{channel}"] = torch.from_numpy(places[:: max(1, len(places) // 500)])
    return scan


def nearest_labels(case: LabelledVolume, grid: Volume) -> npt.NDArray[np.uint8]:
    """Our numbers at a resampled volume's voxels."""
    source = case.volume
    first = index_at(source.affine_lps, grid.affine_lps[:3, 3])
    index = []
    for axis, places in enumerate((source.places, *map(np.arange, source.shape[1:]))):
        scale = grid.spacing_mm[axis] / source.spacing_mm[axis]
        wanted = first[axis] + scale * np.arange(grid.shape[axis])
        # Slices need not be even: halfway between two the nearer one changes.
        index.append(np.searchsorted((places[1:] + places[:-1]) / 2, wanted))
    return case.labels[np.ix_(*index)]
