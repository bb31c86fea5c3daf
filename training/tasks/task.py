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

    def batch(self, chance: Chance) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Normalised inputs and what the loss compares the output with."""

    def loss(self, logits: Tensor, targets: tuple[Tensor, ...]) -> Tensor:
        """What is minimised."""

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Scores on examples never trained on."""
