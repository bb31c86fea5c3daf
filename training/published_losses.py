"""Losses as publications name them, from MONAI's parts; plain functions on logits."""

from monai.losses import DiceLoss
from monai.networks import one_hot
from torch import Tensor
from torch.nn import functional

DICE_SMOOTHING_VOXELS = 20.0
"""As in training.losses: the Dice of a structure of a few voxels must not jump."""
HEAVIEST_CLASS = 10.0


def weighted_bce_dice_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Binary cross entropy of every class and one minus its Dice, both weighted by class; logits [n, c, ...], labels [n, ...]."""
    truth = one_hot(labels[:, None], logits.shape[1])
    per_class = weights.view(1, -1, *(1,) * (logits.ndim - 2))
    entropy = functional.binary_cross_entropy_with_logits(logits.float(), truth, weight=per_class)
    dice = DiceLoss(sigmoid=True, weight=weights, batch=True, **_smoothing())
    return entropy + dice(logits.float(), truth)


def sparse_entropy_dice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of whole-number labels and one minus the mean Dice of the foreground labels."""
    entropy = functional.cross_entropy(logits.float(), labels)
    dice = DiceLoss(
        softmax=True, to_onehot_y=True, include_background=False, batch=True, **_smoothing()
    )
    return entropy + dice(logits.float(), labels[:, None])


def class_weights(counts: Tensor) -> Tensor:
    """Median frequency over a class's own (Eigen and Fergus 2015), bounded, with a mean of 1."""
    frequency = counts.double().clamp(min=1.0)
    weights = (frequency.median() / frequency).clamp(max=HEAVIEST_CLASS)
    return (weights / weights.mean()).float()


def _smoothing() -> dict[str, float]:
    return {"smooth_nr": DICE_SMOOTHING_VOXELS, "smooth_dr": DICE_SMOOTHING_VOXELS}
