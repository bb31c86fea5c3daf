"""L3 tissue from labelled CT: slices at and about L3, each shown through windows drawn at random."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from monai.metrics import MeanIoU
from monai.networks import one_hot
from torch import Tensor, nn

from inference.domain.errors import ConfigurationInvalid
from inference.domain.labelmap import Structure
from inference.stages.grids import PlaneGrid, body_mask, centred_plane
from inference.stages.segment_tissue import middle_of
from training.augment import (
    Chance,
    affine_grid,
    chance_for,
    normalise,
    random_affine,
    vary_hu,
    warp_hu,
    warp_labels,
)
from training.config import TrainConfig, options_of
from training.data.cases import LabelledVolume
from training.label_names import L3, OUR_NUMBERS
from training.published_losses import class_weights, weighted_bce_dice_loss
from training.source import Source
from training.tasks.labelled import LabelledExamples

WANTED = (
    Structure.SKELETAL_MUSCLE.value,
    Structure.SUBCUTANEOUS_FAT.value,
    Structure.VISCERAL_FAT.value,
    L3,
)
INSIDE_MUSCLE = Structure.INTERMUSCULAR_FAT.value
"""Part of the muscle compartment, as for the node's own network; the HU windows part them again."""
SLICES_AT_ONCE = 8
OPTIMISTIC = "optimistic_"
"""Before the names of scores that no new patient gave: a gate on "iou" never holds by them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowOptions:
    """[options] of a configuration."""

    window_level: tuple[float, ...] = (-250.0, 250.0)
    """HU in the middle of a drawn window: lowest and highest."""
    window_width: tuple[float, ...] = (400.0, 1200.0)
    windows_per_slice: int = 200
    """Samples made of a slice in an epoch; streamed, never stored."""
    around_l3_mm: float = 0.0
    """How far above and below the vertebra slices are taken, too."""
    optimistic_split: bool = False
    """Keep back windows instead of patients, as the publication did: its scores tell nothing about new patients."""

    def __post_init__(self) -> None:
        rules = {
            f"window_level {self.window_level}": _is_range(self.window_level),
            f"window_width {self.window_width}": _is_range(self.window_width)
            and self.window_width[0] > 0,
            f"windows_per_slice {self.windows_per_slice}": self.windows_per_slice >= 1,
            f"around_l3_mm {self.around_l3_mm}": self.around_l3_mm >= 0,
        }
        for found, holds in rules.items():
            if not holds:
                raise ConfigurationInvalid(
                    found=found,
                    wanted="a lowest and a highest value, one window and 0 mm at least",
                    advice="Mend [options] of the configuration.",
                )


def _is_range(values: tuple[float, ...]) -> bool:
    return len(values) == 2 and values[0] <= values[1]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TissuePlane:
    """A slice on the network's grid."""

    hu: npt.NDArray[np.int16]
    labels: npt.NDArray[np.uint8]
    """Output channels."""


