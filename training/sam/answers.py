"""What networks of slices say of a case: with prompts from any masks, or without; on the case's own pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from inference.stages.grids import normalise
from inference.stages.prompts import SquareView, prompt_from, prompt_parts, stacked
from training.checkpoint import Checkpoint
from training.config import TrainConfig, options_of
from training.slices.slice_options import SliceOptions
from training.tasks.prompted_slices import as_tensors, mask_side

Masks = Mapping[int, npt.NDArray[np.bool_]]
"""By channel, of one slice; only those that hold something."""


class SliceNetwork(Protocol):
    """A trained network on one slice."""

    @property
    def takes_prompts(self) -> bool:
        """Otherwise asked masks change nothing."""

    def answer(
        self, hu: npt.NDArray[np.int16], spacing_mm: tuple[float, float], asked: Masks
    ) -> Masks:
        """By channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompted:
    """Asked about each mask on its own."""

    checkpoint: Checkpoint
    takes_prompts: bool = True

    def answer(
        self, hu: npt.NDArray[np.int16], spacing_mm: tuple[float, float], asked: Masks
    ) -> Masks:
        """Of the masks asked about, by whatever part of them the configuration shows."""
        if not asked:
            return {}
        config = self.checkpoint.config
        options = options_of(SliceOptions, config)
        view = _view(hu, spacing_mm, config)
        side, parts = mask_side(config), prompt_parts(options.asked)
        prompts = [prompt_from(mask, view, side, parts) for mask in asked.values()]
        with torch.inference_mode():
            logits = self.checkpoint.network(
                _image(hu, view, config),
                torch.zeros(len(prompts), dtype=torch.long),
                *as_tensors(stacked(prompts)),
            ).numpy()
        smaller = view.of_side(side)
        return {c: smaller.back(logits[n, 0]) > 0 for n, c in enumerate(asked)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unprompted:
    """Says everything it knows."""

    checkpoint: Checkpoint
    takes_prompts: bool = False

    def answer(
        self, hu: npt.NDArray[np.int16], spacing_mm: tuple[float, float], asked: Masks
    ) -> Masks:
        """Of every channel that occurs."""
        del asked
        config = self.checkpoint.config
        view = _view(hu, spacing_mm, config)
        with torch.inference_mode():
            logits = self.checkpoint.network(_image(hu, view, config))[0].numpy()
        best = np.stack([view.back(one) for one in logits]).argmax(0)
        return {int(c): best == c for c in np.unique(best) if c > 0}


def slice_network(checkpoint: Checkpoint) -> SliceNetwork:
    """By the checkpoint's task."""
    if checkpoint.config.task == "prompted-slices":
        return Prompted(checkpoint=checkpoint)
    return Unprompted(checkpoint=checkpoint)


def _view(
    hu: npt.NDArray[np.int16], spacing_mm: Sequence[float], config: TrainConfig
) -> SquareView:
    rows, columns = hu.shape
    return SquareView(
        shape=(rows, columns),
        spacing_mm=(spacing_mm[0], spacing_mm[1]),
        side=config.input_shape[0],
    )


def _image(hu: npt.NDArray[np.int16], view: SquareView, config: TrainConfig) -> torch.Tensor:
    low, high = config.hu_window
    square = view.image(hu.astype(np.float32))
    return torch.from_numpy(normalise(square, (low, high), config.mean, config.sd))[None, None]


def parameters_of(network: nn.Module) -> tuple[int, int]:
    """All, and those that learned."""
    sizes = [(p.numel(), p.requires_grad) for p in network.parameters()]
    return sum(n for n, _ in sizes), sum(n for n, learned in sizes if learned)
