"""A network in an ONNX Runtime session: shapes checked when loaded, the provider in use reported."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from inference.domain.errors import InferenceFailed, ModelUnusable
from inference.domain.manifest import ModelManifest
from inference.engine.providers import choose_providers, short_name


def available_providers() -> tuple[str, ...]:
    """What this ONNX Runtime was built with, in ONNX Runtime's names."""
    return tuple(ort.get_available_providers())


class OnnxPredictor:
    """Runs one model; a session is costly to make and safe to keep."""

    def __init__(
        self, model_path: Path, manifest: ModelManifest, providers: Sequence[str] = ("cpu",)
    ) -> None:
        self._manifest = manifest
        chosen = choose_providers(providers, available_providers())
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
        self._check_shapes()
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
        spec = self._manifest.input
        if batch.shape[1:] != spec.shape[1:]:
            raise InferenceFailed(
                found=f"input {batch.shape} for {self._manifest.name}",
                wanted=str(spec.shape),
                advice="Restore the model folder or export it again.",
            )
        try:
            (result,) = self._session.run([self._manifest.output.name], {spec.name: batch})
        except Exception as exc:
            raise InferenceFailed(
                found=f"{self._manifest.name} stopped ({type(exc).__name__})",
                wanted="a finished run",
                advice="Memory may be short; try again or use another provider.",
            ) from exc
        if not np.isfinite(result).all():
            raise InferenceFailed(
                found=f"values that are not finite from {self._manifest.name}",
                wanted="numbers",
                advice="Nothing is sent. Try the cpu provider, and report the series' scanner.",
            )
        output: npt.NDArray[np.float32] = np.asarray(result, np.float32)
        return output

    def _check_shapes(self) -> None:
        """The graph's own input and output must be what the manifest says."""
        manifest = self._manifest
        inputs = {i.name: i.shape for i in self._session.get_inputs()}
        outputs = {o.name: o.shape for o in self._session.get_outputs()}
        for found, (name, wanted) in (
            (inputs, (manifest.input.name, manifest.input.shape)),
            (outputs, (manifest.output.name, manifest.output.shape)),
        ):
            shape = found.get(name)
            if shape is None or tuple(shape[1:]) != tuple(wanted[1:]):
                raise ModelUnusable(
                    found=f"{manifest.name}: {found}",
                    wanted=f"{name} of shape {wanted} as the manifest says",
                    advice="Restore the model folder or export it again.",
                )
