"""Tries an execution provider on a network of one node: what a package offers may still not start on this machine."""

import base64
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from inference.domain.errors import ProviderUnavailable
from inference.engine.onnx_session import available_providers, load_cuda
from inference.engine.openvino_predictor import cpu_options, started_core
from inference.engine.provider_options import ACCELERATORS, TENSORRT
from inference.engine.providers import OPENVINO, choose_providers, short_name
from inference.engine.tensorrt_libraries import load_libraries

_DOUBLING = base64.b64decode(
    "CAg6YwoPCgF4CgF3EgF5IgRDb252EgFnKhMIAQgBCAEIARABIgQAAABAQgF3WhsKAXgSFgoUCAESEAoCCAEKAggBCgIIAgoCCAJi"
    "GwoBeRIWChQIARIQCgIIAQoCCAEKAggCCgIIAkIECgAQEQ=="
)
"""onnx.helper: Conv of x (1 × 1 × 2 × 2, float) with a kernel of one 2.0; opset 17, IR version 8."""
_SILENT = 4
Float = npt.NDArray[np.float32]


def provider_in_use(asked: str, tensorrt_libraries: Path | None = None) -> str:
    """Our name of the provider that really computes when this one alone is asked for; raises ProviderUnavailable."""
    chosen = choose_providers((asked,), available_providers())
    if chosen[0] in ACCELERATORS:
        load_cuda()
    if chosen[0] == TENSORRT:
        load_libraries(tensorrt_libraries)
    batch = np.ones((1, 1, 2, 2), np.float32)
    if chosen == (OPENVINO,):
        return _tried(asked, lambda: _by_openvino(batch), batch)
    return _tried(asked, lambda: _by_onnx_runtime(chosen, batch), batch)


def _by_openvino(batch: Float) -> tuple[str, Float]:
    core = started_core()
    compiled = core.compile_model(core.read_model(_DOUBLING), "CPU", dict(cpu_options(1)))
    return short_name(OPENVINO), np.asarray(compiled([batch])[0])


def _by_onnx_runtime(chosen: Sequence[str], batch: Float) -> tuple[str, Float]:
    options = ort.SessionOptions()
    options.log_severity_level = _SILENT
    session = ort.InferenceSession(_DOUBLING, options, providers=list(chosen))
    (doubled,) = session.run(None, {"x": batch})
    return short_name(session.get_providers()[0]), doubled


def _tried(asked: str, run: Callable[[], tuple[str, Float]], batch: Float) -> str:
    try:
        used, doubled = run()
    except ProviderUnavailable:
        raise
    except Exception as exc:
        raise ProviderUnavailable(
            found=f"{asked}, which does not start here ({type(exc).__name__})",
            wanted="a network that runs on it",
            advice="Check driver and libraries of the accelerator, or put cpu first in [engine] providers.",
        ) from exc
    if not np.array_equal(doubled, 2 * batch):
        raise ProviderUnavailable(
            found=f"{asked}, which computes wrongly",
            wanted="twice one to be two",
            advice="Do not use this accelerator: test its memory, update its driver.",
        )
    return used
