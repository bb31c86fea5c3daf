"""Masks of single structures of single slices, from prompts that are drawn from the truth."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn import functional

from inference.stages.prompts import Prompt, Prompts, SquareView, prompt_from, prompt_parts, stacked
from training.augment import Chance
from training.config import TrainConfig
from training.slices.drawn_prompts import drawn_prompt
from training.source import Source
from training.tasks.slice_examples import SliceBatch, SliceExamples

MASKS_PER_TOKEN = 4
"""A mask has so many rows and columns for each of the image's embedding, in every Segment Anything."""
AT_ONCE = 8


class PromptedSlicesTask:
    """See training.tasks.task.Task."""

    def __init__(self, config: TrainConfig, source: Source, device: torch.device) -> None:
        self._config = config
        self._device = device
        self._examples = SliceExamples(config, source, device)
        side = config.input_shape[0]
        self._view = SquareView(shape=(side, side), spacing_mm=(1.0, 1.0), side=side)
        self._mask_side = mask_side(config)
        self._dice_loss = DiceLoss(sigmoid=True)

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
        options = self._examples.options
        maps = drawn.channels.cpu().numpy()
        places, prompts = [], []
        for number, channels in enumerate(maps):
            for channel in self._asked(channels, chance.host):
                mask = channels == channel
                places.append((number, channel))
                prompts.append(
                    drawn_prompt(mask, self._view, self._mask_side, options, chance.host)
                )
        if not places:
            # The variation moved everything out of the field: the next slices will hold something.
            return self.batch(replace(chance, place=chance.place + self._config.batch_size))
        truth = torch.stack([drawn.channels[n] == channel for n, channel in places])
        return self._inputs(drawn, [n for n, _ in places], prompts), (truth[:, None].float(),)

    def _asked(
        self, channels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], rng: np.random.Generator
    ) -> list[int]:
        """Some of the structures of a slice, in any order."""
        options = self._examples.options
        counts = np.bincount(channels.ravel())
        there = [n for n in range(1, len(counts)) if counts[n] >= options.least_pixels]
        return [int(n) for n in rng.permutation(there)[: options.prompts_per_slice]]

    def _inputs(
        self, batch: SliceBatch, image_of_prompt: Sequence[int], prompts: Sequence[Prompt]
    ) -> tuple[Tensor, ...]:
        return (
            batch.images,
            torch.tensor(image_of_prompt, device=self._device),
            *(one.to(self._device) for one in as_tensors(stacked(prompts))),
        )

    def loss(self, logits: Tensor, targets: tuple[Tensor, ...]) -> Tensor:
        truth = targets[0]
        fine = functional.interpolate(
            logits.float(), truth.shape[2:], mode="bilinear", align_corners=False
        )
        loss: Tensor = self._dice_loss(fine, truth)
        if (weight := self._examples.options.cross_entropy) > 0:
            loss = loss + weight * functional.binary_cross_entropy_with_logits(fine, truth)
        return loss

    def validate(self, network: nn.Module) -> dict[str, float]:
        """By the box, or whatever evaluation asks with, of the truth itself."""
        structures = self._examples.structures
        counts = np.zeros((2, len(structures)))
        for case in self._examples.store.validation:
            for first in range(0, len(case), AT_ONCE):
                slices = case[first : first + AT_ONCE]
                places = [(n, c) for n, one in enumerate(slices) for c in one.present]
                batch = self._examples.as_they_are(slices)
                truth = torch.stack([batch.channels[n] == c for n, c in places])
                found = self._answers(network, batch, places, truth)
                for (_, channel), one, other in zip(places, found, truth, strict=True):
                    counts[0, channel - 1] += 2 * int((one & other).sum())
                    counts[1, channel - 1] += int(one.sum()) + int(other.sum())
        scores = {
            f"dice_{name}": float(counts[0, n] / counts[1, n])
            for n, name in enumerate(structures)
            if counts[1, n] > 0
        }
        return scores | {"dice_mean": sum(scores.values()) / max(1, len(scores))}

    def _answers(
        self,
        network: nn.Module,
        batch: SliceBatch,
        places: Sequence[tuple[int, int]],
        truth: Tensor,
    ) -> Tensor:
        parts = prompt_parts(self._examples.options.asked)
        prompts = [
            prompt_from(mask, self._view, self._mask_side, parts) for mask in truth.cpu().numpy()
        ]
        logits = network(*self._inputs(batch, [n for n, _ in places], prompts))
        fine = functional.interpolate(
            logits.float(), truth.shape[1:], mode="bilinear", align_corners=False
        )
        return fine[:, 0] > 0


def mask_side(config: TrainConfig) -> int:
    """Rows and columns of a mask prompt, from the network's arguments."""
    asked = config.network["parts"]["prompt_encoder"]
    return MASKS_PER_TOKEN * int(asked["image_size"]) // int(asked["patch_size"])


def as_tensors(prompts: Prompts) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """In the order in which a network with prompts takes them."""
    return (
        torch.from_numpy(prompts.points),
        torch.from_numpy(prompts.kinds),
        torch.from_numpy(prompts.masks),
        torch.from_numpy(prompts.has_mask),
    )
