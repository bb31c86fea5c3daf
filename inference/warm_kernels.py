"""The kernels of an nnU-Net's way compiled before the first patient, by a run over a scan of a few voxels."""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.domain.nnunet_recipe import Recipe, Resampling

Float = npt.NDArray[np.float32]

CHANNELS, PATCH, SIZE = 3, (8, 8, 8), 12
_LINEAR = Resampling(order=1, order_z=0, separate_z=None)
RECIPE = Recipe(
    spacing_mm=(2.0, 2.0, 2.0),
    patch=PATCH,
    transpose=(0, 1, 2),
    image=Resampling(order=3, order_z=0, separate_z=None),
    logits=_LINEAR,
    clip=(-1000.0, 1000.0),
    mean=0.0,
    sd=1.0,
    mirror_axes=(),
    channels=CHANNELS,
    orientation="LPS",
)


def compile_kernels() -> tuple[str, ...]:
    """Those that any scan needs, in whole Hounsfield units or not; the folders in which they are kept."""
    from inference.nnunet.labels import labels_of

    voxels = np.random.default_rng(0).integers(1, 200, (SIZE, SIZE, SIZE))
    for scan in (voxels.astype(np.int16), voxels.astype(np.float32)):
        labels_of(scan, (3.0, 3.0, 3.0), RECIPE, _network, lambda _share: None)
    return tuple(sorted({str(kernel.stats.cache_path) for kernel in kernels()}))


def _network(batch: Float) -> Float:
    return np.concatenate([batch * n for n in range(CHANNELS)], axis=1).astype(np.float32)


def kernels() -> Iterator[Any]:
    """Everything that is compiled, of every module."""
    package = import_module("inference.kernels")
    for module in iter_modules(package.__path__, "inference.kernels."):
        for member in vars(import_module(module.name)).values():
            if hasattr(member, "signatures") and member.py_func.__module__ == module.name:
                yield member


if __name__ == "__main__":
    print("\n".join(compile_kernels()))  # noqa: T201 (what the caller reads)
