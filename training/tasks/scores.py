"""Dice of label maps, added up over examples."""

import torch
from torch import Tensor


class DiceCount:
    """Voxels shared, predicted and true per label."""

    def __init__(self, labels: tuple[str, ...], device: torch.device) -> None:
        self._labels = labels
        self._counts = torch.zeros((3, len(labels)), dtype=torch.float64, device=device)

    def add(self, predicted: Tensor, truth: Tensor) -> None:
        """Count one batch of label maps of equal shape."""
        n = len(self._labels)
        pairs = torch.bincount((truth * n + predicted).flatten(), minlength=n * n).view(n, n)
        self._counts += torch.stack([pairs.diagonal(), pairs.sum(0), pairs.sum(1)])

    def dice(self) -> dict[str, float]:
        """Dice per foreground label that occurs, and their mean."""
        shared, predicted, truth = self._counts.cpu()
        scores = {
            f"dice_{label}": float(2 * shared[i] / (predicted[i] + truth[i]))
            for i, label in enumerate(self._labels)
            if i > 0 and truth[i] > 0
        }
        return scores | {"dice_mean": sum(scores.values()) / max(1, len(scores))}
