"""What the networks minimise; plain functions on logits."""

import torch
from torch import Tensor
from torch.nn import functional

DICE_SMOOTHING_VOXELS = 20.0
"""Keeps the Dice of a structure of a few voxels from jumping."""


def segmentation_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy plus one minus the mean Dice of the foreground labels present; logits [n, c, ...], labels [n, ...]."""
    logits = logits.float()
    entropy = functional.cross_entropy(logits, labels)
    return entropy + 1 - soft_dice(logits.softmax(1), labels)


def balanced_segmentation_loss(logits: Tensor, labels: Tensor, heaviest_label: float) -> Tensor:
    """As segmentation_loss, a voxel of a rare label counting up to `heaviest_label` times in the cross entropy.

    Of 570,000 voxels of a patch a kidney has 2,500 and an adrenal gland 70: with equal weights a network of one
    patch per step had learned the liver and nothing else after 380 steps. Weights make masks too large (a right
    kidney by 70 %), so the last part of a training is run with a heaviest label of 1.
    """
    logits = logits.float()
    counts = torch.bincount(labels.flatten(), minlength=logits.shape[1]).float()
    weights = (labels.numel() / counts.clamp(min=1.0)).sqrt().clamp(max=heaviest_label)
    entropy = functional.cross_entropy(logits, labels, weight=weights)
    return entropy + 1 - soft_dice(logits.softmax(1), labels)


def soft_dice(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Mean Dice over the foreground labels present in the batch."""
    classes = probabilities.shape[1]
    flat = probabilities.transpose(0, 1).reshape(classes, -1)
    index = labels.reshape(1, -1)
    # scatter instead of one_hot: one_hot is int64 and many times the size of the batch
    truth = torch.zeros_like(flat).scatter_(0, index, 1.0)
    shared, sizes = (flat * truth).sum(1), flat.sum(1) + truth.sum(1)
    present = (truth.sum(1) > 0)[1:].float()
    dice = (2 * shared + DICE_SMOOTHING_VOXELS) / (sizes + DICE_SMOOTHING_VOXELS)
    return (dice[1:] * present).sum() / present.sum().clamp(min=1)


def landmark_loss(logits: Tensor, targets: Tensor, exists: Tensor) -> Tensor:
    """Cross entropy of curves [n, landmark, row]; landmarks the anatomy lacks [n, landmark] do not count.

    Rows with a landmark are rare but have no weight of their own: a curve must stay a probability,
    because the node takes a peak below one half for "not in the field".
    """
    entropy = functional.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none")
    return (entropy.sum(2) * exists).sum() / exists.sum().clamp(min=1)


def landmark_curves(rows: Tensor, row_count: int, sd_rows: float) -> Tensor:
    """A bump of height 1 about each landmark row [n, landmark]; a flat zero where the row is outside 0..row_count-1."""
    position = torch.arange(row_count, device=rows.device)
    bumps = torch.exp(-0.5 * ((position - rows[:, :, None]) / sd_rows) ** 2)
    inside = (rows >= 0) & (rows <= row_count - 1)
    return torch.where(inside[:, :, None], bumps, torch.zeros_like(bumps))
