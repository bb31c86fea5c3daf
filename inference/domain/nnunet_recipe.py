"""What the plans of an nnU-Net say of how an image becomes what its network sees, and logits become labels."""

import re
from dataclasses import dataclass
from math import prod

ORIENTATION = re.compile("[LR][AP][SI]")
CANONICAL = "LPS"
MOST_STEP_MM = 50.0
MOST_VOXELS = 2**25
"""Of a patch: ten times what nnU-Net plans for the largest GPUs."""
ANISOTROPY = 3.0
"""nnU-Net resamples an axis on its own where its step is larger than so many times the smallest one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """Of images or of logits, by nnU-Net's resample_data_or_seg_to_shape."""

    order: int
    order_z: int
    separate_z: bool | None
    """None: by the steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Axes are the network's own: those of the image after `transpose`."""

    spacing_mm: tuple[float, ...]
    """Three steps, or two of a network of slices."""
    patch: tuple[int, ...]
    transpose: tuple[int, int, int]
    """Axis k of the network is axis transpose[k] of the image."""
    image: Resampling
    logits: Resampling
    clip: tuple[float, float] | None
    """Hounsfield units (CTNormalization); None: nothing is clipped, and mean and deviation are the image's own (z-score)."""
    mean: float
    sd: float
    mirror_axes: tuple[int, ...]
    """Spatial axes of the patch that prediction mirrors; empty: none."""
    channels: int
    orientation: str
    """Of the images it learned from: where column, row and slice index lead to, such as LPS (as canonical volumes here) or RAS."""

    @property
    def flips(self) -> tuple[bool, bool, bool]:
        """Which axes [slice, row, column] of a canonical volume run the other way in the network's images."""
        along = [own != wanted for own, wanted in zip(CANONICAL, self.orientation, strict=True)]
        column, row, slices = along
        return slices, row, column

    def faults(self) -> tuple[str, ...]:
        """What no network can be run by; empty where all is well."""
        rules = {
            f"patch {self.patch} for steps {self.spacing_mm}": len(self.patch) in (2, 3)
            and len(self.patch) == len(self.spacing_mm),
            f"steps {self.spacing_mm}": all(0 < step <= MOST_STEP_MM for step in self.spacing_mm),
            f"a patch of {self.patch}": 0 < prod(self.patch) <= MOST_VOXELS and min(self.patch) > 0,
            f"transpose {self.transpose}": sorted(self.transpose) == [0, 1, 2],
            f"orders {self.image.order}, {self.logits.order}": self.image.order in (0, 1, 3)
            and self.logits.order == 1
            and self.image.order_z == self.logits.order_z == 0,
            f"clip {self.clip}": self.clip is None or self.clip[0] < self.clip[1],
            f"sd {self.sd}": self.sd > 0,
            f"mirror_axes {self.mirror_axes}": len(set(self.mirror_axes)) == len(self.mirror_axes)
            and all(0 <= axis < len(self.patch) for axis in self.mirror_axes),
            f"orientation {self.orientation!r:.9}": bool(ORIENTATION.fullmatch(self.orientation)),
        }
        return tuple(found for found, holds in rules.items() if not holds)

    @property
    def is_flat(self) -> bool:
        """Whether the network sees single slices."""
        return len(self.patch) == 2

    @property
    def patch_3d(self) -> tuple[int, int, int]:
        """A slice is a patch one plane deep."""
        depth, rows, columns = (1, *self.patch) if self.is_flat else self.patch
        return depth, rows, columns
