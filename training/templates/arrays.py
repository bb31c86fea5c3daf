"""The few operations in which numpy and torch differ, so that geometry and painting are written once for both."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Array = Any
"""A numpy array, or a torch tensor on some device."""


class Arrays(Protocol):
    """One implementation here, one for torch in training.torch_arrays."""

    xp: Any
    """numpy or torch: where, sin, clip, … under their common names."""

    def put(self, values: npt.NDArray[Any]) -> Array:
        """An array of ours where the work is done."""

    def get(self, values: Array) -> npt.NDArray[Any]:
        """Back to numpy."""

    def zeros(self, shape: tuple[int, ...]) -> Array:
        """Labels, all air."""

    def whole(self, values: Array) -> Array:
        """Rounded, for use as an index."""

    def real(self, values: Array) -> Array:
        """As 32-bit reals."""

    def picked(self, table: npt.NDArray[Any], labels: Array) -> Array:
        """The table's value of every label."""

    def blur(self, hu: Array, sd: tuple[float, float, float]) -> Array:
        """Gaussian of so many voxels along each axis, edges repeated."""

    def normal(self, shape: tuple[int, ...], seed: int) -> Array:
        """Standard normal numbers of a seed; numpy and torch give different ones."""


class NumpyArrays:
    """See Arrays."""

    xp: Any = np

    def put(self, values: npt.NDArray[Any]) -> Array:
        return values

    def get(self, values: Array) -> npt.NDArray[Any]:
        return np.asarray(values)

    def zeros(self, shape: tuple[int, ...]) -> Array:
        return np.zeros(shape, np.uint8)

    def whole(self, values: Array) -> Array:
        return np.rint(values).astype(np.intp)

    def real(self, values: Array) -> Array:
        return values.astype(np.float32)

    def picked(self, table: npt.NDArray[Any], labels: Array) -> Array:
        return table[labels]

    def blur(self, hu: Array, sd: tuple[float, float, float]) -> Array:
        return ndimage.gaussian_filter(hu, sd, truncate=3.0, mode="nearest")

    def normal(self, shape: tuple[int, ...], seed: int) -> Array:
        return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


NUMPY = NumpyArrays()
