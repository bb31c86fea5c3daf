"""A network's first run, made before the first patient comes."""

from collections.abc import Iterable

import numpy as np

from inference.domain.predictor import Predictor
from inference.domain.refiner import Refiner


def warm_up(predictors: Iterable[Predictor]) -> None:
    """Run each once on an empty input of its own shape; raises InferenceFailed.

    The first run allocates and picks kernels, which took the networks of `abdomen` 0.06 s more on two CPU cores
    (docs/results/first-inference.md).
    """
    for predictor in predictors:
        predictor.predict(np.zeros((1, *predictor.manifest.input.shape[1:]), np.float32))


def warm_up_refiner(refiner: Refiner) -> None:
    """Both networks, once; raises InferenceFailed."""
    manifest = refiner.manifest
    embeddings = refiner.embed(np.zeros((manifest.side, manifest.side), np.float32))
    points = np.zeros((manifest.prompt_tokens, 2), np.float32)
    mask = np.zeros((manifest.mask_side, manifest.mask_side), np.float32)
    refiner.mask_logits(embeddings, points, np.full(len(points), -1, np.int64), mask, True)
