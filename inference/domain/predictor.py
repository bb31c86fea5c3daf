"""The port to a network: an array in, an array out, and the manifest that says what they mean."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from inference.domain.manifest import ModelManifest


class Predictor(Protocol):
    """A loaded network."""

    @property
    def manifest(self) -> ModelManifest:
        """What goes in and what comes out."""
        ...

    @property
    def provider(self) -> str:
        """The execution provider really in use."""
        ...

    def predict(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Raw outputs for a batch of the manifest's input layout; raises InferenceFailed."""
        ...
