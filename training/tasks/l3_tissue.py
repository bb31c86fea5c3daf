"""L3 tissue: axial slices at 1.6 mm with the compartments of muscle and fat."""

import torch
from torch import Tensor, nn

from training.augment import (
    Chance,
    affine_grid,
    end_field,
    normalise,
    normalise_varied,
    random_affine,
    vary_hu,
    warp_hu,
    warp_labels,
)
from training.config import TrainConfig
from training.losses import segmentation_loss
from training.samples import SliceSample
from training.source import Source
from training.specification import TISSUE
from training.tasks.repaint import Repainter
from training.tasks.scores import DiceCount
from training.tasks.store import Example, ExampleStore

SHORTEST_FIELD = 0.65
"""Part of the grid's side that a narrow field of view still fills."""
VALIDATION_SLICES_AT_ONCE = 8
SLICE_MM = 3.0


class TissueTask:
    """See training.tasks.task.Task."""

    def __init__(self, config: TrainConfig, source: Source, device: torch.device) -> None:
        self._config = config
        self._device = device
        self._store = ExampleStore(source.folder, SliceSample, config, device)
        self._repainter = Repainter(config.repainted_share, device)

    def grow(self) -> None:
        self._store.grow()

    def describe(self) -> str:
        slices = sum(len(example["hu"]) for example in self._store.training)
        return f"{slices} slices of {self._store.origin()}"

    def data_hash(self) -> str:
        return ""

    def examples(self) -> int:
        return len(self._store.training)

    def batch(self, chance: Chance) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        config, count = self._config, self._config.batch_size
        planes, masks = [], []
        for example in self._store.drawn(chance.choice(len(self._store.training), count)):
            index = chance.choice(len(example["hu"]), 1)[0]
            planes.append(self._plane(example, index, chance))
            masks.append(example["labels"][index].to(self._device))
        hu, labels = torch.stack(planes)[:, None], torch.stack(masks)[:, None]
        reach = config.augmentation.shift_mm / TISSUE.spacing_mm[0]
        matrix, shift = random_affine(count, 2, config.augmentation, chance, max_shift=reach)
        grid = affine_grid(matrix, shift, hu.shape[2:], config.input_shape)
        hu, labels = warp_hu(hu, grid), warp_labels(labels, grid)
        hu = vary_hu(hu, config.augmentation, chance)
        for axis in (2, 3):
            shortest = round(SHORTEST_FIELD * hu.shape[axis])
            hu, labels = end_field(hu, labels, axis, shortest, config.augmentation, chance)
        return (normalise_varied(hu, config, chance),), (labels[:, 0],)

    def _plane(self, example: Example, index: int, chance: Chance) -> Tensor:
        if self._repainter.takes(example, chance):
            tissues = example["tissues"][index : index + 1]
            return self._repainter.hu(tissues, (SLICE_MM, *TISSUE.spacing_mm), chance)[0].float()
        return example["hu"][index].to(self._device).float()

    def loss(self, logits: Tensor, targets: tuple[Tensor, ...]) -> Tensor:
        return segmentation_loss(logits, targets[0])

    def validate(self, network: nn.Module) -> dict[str, float]:
        score = DiceCount(TISSUE.labels, self._device)
        for example in self._store.validation:
            for hu, labels in zip(
                example["hu"].split(VALIDATION_SLICES_AT_ONCE),
                example["labels"].split(VALIDATION_SLICES_AT_ONCE),
                strict=True,
            ):
                inputs = normalise(hu[:, None].to(self._device).float(), self._config)
                score.add(network(inputs).argmax(1), labels.to(self._device).long())
        return score.dice()
