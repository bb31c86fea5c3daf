"""What the loop asks of a task; one file per task answers."""

from typing import Protocol

from torch import Tensor, nn

from training.augment import Chance


class Task(Protocol):
    """A pool seen as batches, the loss on them and the score on what was kept back."""

    def grow(self) -> None:
        """Take in what the pool gained."""

    def describe(self) -> str:
        """The training data in a sentence, for the manifest."""

    def data_hash(self) -> str:
        """Of labelled cases; empty for a pool."""

    def examples(self) -> int:
        """Training examples; a pass over so many is an epoch."""

    def batch(self, chance: Chance) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """What the network is given, normalised, and what the loss compares its output with."""

    def loss(self, logits: Tensor, targets: tuple[Tensor, ...]) -> Tensor:
        """What is minimised."""

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Scores on examples never trained on."""
