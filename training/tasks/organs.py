"""Organs: random patches of torsos at the network's step, cut about the body's middle."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from inference.domain.errors import ConfigurationInvalid
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
from training.config import TrainConfig, options_of
from training.losses import balanced_segmentation_loss
from training.pool_samples import at_step
from training.samples import TorsoSample
from training.source import Source
from training.specification import ORGANS
from training.tasks.gut_loops import with_loop
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
LIVER = ORGANS.labels.index(Structure.LIVER.value)
SHORTEST_FIELD = (0.25, 0.7, 0.7)
"""Part of the patch along z, y and x that a short or narrow scan still fills."""
SLAB_MM = (36.0, 75.0)
"""Of slabs through the liver's dome, which show hardly a sign of where in the body they lie."""
FIRST_BELOW_DOME_MM = (10.0, 70.0)
"""From the liver's top down to such a slab's middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchOptions:
    """[options] of a configuration."""

    only: tuple[str, ...] = ()
    """Organs to learn, others being background: patches are cut about them; empty: all, about the body's middle."""
    dome_share: float = 0.0
    """Part of the patches that are a thin slab through the liver's dome, air above and below."""
    loop_share: float = 0.0
    """Part of the patches painted anew in which a loop of gut is laid beside an organ to learn."""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.only) - set(ORGANS.labels[1:]))
        shares_fit = 0 <= self.dome_share <= 1 - PARTING_SHARE and 0 <= self.loop_share <= 1
        if unknown or not shares_fit:
            raise ConfigurationInvalid(
                found=f"only {', '.join(self.only) or 'nothing'}, dome_share {self.dome_share}, loop_share {self.loop_share}",
                wanted=f"organs out of {', '.join(ORGANS.labels[1:])}, a dome_share of 0 to {1 - PARTING_SHARE}, a loop_share of 0 to 1",
                advice="Mend [options] of the configuration.",
            )


