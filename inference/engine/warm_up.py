"""A network's first run, made before the first patient comes."""

from collections.abc import Iterable

import numpy as np

from inference.domain.predictor import Predictor


def warm_up(predictors: Iterable[Predictor]) -> None:
    """Run each once on an empty input of its own shape; raises InferenceFailed.

    The first run allocates and picks kernels, which took the networks of `abdomen` 0.17 s more on two CPU cores
    (docs/results/first-inference.md).
    """
    for predictor in predictors:
        predictor.predict(np.zeros((1, *predictor.manifest.input.shape[1:]), np.float32))
