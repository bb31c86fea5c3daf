"""Prompts of training, drawn from the truth and made as imperfect as what a node has: boxes that miss, coarse masks."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from inference.stages.prompts import (
    Mask,
    Prompt,
    PromptPart,
    SquareView,
    box_of,
    prompt_of,
    prompt_parts,
)
from training.slices.slice_options import SliceOptions

COARSEST = 6
"""Pixels of the grid that a coarse mask takes for one: the node's organ network works at 3 mm."""
MOST_SHIFT_PX = 2


def drawn_prompt(
    mask: Mask,
    view: SquareView,
    mask_side: int,
    options: SliceOptions,
    rng: np.random.Generator,
) -> Prompt:
    """One of the configured kinds, about a mask of the slice that is not empty."""
    parts = prompt_parts(options.prompts[int(rng.integers(len(options.prompts)))])
    return prompt_of(
        view,
        mask_side,
        box=jittered_box(mask, view, options.box_jitter_px, rng)
        if parts & PromptPart.BOX
        else None,
        points=[point_inside(mask, view, rng)] if parts & PromptPart.POINT else [],
        mask=coarsened(mask, rng) if parts & PromptPart.MASK else None,
    )


def jittered_box(
    mask: Mask, view: SquareView, jitter_px: float, rng: np.random.Generator
) -> Sequence[float]:
    """The mask's box, each side moved on its own; inside the square, and never turned over."""
    sides = np.array(box_of(mask, view)) + rng.normal(0, jitter_px, 4)
    ordered = np.sort(sides.reshape(2, 2), axis=0).ravel()
    return [float(side) for side in np.clip(ordered, 0, view.side - 1)]


def point_inside(mask: Mask, view: SquareView, rng: np.random.Generator) -> tuple[float, float]:
    """Any pixel of the mask."""
    places = np.argwhere(mask)
    row, column = places[int(rng.integers(len(places)))]
    return view.point(float(row), float(column))


def coarsened(mask: Mask, rng: np.random.Generator) -> Mask:
    """Seen on a coarser grid, a little too large or too small, a little out of place; never empty."""
    block = int(rng.integers(2, COARSEST + 1))
    rows, columns = (-(-n // block) * block for n in mask.shape)
    padded = np.zeros((rows, columns), np.float32)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    shares = padded.reshape(rows // block, block, columns // block, block).mean((1, 3))
    coarse = np.kron(shares > rng.uniform(0.3, 0.7), np.ones((block, block), np.bool_))
    moved: npt.NDArray[np.bool_] = ndimage.shift(
        coarse[: mask.shape[0], : mask.shape[1]],
        rng.integers(-MOST_SHIFT_PX, MOST_SHIFT_PX + 1, 2),
        order=0,
    )
    return moved if moved.any() else mask