class OrganTask:
    """See training.tasks.task.Task."""

    def __init__(self, config: TrainConfig, source: Source, device: torch.device) -> None:
        self._config = config
        self._options = options_of(PatchOptions, config)
        self._device = device
        self._step_mm = config.specification.spacing_mm
        on_our_grid = partial(at_step, step_mm=self._step_mm)
        self._store = ExampleStore(source.folder, TorsoSample, config, device, on_our_grid)
        self._repainter = Repainter(config.repainted_share, device)
        self._shape = config.input_shape
        wanted = [ORGANS.labels.index(name) for name in self._options.only]
        learned = [n for n in range(len(ORGANS.labels)) if not wanted or n in wanted]
        self._sought = wanted or ABDOMINAL
        self._learned = torch.zeros(len(ORGANS.labels), dtype=torch.uint8, device=device)
        self._learned[learned] = torch.tensor(learned, dtype=torch.uint8, device=device)
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
        # A patch about the great vessels lies in the midst of every field: only slices end there.
        shares = SHORTEST_FIELD[:1] if self._options.only else SHORTEST_FIELD
        for axis, share in enumerate(shares, start=2):
            shortest = round(share * hu.shape[axis])
            hu, labels = end_field(hu, labels, axis, shortest, config.augmentation, chance)
        return (normalise_varied(hu, config, chance),), (self._learned[labels[:, 0].long()].long(),)

    def loss(self, logits: Tensor, targets: tuple[Tensor, ...]) -> Tensor:
        return balanced_segmentation_loss(logits, targets[0], self._config.heaviest_label)

    def validate(self, network: nn.Module) -> dict[str, float]:
        score = DiceCount(ORGANS.labels, self._device)
        for example in self._store.validation:
            hu, labels = cut(example, self._middle(example), self._shape)
            inputs = normalise(hu[None].to(self._device).float(), self._config)
            truth = self._learned[labels.to(self._device).long()]
            score.add(network(inputs).argmax(1), truth.long())
        return score.dice()

    def _patch(self, example: Example, chance: Chance) -> tuple[Tensor, Tensor]:
        about = chance.host.random()
        is_slab = about < self._options.dome_share and _has_liver(example)
        centre = self._slab_centre(example, chance) if is_slab else self._place(example, chance)
        hu, labels = cut(example, centre, self._outer)
        if self._repainter.takes(example, chance):
            _, tissues = cut(example | {"labels": example["tissues"]}, centre, self._outer)
            fine = self._with_loops(tissues[0], labels[0], chance)
            hu = self._repainter.hu(fine, self._step_mm, chance)[None]
        hu, labels = hu.to(self._device), labels.to(self._device)
        if is_slab:
            return slab(hu, labels, chance.host.uniform(*SLAB_MM) / self._step_mm[0])
        return hu, labels

    def _with_loops(self, tissues: Tensor, labels: Tensor, chance: Chance) -> Tensor:
        """Nothing is drawn where none is wanted: a run without loops stays the run it was."""
        share = self._options.loop_share
        if share == 0 or chance.host.random() >= share:
            return tissues
        return with_loop(tissues, self._is_sought(labels), self._step_mm, chance)

    def _place(self, example: Example, chance: Chance) -> list[float]:
        """Where a patch is cut: mostly at a level that holds an organ, moved at random."""
        about = chance.host.random()
        slices = self._organ_slices(example)
        level = float(chance.choice(example["hu"].shape[0], 1)[0])
        if len(slices) and about < ABDOMEN_SHARE:
            level = float(slices[chance.choice(len(slices), 1)[0]])
        elif about > 1 - PARTING_SHARE:
            level = _parting(example)
        return self._moved(self._centre_at(example, level), chance)

    def _slab_centre(self, example: Example, chance: Chance) -> list[float]:
        below_mm = chance.host.uniform(*FIRST_BELOW_DOME_MM)
        top = float(_liver_top(example))
        _, row, column = self._moved(self._middle(example), chance)
        return [top - below_mm / self._step_mm[0], row, column]

    def _moved(self, centre: list[float], chance: Chance) -> list[float]:
        reach_mm = self._config.augmentation.shift_mm
        offset_mm = chance.host.uniform(-reach_mm, reach_mm, 3).tolist()
        return [
            at + by / step for at, by, step in zip(centre, offset_mm, self._step_mm, strict=True)
        ]

    def _centre_at(self, example: Example, level: float) -> list[float]:
        """The body's middle, or the middle of the only organs to learn in the nearest slice that holds one."""
        centre: list[float] = example["body_centre"].tolist()
        slices = self._organ_slices(example)
        if self._options.only and len(slices):
            nearest = min(slices, key=lambda at: abs(at - level))
            voxels = self._is_sought(example["labels"][nearest]).nonzero().float()
            centre[1:] = voxels.mean(0).tolist()
        return [level, *centre[1:]]

    def _middle(self, example: Example) -> list[float]:
        """The same at the middle of all slices with an organ."""
        slices = self._organ_slices(example)
        level = slices[len(slices) // 2] if len(slices) else float(example["body_centre"][0])
        return self._centre_at(example, float(level))

    def _is_sought(self, labels: Tensor) -> Tensor:
        wanted = torch.tensor(self._sought, dtype=torch.uint8, device=labels.device)
        return torch.isin(labels, wanted)

    def _organ_slices(self, example: Example) -> list[int]:
        """Slices with an organ of the abdomen, or with one to learn; found once per torso."""
        if "organ_slices" not in example:
            present = self._is_sought(example["labels"]).flatten(1).any(1)
            example["organ_slices"] = present.nonzero()[:, 0].cpu()
        slices: list[int] = example["organ_slices"].tolist()
        return slices


def slab(hu: Tensor, labels: Tensor, thickness: float) -> tuple[Tensor, Tensor]:
    """So many slices about the middle of a patch [1, z, y, x]; air and background above and below."""
    n = hu.shape[1]
    position = torch.arange(n, device=hu.device).view(1, n, 1, 1)
    inside = (position - (n - 1) / 2).abs() <= thickness / 2
    return torch.where(inside, hu, AIR_HU), torch.where(inside, labels, 0)


def _has_liver(example: Example) -> bool:
    return _liver_top(example) >= 0


def _liver_top(example: Example) -> int:
    """The highest slice of the liver, -1 where there is none; found once per torso."""
    if "liver_top" not in example:
        present = (example["labels"] == LIVER).flatten(1).any(1).nonzero()[:, 0]
        example["liver_top"] = present[-1:].cpu() if len(present) else torch.tensor([-1])
    return int(example["liver_top"][0])


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
