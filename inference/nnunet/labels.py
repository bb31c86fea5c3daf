"""Labels of a scan from an nnU-Net, as its own predictor gives them, with memory bounded by the depth of a patch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from inference.domain.nnunet_recipe import Recipe
from inference.kernels.patch_plan import HALF, PatchPlan, plan_patches
from inference.kernels.rolling_logits import RollingLogits
from inference.kernels.upsample_labels import Axis, label_slice, winners
from inference.nnunet.grids import Box, ScanGrid, label_axes, padded, scan_grid
from inference.nnunet.planes import Float, Voxels, seen_planes

SIGMA = 1 / 8
PEAK = 10.0
"""Of the weight in the middle of a patch, as nnU-Net has both."""

Labels = npt.NDArray[np.uint8]
Network = Callable[[Float], Float]
"""Normalised patches [batch, 1, (plane,) row, column] to logits [batch, channel, (plane,) row, column]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How much of a scan is shown to the network, and how often; as nnU-Net does it unless told otherwise."""

    field: Box | None = None
    """Slices, rows and columns beyond which nothing is looked for; None: all that is not zero."""
    step: float = HALF
    told: Callable[[PatchPlan], None] = lambda _plan: None
    """Called with the patches before the first one."""


def labels_of(
    voxels: Voxels,
    spacing_mm: tuple[float, float, float],
    recipe: Recipe,
    network: Network,
    progress: Callable[[float], None],
    asking: Asking = Asking(),
) -> Labels:
    """Of a scan [slice, row, column] in the orientation that the network was trained in."""
    turned: Voxels = voxels.transpose(recipe.transpose)
    first, second, third = (spacing_mm[axis] for axis in recipe.transpose)
    grid = scan_grid(turned, (first, second, third), recipe, _turned(asking.field, recipe))
    patches = _patches(grid, recipe, asking.step)
    asking.told(patches)
    found = np.zeros(turned.shape, np.uint8)
    shown = seen_planes(turned, grid, recipe)
    planes = _plane_means(shown, grid, patches, recipe, network, progress)
    _fill(found[grid.box], planes, label_axes(grid, recipe))
    return np.ascontiguousarray(np.transpose(found, np.argsort(recipe.transpose)))


def _turned(field: Box | None, recipe: Recipe) -> Box | None:
    if field is None:
        return None
    first, second, third = (field[axis] for axis in recipe.transpose)
    return first, second, third


def _patches(grid: ScanGrid, recipe: Recipe, step: float) -> PatchPlan:
    """Of what the network sees, with what is added around a scan smaller than a patch."""
    first, second, third = (
        size + sum(padded(size, part))
        for size, part in zip(grid.seen, recipe.patch_3d, strict=True)
    )
    return plan_patches((first, second, third), recipe.patch_3d, step)


def _fill(found: Labels, planes: Iterator[Float], axes: tuple[Axis, Axis, Axis]) -> None:
    """Slices of labels from planes of logits, each as soon as both planes about it are there."""
    slices, rows, columns = axes
    kept: dict[int, tuple[Float, Labels]] = {}
    counted = enumerate(planes)
    for k in range(found.shape[0]):
        below, above = int(slices.lower[k]), int(slices.upper[k])
        while above not in kept or below not in kept:
            number, plane = next(counted)
            kept = {n: one for n, one in kept.items() if n >= below}
            if number >= below:
                kept[number] = (plane, winners(plane))
        label_slice(kept[below], kept[above], float(slices.weight[k]), rows, columns, found[k])


def _plane_means(
    planes: Iterator[Float],
    grid: ScanGrid,
    patches: PatchPlan,
    recipe: Recipe,
    network: Network,
    progress: Callable[[float], None],
) -> Iterator[Float]:
    """Planes of logits [row, column, channel] on the grid the network saw, overlapping patches joined."""
    patch, sizes, depths = patches.patch, patches.size, patches.starts[0]
    before = (padded(size, part)[0] for size, part in zip(grid.seen, patch, strict=True))
    inner = tuple(slice(pad, pad + size) for pad, size in zip(before, grid.seen, strict=True))
    rolling = RollingLogits(recipe.channels, (sizes[1], sizes[2]), patch_weight(recipe.patch))
    layer = np.zeros((patch[0], sizes[1], sizes[2]), np.float32)
    filled = 0
    for number, depth in enumerate(depths):
        kept = max(0, depths[number - 1] + patch[0] - depth) if number else 0
        if kept:
            layer[:kept] = layer[patch[0] - kept :]
        layer[kept:] = 0
        for place in range(max(depth + kept, inner[0].start), min(depth + patch[0], inner[0].stop)):
            layer[place - depth, inner[1], inner[2]] = next(planes)
        for count, (row, column) in enumerate(patches.in_plane, start=1):
            part = layer[:, row : row + patch[1], column : column + patch[2]]
            rolling.add(_logits(part, recipe, network), (depth, row, column))
            progress((number + count / len(patches.in_plane)) / len(depths))
        end = depths[number + 1] if number + 1 < len(depths) else sizes[0]
        for place in range(filled, end):
            plane = rolling.take()
            if inner[0].start <= place < inner[0].stop:
                yield np.ascontiguousarray(plane[inner[1], inner[2]])
        filled = end


def _logits(part: Float, recipe: Recipe, network: Network) -> Float:
    """Of one patch [plane, row, column]: the mean over all mirrored views, as logits [channel, plane, row, column]."""
    image = part if not recipe.is_flat else part[0]
    axes = recipe.mirror_axes
    views = [
        tuple(a for a, is_used in zip(axes, used, strict=True) if is_used)
        for used in product((0, 1), repeat=len(axes))
    ]
    total: Float = network(np.ascontiguousarray(image)[None, None])[0]
    for view in views[1:]:
        seen = np.ascontiguousarray(np.flip(image, view))
        total = total + np.flip(network(seen[None, None])[0], tuple(axis + 1 for axis in view))
    if len(views) > 1:
        total = total / np.float32(len(views))
    return np.ascontiguousarray(total.reshape(recipe.channels, *recipe.patch_3d))


@lru_cache(maxsize=4)
def patch_weight(patch: tuple[int, ...]) -> Float:
    """What a voxel of a patch counts [plane, row, column] (nnU-Net's compute_gaussian)."""
    weight = np.zeros(patch)
    weight[tuple(size // 2 for size in patch)] = 1
    weight = ndimage.gaussian_filter(weight, [size * SIGMA for size in patch], mode="constant")
    weight *= PEAK / weight.max()
    weight[weight == 0] = weight[weight > 0].min()
    shaped: Float = weight.astype(np.float32).reshape(-1, *patch[-2:])
    return shaped
