"""What the plans of an nnU-Net say of how an image becomes what its network sees, and logits become labels."""

from dataclasses import dataclass

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

    @property
    def is_flat(self) -> bool:
        """Whether the network sees single slices."""
        return len(self.patch) == 2

    @property
    def patch_3d(self) -> tuple[int, int, int]:
        """A slice is a patch one plane deep."""
        depth, rows, columns = (1, *self.patch) if self.is_flat else self.patch
        return depth, rows, columns
