"""A network compiled by OpenVINO for the CPU: the same answers as ONNX Runtime's for about half the processor time."""

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.domain.errors import InferenceFailed, ModelUnusable, ProviderUnavailable
from inference.domain.manifest import ModelManifest
from inference.engine.contract import finite, require_input, require_shapes
from inference.engine.openvino_norms import join_norms

Float = npt.NDArray[np.float32]


def is_installed() -> bool:
    """Without importing it, which costs memory that ONNX Runtime alone does not need."""
    return importlib.util.find_spec("openvino") is not None


def started_core() -> Any:
    """OpenVINO with its plugin for the CPU; raises ProviderUnavailable."""
    try:
        from openvino import Core

        core = Core()
        core.get_property("CPU", "FULL_DEVICE_NAME")
    except Exception as exc:
        raise ProviderUnavailable(
            found=f"OpenVINO, which does not start here ({type(exc).__name__})",
            wanted="OpenVINO with its plugin for the CPU",
            advice="Install it again (make setup), or put cpu first in [engine] providers.",
        ) from exc
    return core


def cpu_options(threads: int) -> Mapping[str, Any]:
    """Full precision everywhere: on processors with bfloat16 OpenVINO would take that by itself."""
    return {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }


class OpenVinoPredictor:
    """Runs one model, an example at a time: its kernels are chosen for one shape."""

    def __init__(self, model_path: Path, manifest: ModelManifest) -> None:
        self._manifest = manifest
        core, shape = started_core(), [1, *manifest.input.shape[1:]]
        try:
            model = core.read_model(str(model_path))
            require_shapes(
                manifest,
                {port.any_name: _sizes(port) for port in model.inputs},
                {port.any_name: _sizes(port) for port in model.outputs},
            )
            model.reshape({manifest.input.name: shape})
            join_norms(model)
            options = dict(cpu_options(len(os.sched_getaffinity(0))))
            compiled = core.compile_model(model, "CPU", options)
        except RuntimeError as exc:
            raise ModelUnusable(
                found=f"{manifest.name}: OpenVINO cannot load it ({type(exc).__name__})",
                wanted="a model this OpenVINO can run",
                advice="Put cpu beside openvino in [engine] providers, install OpenVINO again, or export the model again.",
            ) from exc
        self._request = compiled.create_infer_request()

    @property
    def manifest(self) -> ModelManifest:
        """What goes in and what comes out."""
        return self._manifest

    @property
    def provider(self) -> str:
        """Always the CPU, by this engine."""
        return "openvino"

    def predict(self, batch: Float) -> Float:
        """Raw outputs for a batch; raises InferenceFailed."""
        require_input(self._manifest, batch)
        shape = self._manifest.output.shape[1:]
        answers = np.empty((len(batch), *shape), np.float32)
        try:
            for one, answer in zip(batch, answers, strict=True):
                # Shared: the request's own memory, copied here before the next example writes to it.
                found = self._request.infer({0: one[None]}, share_inputs=True, share_outputs=True)
                answer[...] = found[0][0]
        except RuntimeError as exc:
            raise InferenceFailed(
                found=f"{self._manifest.name} stopped ({type(exc).__name__})",
                wanted="a finished run",
                advice="Memory may be short; try again or use another provider.",
            ) from exc
        return finite(self._manifest, answers)


def _sizes(port: Any) -> tuple[int | None, ...]:
    shape = port.get_partial_shape()
    return tuple(d.get_length() if d.is_static else None for d in shape)
