"""Slices as a network with prompts sees them: a square image, points, a box's corners and a coarse mask made of a mask.

Training and the node make prompts with the same functions, so that what was learned is what is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from inference.domain.errors import ConfigurationInvalid
from inference.stages.grids import AIR_HU, Float, interpolate_axis, reduce_axis

PROMPT_TOKENS = 4
"""Two corners of a box and two points; what is not given is PointKind.NOTHING."""
MASK_LOGIT = 8.0
"""Of a mask prompt inside; outside it is the negative. Masks that SAM itself feeds back are of this size."""

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class PointKind(IntEnum):
    """Numbers as in Segment Anything's own ONNX export."""

    NOTHING = -1
    OUTSIDE = 0
    INSIDE = 1
    FIRST_CORNER = 2
    LAST_CORNER = 3


class PromptPart(IntEnum):
    """What of a mask is shown to the network; parts are added up."""

    BOX = 1
    POINT = 2
    MASK = 4


def prompt_parts(text: str) -> int:
    """ "box+mask" as parts of PromptPart added up; raises ConfigurationInvalid."""
    known = {part.name.lower(): int(part) for part in PromptPart}
    names = text.split("+")
    if not set(names) <= set(known) or len(set(names)) != len(names):
        raise ConfigurationInvalid(
            found=f"a prompt {text!r:.40}",
            wanted=f"{', '.join(known)}, or several of them joined by +",
            advice="Mend the configuration, or export the model again.",
        )
    return sum(known[name] for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class SquareView:
    """A slice of any shape in the upper left of a square image of even steps; the rest is air."""

    shape: tuple[int, int]
    """Rows and columns of the slice."""
    spacing_mm: tuple[float, float]
    side: int
    """Rows and columns of the square."""

    @property
    def step_mm(self) -> float:
        """Of the square's pixels: the slice's longer side fills it."""
        return max(n * mm for n, mm in zip(self.shape, self.spacing_mm, strict=True)) / self.side

    def of_side(self, side: int) -> "SquareView":
        """The same slice in another square."""
        return SquareView(shape=self.shape, spacing_mm=self.spacing_mm, side=side)

    def image(self, plane: Float, outside: float = AIR_HU) -> Float:
        """The slice [row, column] in the square, averaged where that is coarser."""
        square = plane
        for axis in (0, 1):
            scale = self.step_mm / self.spacing_mm[axis]
            count = min(self.side, max(1, round(self.shape[axis] / scale)))
            square = reduce_axis(square, axis, scale)
            square = interpolate_axis(square, axis, count, scale, (scale - 1) / 2)
        rows, columns = square.shape
        padding = ((0, self.side - rows), (0, self.side - columns))
        padded: Float = np.pad(square, padding, constant_values=outside)
        return padded

    def labels(self, plane: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Labels [row, column] in the square, the nearest of each pixel."""
        index = []
        for axis in (0, 1):
            place = (np.arange(self.side) + 0.5) * self.step_mm / self.spacing_mm[axis] - 0.5
            index.append(np.round(place).astype(np.int64))
        inside = [(i >= 0) & (i < n) for i, n in zip(index, self.shape, strict=True)]
        clipped = [np.clip(i, 0, n - 1) for i, n in zip(index, self.shape, strict=True)]
        square: npt.NDArray[np.uint8] = plane[np.ix_(*clipped)] * np.outer(*inside)
        return square

    def back(self, square: Float) -> Float:
        """What was said of the square [row, column] on the slice's own pixels."""
        plane = square
        for axis in (0, 1):
            scale = self.spacing_mm[axis] / self.step_mm
            plane = interpolate_axis(plane, axis, self.shape[axis], scale, (scale - 1) / 2)
        return plane

    def point(self, row: float, column: float) -> tuple[float, float]:
        """Column and row (x and y) in the square of an index of the slice."""
        y, x = (
            (i + 0.5) * mm / self.step_mm - 0.5
            for i, mm in zip((row, column), self.spacing_mm, strict=True)
        )
        return x, y


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prompt:
    """What a network is asked about one structure of one slice."""

    points: Float
    """[PROMPT_TOKENS, 2]: column and row of pixels' middles in the square; 0 where nothing is given."""
    kinds: Ints
    """[PROMPT_TOKENS] of PointKind."""
    mask: Float
    """[side, side] of the mask prompt's own grid: MASK_LOGIT inside, its negative outside."""
    has_mask: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prompts:
    """Several, as arrays of one call."""

    points: Float
    """[prompt, PROMPT_TOKENS, 2]"""
    kinds: Ints
    """[prompt, PROMPT_TOKENS]"""
    masks: Float
    """[prompt, 1, row, column]"""
    has_mask: Float
    """[prompt]: 1 or 0"""


def stacked(prompts: Sequence[Prompt]) -> Prompts:
    """In the order given."""
    return Prompts(
        points=np.stack([one.points for one in prompts]),
        kinds=np.stack([one.kinds for one in prompts]),
        masks=np.stack([one.mask for one in prompts])[:, None],
        has_mask=np.array([one.has_mask for one in prompts], np.float32),
    )


def prompt_from(mask: Mask, view: SquareView, mask_side: int, parts: int) -> Prompt:
    """Asked about a mask [row, column] of a slice, which must not be empty; `parts` of PromptPart added up."""
    box = box_of(mask, view) if parts & PromptPart.BOX else None
    point = deepest_point(mask, view) if parts & PromptPart.POINT else None
    coarse = mask if parts & PromptPart.MASK else None
    return prompt_of(view, mask_side, box=box, points=[point] if point else [], mask=coarse)


def prompt_of(
    view: SquareView,
    mask_side: int,
    *,
    box: Sequence[float] | None = None,
    points: Sequence[tuple[float, float]] = (),
    mask: Mask | None = None,
) -> Prompt:
    """Of a box (x and y of two corners), points inside and a mask of the slice, each only where it is given."""
    places = np.zeros((PROMPT_TOKENS, 2), np.float32)
    kinds = np.full(PROMPT_TOKENS, PointKind.NOTHING, np.int64)
    if box is not None:
        places[:2] = np.reshape(box, (2, 2))
        kinds[:2] = PointKind.FIRST_CORNER, PointKind.LAST_CORNER
    for token, place in enumerate(points, start=2):
        places[token], kinds[token] = place, PointKind.INSIDE
    coarse = np.zeros((mask_side, mask_side), np.float32)
    if mask is not None:
        covered = view.of_side(mask_side).image(mask.astype(np.float32), outside=0.0)
        coarse = np.float32(MASK_LOGIT) * (2 * covered - 1)
    return Prompt(points=places, kinds=kinds, mask=coarse, has_mask=mask is not None)


def box_of(mask: Mask, view: SquareView) -> tuple[float, float, float, float]:
    """x and y of the first and of the last pixel, in the square."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return *view.point(rows[0], columns[0]), *view.point(rows[-1], columns[-1])


def deepest_point(mask: Mask, view: SquareView) -> tuple[float, float]:
    """The pixel farthest from the mask's border: a crescent's centre of mass may lie outside it."""
    # Beyond the slice nothing is known to belong to the structure.
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=view.spacing_mm)[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), mask.shape)
    return view.point(float(row), float(column))