class TissueWindowsTask:
    """See training.tasks.task.Task."""

    def __init__(self, config: TrainConfig, source: Source, device: torch.device) -> None:
        self._config, self._device = config, device
        self._options = options_of(WindowOptions, config)
        self._labels = config.specification.labels
        self._examples = LabelledExamples(
            source, config, wanted=WANTED, examples_of=self._planes_of
        )
        self._training: list[TissuePlane] = []
        self._weights = torch.ones(len(self._labels), device=device)

    def grow(self) -> None:
        """Read everything at the first call."""
        if self._training:
            return
        self._examples.grow()
        self._training = list(self._examples.training)
        if self._options.optimistic_split:
            self._training += [plane for case in self._examples.validation for plane in case]
        counts = sum(
            np.bincount(plane.labels.ravel(), minlength=len(self._labels))
            for plane in self._training
        )
        self._weights = class_weights(torch.as_tensor(counts)).to(self._device)

    def describe(self) -> str:
        text = f"{len(self._training)} slices at L3, {self._options.windows_per_slice} windows of each, of {self._examples.data.described()}"
        if self._options.optimistic_split:
            text += " OPTIMISTIC: kept back were windows of the very slices that were trained on, all patients' among them; the scores tell nothing about new patients."
        return text

    def data_hash(self) -> str:
        return self._examples.data.data_hash

    def examples(self) -> int:
        return len(self._training) * self._options.windows_per_slice

    def batch(self, chance: Chance) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        config = self._config
        drawn = chance.in_turn(self.examples(), config.batch_size)
        planes = [self._training[index % len(self._training)] for index in drawn]
        hu, labels = self._placed(planes)
        reach = config.augmentation.shift_mm / config.specification.spacing_mm[0]
        matrix, shift = random_affine(len(planes), 2, config.augmentation, chance, max_shift=reach)
        grid = affine_grid(matrix, shift, hu.shape[2:], config.input_shape)
        hu, labels = warp_hu(hu, grid), warp_labels(labels, grid)
        hu = vary_hu(hu, config.augmentation, chance)
        return (self._windowed(hu, chance),), (labels[:, 0],)

    def loss(self, logits: Tensor, targets: tuple[Tensor, ...]) -> Tensor:
        return weighted_bce_dice_loss(logits, targets[0], self._weights)

    def validate(self, network: nn.Module) -> dict[str, float]:
        score = MeanIoU(include_background=False)
        for inputs, labels in self._kept_back():
            answer = network(inputs).argmax(1, keepdim=True)
            classes = len(self._labels)
            score(y_pred=one_hot(answer, classes), y=one_hot(labels, classes))
        # Per slice and tissue; where neither has the tissue there is nothing to score.
        values = score.get_buffer().nanmean(0).tolist()
        prefix = OPTIMISTIC if self._options.optimistic_split else ""
        named = zip(self._labels[1:], values, strict=True)
        scores = {f"{prefix}iou_{label}": value for label, value in named}
        return scores | {f"{prefix}iou": float(np.mean(values))}

    def _kept_back(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Through the fixed window of the configuration; windows drawn once where windows were kept back."""
        chance = chance_for(self._device, self._config.seed)
        if self._options.optimistic_split:
            share = round(len(self._training) * self._config.validation_share)
            indices = chance.choice(len(self._training), max(1, share))
            planes = [self._training[index] for index in indices]
        else:
            planes = [plane for case in self._examples.validation for plane in case]
        for first in range(0, len(planes), SLICES_AT_ONCE):
            hu, labels = self._placed(planes[first : first + SLICES_AT_ONCE])
            if self._options.optimistic_split:
                yield self._windowed(hu, chance), labels.long()
            else:
                yield normalise(hu, self._config), labels.long()

    def _placed(self, planes: list[TissuePlane]) -> tuple[Tensor, Tensor]:
        hu = torch.from_numpy(np.stack([plane.hu for plane in planes]))[:, None]
        labels = torch.from_numpy(np.stack([plane.labels for plane in planes]))[:, None]
        return hu.to(self._device).float(), labels.to(self._device)

    def _windowed(self, hu: Tensor, chance: Chance) -> Tensor:
        """Every slice through a window of its own, normalised as the fixed one is."""
        shape = (len(hu), 1, 1, 1)
        level = chance.uniform(shape, *self._options.window_level)
        width = chance.uniform(shape, *self._options.window_width)
        unit = ((hu - level) / width + 0.5).clamp(0.0, 1.0)
        return (unit - self._config.mean) / self._config.sd

    def _planes_of(self, case: LabelledVolume) -> Iterator[TissuePlane]:
        rows, columns = self._config.input_shape
        spacing_mm = self._config.specification.spacing_mm
        grid = PlaneGrid((rows, columns), (spacing_mm[0], spacing_mm[1]))
        yield from planes_at_l3(case, grid, self._labels, self._options.around_l3_mm)


def planes_at_l3(
    case: LabelledVolume, grid: PlaneGrid, channels: tuple[str, ...], around_l3_mm: float
) -> Iterator[TissuePlane]:
    """The slices that L3 reaches, and those so near; as the node would cut them."""
    volume = case.volume
    lookup = np.zeros(256, np.uint8)
    for channel, label in enumerate(channels[1:], start=1):
        lookup[OUR_NUMBERS[label]] = channel
    lookup[OUR_NUMBERS[INSIDE_MUSCLE]] = lookup[OUR_NUMBERS[Structure.SKELETAL_MUSCLE.value]]
    bony = np.flatnonzero((case.labels == OUR_NUMBERS[L3]).any(axis=(1, 2)))
    if not bony.size:
        return
    margin = round(around_l3_mm / volume.spacing_mm[0])
    first, last = max(0, bony[0] - margin), min(len(volume.hu) - 1, bony[-1] + margin)
    for k in range(first, last + 1):
        middle = middle_of(body_mask(volume.hu[k : k + 1])[0])
        step_mm = volume.spacing_mm[1:]
        plane = centred_plane(volume.hu[k].astype(np.float32), step_mm, middle, grid)
        yield TissuePlane(
            hu=np.rint(plane).astype(np.int16),
            labels=_centred_labels(lookup[case.labels[k]], step_mm, middle, grid),
        )


def _centred_labels(
    labels: npt.NDArray[np.uint8],
    step_mm: tuple[float, float],
    middle: tuple[float, float],
    grid: PlaneGrid,
) -> npt.NDArray[np.uint8]:
    """centred_plane for labels: the nearest one; background beyond the field."""
    for axis in (0, 1):
        n = grid.shape[axis]
        steps = (np.arange(n) - (n - 1) / 2) * grid.spacing_mm[axis] / step_mm[axis]
        place = np.rint(middle[axis] + steps).astype(np.intp)
        inside = (place >= 0) & (place < labels.shape[axis])
        labels = np.take(labels, place.clip(0, labels.shape[axis] - 1), axis)
        shape = (-1, 1) if axis == 0 else (1, -1)
        labels = np.where(inside.reshape(shape), labels, 0).astype(np.uint8)
    return labels
