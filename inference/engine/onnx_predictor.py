"""A network in an ONNX Runtime session: shapes checked when loaded, the provider in use reported."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from inference.domain.errors import InferenceFailed, ModelUnusable
from inference.domain.manifest import ModelManifest
from inference.engine.contract import finite, require_input, require_shapes
from inference.engine.openvino_predictor import is_installed
from inference.engine.providers import OPENVINO, choose_providers, of_onnx_runtime, short_name


def available_providers() -> tuple[str, ...]:
    """What this ONNX Runtime was built with, in its names, and OpenVINO where that is installed."""
    own = tuple(ort.get_available_providers())
    return (*own, OPENVINO) if is_installed() else own


class OnnxPredictor:
    """Runs one model; a session is costly to make and safe to keep."""

    def __init__(
        self, model_path: Path, manifest: ModelManifest, providers: Sequence[str] = ("cpu",)
    ) -> None:
        self._manifest = manifest
        chosen = of_onnx_runtime(choose_providers(providers, available_providers()))
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
        try:
            self._session = ort.InferenceSession(str(model_path), options, providers=list(chosen))
        except Exception as exc:
            raise ModelUnusable(
                found=f"{manifest.name}: ONNX Runtime cannot load it ({type(exc).__name__})",
                wanted="a model this ONNX Runtime can run",
                advice="Update onnxruntime, or export the model again.",
            ) from exc
        require_shapes(
            manifest,
            {i.name: i.shape for i in self._session.get_inputs()},
            {o.name: o.shape for o in self._session.get_outputs()},
        )
        self._provider = short_name(self._session.get_providers()[0])

    @property
    def manifest(self) -> ModelManifest:
        """What goes in and what comes out."""
        return self._manifest

    @property
    def provider(self) -> str:
        """The execution provider really in use."""
        return self._provider

    def predict(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Raw outputs for a batch; raises InferenceFailed."""
        require_input(self._manifest, batch)
        try:
            (result,) = self._session.run(
                [self._manifest.output.name], {self._manifest.input.name: batch}
            )
        except Exception as exc:
            raise InferenceFailed(
                found=f"{self._manifest.name} stopped ({type(exc).__name__})",
                wanted="a finished run",
                advice="Memory may be short; try again or use another provider.",
            ) from exc
        return finite(self._manifest, result)
