"""Predictors made of arithmetic, and a manifest for them."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from inference.domain.manifest import InputSpec, ModelManifest, OutputSpec, Parity

Float = npt.NDArray[np.float32]


def make_manifest(
    task: str = "organs",
    layout: str = "NCZYX",
    shape: tuple[int, ...] = (1, 1, 8, 8, 8),
    labels: tuple[str, ...] = ("background", "liver", "spleen"),
) -> ModelManifest:
    """A consistent manifest: window 0..1000 HU mapped to 0..1, unit steps."""
    return ModelManifest(
        schema_version=1,
        name="fake",
        version="0.0.1",
        task=task,
        onnx_sha256="0" * 64,
        checkpoint_sha256="0" * 64,
        input=InputSpec(
            name="image",
            dtype="float32",
            layout=layout,
            shape=shape,
            spacing_mm=(1.0,) * (len(shape) - 2),
            hu_window=(0.0, 1000.0),
            mean=0.0,
            sd=1.0,
        ),
        output=OutputSpec(name="logits", shape=(1, len(labels), *shape[2:]), labels=labels),
        opset=20,
        parity=Parity(tolerance_max_abs=1e-3, max_abs_error={}, argmax_agreement={}),
        parameters=0,
        training_data="none",
        code_revision="none",
        intended_use="tests",
        licence="Apache-2.0",
    )


class FakePredictor:
    """Applies a function to each batch and remembers the shapes it saw."""

    provider = "cpu"

    def __init__(self, manifest: ModelManifest, function: Callable[[Float], Float]) -> None:
        self.manifest = manifest
        self.function = function
        self.shapes: list[tuple[int, ...]] = []

    def predict(self, batch: Float) -> Float:
        """What the function says."""
        self.shapes.append(batch.shape)
        return self.function(batch)
