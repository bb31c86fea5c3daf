"""Optimiser, learning rate and the bound on gradients, as a configuration names them."""

import math

import torch
from torch import nn

from training.config import TrainConfig

FINAL_SHARE = 0.02
"""Of the learning rate: where the cosine ends."""
POLY_EXPONENT = 0.9
"""Isensee et al., nnU-Net, Nature Methods 2021."""


def make_optimiser(config: TrainConfig, network: nn.Module) -> torch.optim.Optimizer:
    """Over what is not frozen."""
    learned = [weight for weight in network.parameters() if weight.requires_grad]
    rate, decay = config.learning_rate, config.weight_decay
    match config.optimiser:
        case "adamw":
            return torch.optim.AdamW(learned, lr=rate, weight_decay=decay)
        case "adam":
            return torch.optim.Adam(learned, lr=rate, weight_decay=decay)
        case _:
            return torch.optim.SGD(
                learned, lr=rate, momentum=config.momentum, weight_decay=decay, nesterov=True
            )


def learning_rate(config: TrainConfig, step: int, progress: float) -> float:
    """Warm-up by steps, then a course over the planned time or epochs."""
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    done = min(1.0, progress)
    match config.rate_course:
        case "cosine":
            share = FINAL_SHARE + (1 - FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * done))
        case "poly":
            share = (1 - done) ** POLY_EXPONENT
        case _:
            share = 1.0
    return config.learning_rate * warm * share


def bound_gradients(config: TrainConfig, network: nn.Module) -> None:
    """The Euclidean norm of all gradients together, or of each layer's own, is at most clip_norm."""
    if config.clip_method == "global":
        nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
    elif config.clip_method == "per-layer":
        for weight in network.parameters():
            if weight.grad is not None:
                nn.utils.clip_grad_norm_([weight], config.clip_norm)
