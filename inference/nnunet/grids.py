"""The grid on which a network sees a scan: the sizes and the order of steps that nnU-Net's preprocessing has."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.domain.nnunet_recipe import ANISOTROPY, Recipe, Resampling
from inference.kernels.banded import Band, nearest_band, spline_band
from inference.kernels.upsample_labels import Axis, nearest, same_field

Shape = tuple[int, int, int]
Steps = tuple[float, float, float]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanGrid:
    """Of one scan, in the network's axes."""

    filled: Box
    """What is not zero: nnU-Net looks at nothing else, and knows the mean of nothing else."""
    box: Box
    """What the network is shown: all that is filled, or the part of it that was asked for."""
    source: Shape
    """Size of the box."""
    source_mm: Steps
    seen: Shape
    """Size of what the network sees."""
    seen_mm: Steps


def scan_grid(
    voxels: npt.NDArray[np.int16] | npt.NDArray[np.float32],
    spacing_mm: Steps,
    recipe: Recipe,
    field: Box | None = None,
) -> ScanGrid:
    """Of a scan [in the network's axes] and its steps, or of a field in it."""
    filled = nonzero_box(voxels)
    box = filled if field is None else _common(filled, field)
    source = (box[0].stop - box[0].start, box[1].stop - box[1].start, box[2].stop - box[2].start)
    wanted = (spacing_mm[0], *recipe.spacing_mm) if recipe.is_flat else recipe.spacing_mm
    seen_mm = (float(wanted[0]), float(wanted[1]), float(wanted[2]))
    sizes = [
        round(own / new * size) for own, new, size in zip(spacing_mm, seen_mm, source, strict=True)
    ]
    seen = (max(1, sizes[0]), max(1, sizes[1]), max(1, sizes[2]))
    return ScanGrid(
        filled=filled, box=box, source=source, source_mm=spacing_mm, seen=seen, seen_mm=seen_mm
    )


def _common(one: Box, other: Box) -> Box:
    """Where both are; the first where they have nothing in common."""
    first, second, third = (
        slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True)
    )
    meets = all(part.start < part.stop for part in (first, second, third))
    return (first, second, third) if meets else one


def nonzero_box(voxels: npt.NDArray[np.int16] | npt.NDArray[np.float32]) -> Box:
    """The smallest box around everything that is not zero; the whole where all is."""
    lines = [np.asarray(voxels.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    first, second, third = map(_used, lines)
    return first, second, third


def _used(line: npt.NDArray[np.bool_]) -> slice:
    used = np.flatnonzero(line)
    return slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, len(line))


def separate_axis(
    resampling: Resampling, current: Sequence[float], new: Sequence[float]
) -> int | None:
    """The axis that is resampled on its own (nnU-Net's determine_do_sep_z_and_axis), by the nearest point: no recipe has another
    order there."""
    if resampling.separate_z is not None:
        judged = current if resampling.separate_z else None
    else:
        judged = next((s for s in (current, new) if max(s) / min(s) > ANISOTROPY), None)
    if judged is None:
        return None
    coarsest = [axis for axis in range(3) if judged[axis] == max(judged)]
    return coarsest[0] if len(coarsest) == 1 else None


def image_bands(grid: ScanGrid, recipe: Recipe) -> tuple[Band, Band, Band]:
    """From the scan to what the network sees."""
    alone = separate_axis(recipe.image, grid.source_mm, grid.seen_mm)
    bands = []
    for axis in range(3):
        old, new = grid.source[axis], grid.seen[axis]
        if axis == alone:
            bands.append(nearest_band(old, new))
        else:
            bands.append(spline_band(old, new, recipe.image.order))
    return bands[0], bands[1], bands[2]


def label_axes(grid: ScanGrid, recipe: Recipe) -> tuple[Axis, Axis, Axis]:
    """Where the scan's voxels lie between those of the logits."""
    alone = separate_axis(recipe.logits, grid.seen_mm, grid.source_mm)
    axes = [
        (nearest if axis == alone else same_field)(grid.seen[axis], grid.source[axis])
        for axis in range(3)
    ]
    return axes[0], axes[1], axes[2]


def padded(size: int, patch: int) -> tuple[int, int]:
    """Voxels added before and behind a scan smaller than a patch."""
    missing = max(0, patch - size)
    return missing // 2, missing - missing // 2
