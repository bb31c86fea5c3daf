"""Where patches of a volume lie; nnU-Net's rule (compute_steps_for_sliding_window), for our own networks, too."""

import math
from dataclasses import dataclass
from itertools import product

Shape = tuple[int, int, int]

HALF = 0.5
"""Of a patch from one to the next, at most: what nnU-Net does."""
THREE_QUARTERS = 0.75
"""Overlapping by a quarter at least: half the patches of a volume two or three patches wide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchPlan:
    """Of one volume."""

    size: Shape
    patch: Shape
    starts: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    """First voxels along each axis; every combination is a patch."""

    @property
    def in_plane(self) -> tuple[tuple[int, int], ...]:
        """First rows and columns of the patches at each depth."""
        return tuple(product(*self.starts[1:]))

    @property
    def count(self) -> int:
        """Of all patches."""
        return len(self.starts[0]) * len(self.in_plane)

    def in_words(self) -> str:
        """For whoever waits for them."""
        along = " × ".join(str(len(axis)) for axis in self.starts)
        return f"{along} = {self.count} patches of {_sizes(self.patch)} voxels over {_sizes(self.size)}"


def plan_patches(size: Shape, patch: Shape, step: float = HALF) -> PatchPlan:
    """The fewest patches that cover a volume of which none is farther from the next than `step` of its size."""
    first, second, third = (
        tuple(patch_starts(own, part, step)) for own, part in zip(size, patch, strict=True)
    )
    return PatchPlan(size=size, patch=patch, starts=(first, second, third))


def patch_starts(size: int, patch: int, step: float = HALF) -> list[int]:
    """First voxels of patches along an axis of `size`; one patch when it fits."""
    if size <= patch:
        return [0]
    count = math.ceil((size - patch) / (patch * step)) + 1
    return [round(i * (size - patch) / (count - 1)) for i in range(count)]


def _sizes(shape: Shape) -> str:
    return " × ".join(map(str, shape))
