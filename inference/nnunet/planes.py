"""The planes a network sees, made one after the other from the scan's slices: no prepared volume ever exists."""

from collections import deque
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from inference.domain.nnunet_recipe import Recipe
from inference.kernels.banded import Intensities, resampled_slice, weighted_sum
from inference.nnunet.grids import ScanGrid, image_bands, separate_axis

Float = npt.NDArray[np.float32]
Voxels = npt.NDArray[np.int16] | Float
LEAST_SD = 1e-8
"""nnU-Net's, of an image without contrast."""


def seen_planes(voxels: Voxels, grid: ScanGrid, recipe: Recipe) -> Iterator[Float]:
    """Normalised planes [row, column] of a scan [in the network's axes], first to last."""
    box = voxels[grid.box]
    slices, rows, columns = image_bands(grid, recipe)
    intensities = intensities_of(voxels[grid.filled], recipe)
    alone = separate_axis(recipe.image, grid.source_mm, grid.seen_mm)
    bounds = None if alone == 0 else _bounds(box, intensities)
    recent: deque[tuple[int, Float]] = deque()
    resamples = grid.seen != grid.source
    for first, weights in zip(slices.first, slices.weights, strict=True):
        while recent and recent[0][0] < first:
            recent.popleft()
        for k in range(recent[-1][0] + 1 if recent else int(first), int(first) + len(weights)):
            plane = resampled_slice(box[k], rows, columns, intensities)
            if alone == 0 and resamples:
                # skimage's resize never leaves the range of what it is given: here a slice.
                plane = np.clip(plane, *_bounds(box[k], intensities))
            recent.append((k, plane))
        plane = weighted_sum([one for _, one in recent][: len(weights)], weights)
        if bounds is not None and resamples:
            np.clip(plane, *bounds, out=plane)
        yield plane


def intensities_of(box: Voxels, recipe: Recipe) -> Intensities:
    """As the recipe says, or of the image itself."""
    if recipe.clip is not None:
        return Intensities(*recipe.clip, recipe.mean, max(recipe.sd, LEAST_SD))
    mean = float(np.mean(box, dtype=np.float64))
    squares = sum(float(np.sum((plane - mean) ** 2, dtype=np.float64)) for plane in box)
    sd = max((squares / box.size) ** 0.5, LEAST_SD)
    return Intensities(-np.inf, np.inf, mean, sd)


def _bounds(box: Voxels, intensities: Intensities) -> tuple[float, float]:
    low, high, mean, sd = intensities
    least, most = (
        (min(max(float(value), low), high) - mean) / sd for value in (box.min(), box.max())
    )
    return least, most
