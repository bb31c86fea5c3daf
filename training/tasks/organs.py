"""Organs: random patches of torsos at the network's step, cut about the body's middle."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from inference.domain.labelmap import Structure
from inference.stages.grids import AIR_HU
from training.augment import (
    Chance,
    affine_grid,
    drifted_grid,
    elastic_grid,
    end_field,
    normalise,
    normalise_varied,
    random_affine,
    swollen_grid,
    vary_hu,
    warp_hu,
    warp_labels,
)
from training.config import TrainConfig
from training.losses import balanced_segmentation_loss
from training.pool_samples import at_step
from training.samples import TorsoSample
from training.source import Source
from training.specification import ORGANS
from training.tasks.repaint import Repainter
from training.tasks.scores import DiceCount
from training.tasks.store import Example, ExampleStore

ABDOMEN_SHARE, PARTING_SHARE = 0.7, 0.15
"""Parts of the patches about a level that holds an organ, and about the aorta's lower end, which fields of the pelvis show
with hardly an organ beside it; the others come from anywhere in the torso."""
THROUGH_THE_CHEST = (Structure.AORTA, Structure.INFERIOR_VENA_CAVA, Structure.ESOPHAGUS)
ABDOMINAL = [
    channel
    for channel, label in enumerate(ORGANS.labels)
    if channel > 0 and label not in THROUGH_THE_CHEST
]
AORTA = ORGANS.labels.index(Structure.AORTA.value)
SHORTEST_FIELD = (0.25, 0.7, 0.7)
"""Part of the patch along z, y and x that a short or narrow scan still fills."""


class OrganTask:
    """See training.tasks.task.Task."""

    def __init__(self, config: TrainConfig, source: Source, device: torch.device) -> None:
        self._config = config
        self._device = device
        self._step_mm = config.specification.spacing_mm
        on_our_grid = partial(at_step, step_mm=self._step_mm)
        self._store = ExampleStore(source.folder, TorsoSample, config, device, on_our_grid)
        self._repainter = Repainter(config.repainted_share, device)
        self._shape = config.input_shape
        # A rotated and shrunk patch reaches beyond itself; without the margin it would meet air.
        self._outer = tuple(n + 2 * (n // 6) for n in self._shape)

    def grow(self) -> None:
        self._store.grow()

    def describe(self) -> str:
        return f"{len(self._store.training)} scans of {self._store.origin()}"

    def data_hash(self) -> str:
        return ""

    def examples(self) -> int:
        return len(self._store.training)

    def batch(self, chance: Chance) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        config, count = self._config, self._config.batch_size
        indices = chance.choice(len(self._store.training), count)
        patches = [self._patch(example, chance) for example in self._store.drawn(indices)]
        hu = torch.stack([patch.float() for patch, _ in patches])
        labels = torch.stack([patch for _, patch in patches])
        matrix, shift = random_affine(count, 3, config.augmentation, chance, max_shift=0.5)
        grid = affine_grid(matrix, shift, self._outer, self._shape)
        bend = config.augmentation.elastic_mm / self._step_mm[0]
        grid = elastic_grid(grid, self._outer, bend, chance)
        swell = config.augmentation.swell_mm / self._step_mm[0]
        grid = swollen_grid(grid, labels, swell, len(ORGANS.labels), chance)
        drift = config.augmentation.drift_mm / self._step_mm[0]
        grid = drifted_grid(grid, labels, drift, len(ORGANS.labels), chance)
        hu, labels = warp_hu(hu, grid), warp_labels(labels, grid)
        hu = vary_hu(hu, config.augmentation, chance)
        for axis, share in enumerate(SHORTEST_FIELD, start=2):
            shortest = round(share * hu.shape[axis])
            hu, labels = end_field(hu, labels, axis, shortest, config.augmentation, chance)
        return (normalise_varied(hu, config, chance),), (labels[:, 0],)

    def loss(self, logits: Tensor, targets: tuple[Tensor, ...]) -> Tensor:
        return balanced_segmentation_loss(logits, targets[0], self._config.heaviest_label)

    def validate(self, network: nn.Module) -> dict[str, float]:
        score = DiceCount(ORGANS.labels, self._device)
        for example in self._store.validation:
            hu, labels = cut(example, self._middle(example), self._shape)
            inputs = normalise(hu[None].to(self._device).float(), self._config)
            score.add(network(inputs).argmax(1), labels.to(self._device).long())
        return score.dice()

    def _patch(self, example: Example, chance: Chance) -> tuple[Tensor, Tensor]:
        centre = self._middle(example)
        slices = example["hu"].shape[0]
        organ_slices = _organ_slices(example)
        about = chance.host.random()
        if len(organ_slices) and about < ABDOMEN_SHARE:
            centre[0] = float(organ_slices[chance.choice(len(organ_slices), 1)[0]])
        elif about > 1 - PARTING_SHARE:
            centre[0] = _parting(example)
        else:
            centre[0] = float(chance.choice(slices, 1)[0])
        reach = self._config.augmentation.shift_mm / self._step_mm[0]
        offset = chance.host.uniform(-reach, reach, 3).tolist()
        centre = [middle + by for middle, by in zip(centre, offset, strict=True)]
        hu, labels = cut(example, centre, self._outer)
        if self._repainter.takes(example, chance):
            _, tissues = cut(example | {"labels": example["tissues"]}, centre, self._outer)
            return self._repainter.hu(tissues[0], self._step_mm, chance)[None], labels.to(
                self._device
            )
        return hu.to(self._device), labels.to(self._device)

    def _middle(self, example: Example) -> list[float]:
        """Index of the body's middle, at the level of the abdominal organs."""
        centre: list[float] = example["body_centre"].tolist()
        organ_slices = _organ_slices(example)
        if len(organ_slices):
            centre[0] = float(organ_slices[len(organ_slices) // 2])
        return centre


def _organ_slices(example: Example) -> list[int]:
    """Slices with an organ of the abdomen; found once per torso."""
    if "organ_slices" not in example:
        labels = example["labels"]
        wanted = torch.tensor(ABDOMINAL, dtype=torch.uint8, device=labels.device)
        present = torch.isin(labels, wanted).flatten(1).any(1)
        example["organ_slices"] = present.nonzero()[:, 0].cpu()
    slices: list[int] = example["organ_slices"].tolist()
    return slices


def _parting(example: Example) -> float:
    """The lowest slice of the aorta, or of the torso where it has none; found once per torso."""
    if "parting" not in example:
        present = (example["labels"] == AORTA).flatten(1).any(1).nonzero()[:, 0]
        example["parting"] = (
            present[:1].cpu() if len(present) else torch.zeros(1, dtype=torch.int64)
        )
    return float(example["parting"][0])


def cut(example: Example, centre: list[float], shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """A patch [1, z, y, x] of HU and labels about an index, air and background beyond the volume."""
    size = example["hu"].shape
    inner, pads = [], []
    for middle, wanted, n in zip(centre, shape, size, strict=True):
        start = round(middle - wanted / 2)
        low, high = max(start, 0), min(start + wanted, n)
        inner.append(slice(low, max(low, high)))
        pads.append(
            (min(low - start, wanted), wanted - max(high - low, 0) - min(low - start, wanted))
        )
    padding = [side for pair in reversed(pads) for side in pair]
    window = tuple(inner)
    hu = functional.pad(example["hu"][window], padding, value=int(AIR_HU))
    return hu[None], functional.pad(example["labels"][window], padding, value=0)[None]
