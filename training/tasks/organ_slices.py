"""Organs of single slices, without prompts: what networks with prompts are held against, by the same loss and split."""

import torch
from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn import functional

from training.augment import Chance
from training.config import TrainConfig
from training.source import Source
from training.tasks.scores import DiceCount
from training.tasks.slice_examples import SliceExamples

AT_ONCE = 8


class OrganSlicesTask:
    """See training.tasks.task.Task."""

    def __init__(self, config: TrainConfig, source: Source, device: torch.device) -> None:
        self._labels = config.specification.labels
        self._device = device
        self._examples = SliceExamples(config, source, device)
        self._dice_loss = DiceLoss(softmax=True, to_onehot_y=True, batch=True, reduction="none")

    def grow(self) -> None:
        self._examples.store.grow()

    def describe(self) -> str:
        return self._examples.describe()

    def data_hash(self) -> str:
        return self._examples.store.data.data_hash

    def examples(self) -> int:
        return len(self._examples.store.training)

    def batch(self, chance: Chance) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        drawn = self._examples.drawn(chance)
        return (drawn.images,), (drawn.channels, drawn.is_labelled)

    def loss(self, logits: Tensor, targets: tuple[Tensor, ...]) -> Tensor:
        """Over the labelled structures of the batch; over the background too where everything is labelled."""
        channels, is_labelled = targets
        by_channel = self._dice_loss(logits.float(), channels[:, None]).flatten()
        present = torch.zeros_like(by_channel)
        present[channels.unique().long()] = 1
        # What only some slices of a batch have labels of would be taught to be nothing in the others.
        counts = torch.cat([is_labelled.amin().view(1), is_labelled.amin(0)]) * present
        loss = (by_channel * counts).sum() / counts.sum().clamp(min=1)
        if (weight := self._examples.options.cross_entropy) > 0:
            loss = loss + weight * self._entropy(logits.float(), channels, is_labelled)
        return loss

    @staticmethod
    def _entropy(logits: Tensor, channels: Tensor, is_labelled: Tensor) -> Tensor:
        """Of pixels that are surely what they are called: the background only where everything is labelled."""
        entropy = functional.cross_entropy(logits, channels.long(), reduction="none")
        sure = (channels > 0) | (is_labelled.amin(1) > 0)[:, None, None]
        return (entropy * sure).sum() / sure.sum().clamp(min=1)

    def validate(self, network: nn.Module) -> dict[str, float]:
        score = DiceCount(self._labels, self._device)
        for case in self._examples.store.validation:
            for first in range(0, len(case), AT_ONCE):
                batch = self._examples.as_they_are(case[first : first + AT_ONCE])
                found = network(batch.images).argmax(1)
                score.add(found, batch.channels)
        return score.dice()
