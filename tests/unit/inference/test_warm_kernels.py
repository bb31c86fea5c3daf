"""After habitus warm no kernel is left to be compiled at the first patient."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.domain.nnunet_recipe import Recipe
from inference.nnunet.labels import labels_of
from inference.warm_kernels import RECIPE, compile_kernels, kernels


def compiled() -> dict[str, int]:
    return {kernel.py_func.__qualname__: len(kernel.signatures) for kernel in kernels()}


@pytest.mark.parametrize("kind", [np.int16, np.float32])
@pytest.mark.parametrize(
    ("steps", "mirrors"), [((1.0, 1.5, 1.5), ()), ((9.0, 1.0, 1.0), (0, 1, 2)), ((2.0,) * 3, ())]
)
def test_a_scan_of_any_kind_compiles_nothing_more(
    kind: Any, steps: tuple[float, float, float], mirrors: tuple[int, ...]
) -> None:
    kept = compile_kernels()
    before = compiled()
    recipe: Recipe = replace(RECIPE, mirror_axes=mirrors)
    scan: Any = np.random.default_rng(1).integers(1, 90, (9, 20, 18)).astype(kind)
    labels_of(scan, steps, recipe, lambda batch: np.repeat(batch, 3, axis=1), lambda _share: None)

    assert compiled() == before
    assert len(before) >= 7
    assert all(before.values())
    assert all(Path(folder).is_dir() for folder in kept)
