"""A network in an ONNX Runtime session: shapes checked when loaded, the provider in use reported."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference.domain.errors import InferenceFailed
from inference.domain.manifest import ModelManifest
from inference.engine.acceleration import PLAIN, Acceleration
from inference.engine.bound_run import BoundRun
from inference.engine.contract import finite, require_input, require_shapes
from inference.engine.onnx_session import open_session
from inference.engine.provider_options import ACCELERATORS
from inference.engine.providers import short_name

DEVICE = "cuda"
"""Where both accelerators keep their arrays, in ONNX Runtime's word."""


class OnnxPredictor:
    """Runs one model; a session is costly to make and safe to keep."""

    def __init__(
        self,
        model_path: Path,
        manifest: ModelManifest,
        providers: Sequence[str] = ("cpu",),
        acceleration: Acceleration = PLAIN,
    ) -> None:
        self._manifest = manifest
        self._session = open_session(
            model_path, manifest.name, manifest.onnx_sha256, providers, acceleration
        )
        require_shapes(
            manifest,
            {i.name: i.shape for i in self._session.get_inputs()},
            {o.name: o.shape for o in self._session.get_outputs()},
        )
        used = self._session.get_providers()[0]
        self._provider = short_name(used)
        self._bound = BoundRun(self._session, manifest, DEVICE) if used in ACCELERATORS else None

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
            result = self._bound.answers(batch) if self._bound else self._plain(batch)
        except Exception as exc:
            raise InferenceFailed(
                found=f"{self._manifest.name} stopped ({type(exc).__name__})",
                wanted="a finished run",
                advice="Memory may be short; try again or use another provider.",
            ) from exc
        return finite(self._manifest, result)

    def _plain(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        asked = {self._manifest.input.name: batch}
        result: npt.NDArray[np.float32] = self._session.run([self._manifest.output.name], asked)[0]
        return result
