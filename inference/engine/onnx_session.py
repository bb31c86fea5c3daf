"""A network in an ONNX Runtime session, on the providers that are asked for and may run it on this machine."""

import io
import os
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from functools import cache
from pathlib import Path

import onnxruntime as ort

from inference.domain.errors import ModelUnusable, ProviderUnavailable
from inference.engine.acceleration import PLAIN, Acceleration
from inference.engine.built import Built, Surroundings, built_in, key_of
from inference.engine.gpu import gpu_here
from inference.engine.openvino_predictor import is_installed
from inference.engine.provider_options import ACCELERATORS, TENSORRT, Plan, session_plan
from inference.engine.providers import (
    OPENVINO,
    TENSORRT_ADVICE,
    choose_providers,
    of_onnx_runtime,
    short_name,
)
from inference.engine.tensorrt_libraries import load_libraries

BATCH_AXIS = "batch"
"""As the exports call it; another name stays free, and CUDA then looks for kernels once more for each new size."""


def available_providers() -> tuple[str, ...]:
    """What this ONNX Runtime was built with, in its names, and OpenVINO where that is installed."""
    own = tuple(ort.get_available_providers())
    return (*own, OPENVINO) if is_installed() else own


def open_session(
    path: Path,
    name: str,
    model_sha256: str,
    providers: Sequence[str],
    acceleration: Acceleration = PLAIN,
) -> ort.InferenceSession:
    """On the first of the providers that may run it; raises ModelUnusable or ProviderUnavailable."""
    chosen = of_onnx_runtime(choose_providers(providers, available_providers()))
    plan = session_plan(chosen, _built(chosen, model_sha256, acceleration))
    if not plan:
        raise ProviderUnavailable(
            found=f"{name} without what {', '.join(map(short_name, chosen))} needs on this machine",
            wanted=f"a proven engine: {TENSORRT_ADVICE}",
            advice="Run habitus warm, or ask for cuda or cpu, too.",
        )
    return session_of(path, name, plan)


def session_of(path: Path, name: str, plan: Plan) -> ort.InferenceSession:
    """By this plan, less the accelerators that do not start; raises ModelUnusable."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    if any(provider in ACCELERATORS for provider, _ in plan):
        options.add_free_dimension_override_by_name(BATCH_AXIS, 1)
    try:
        # Its own fall-back would drop our options, and go over to another provider in the middle of a patient.
        return ort.InferenceSession(str(path), options, providers=list(plan), enable_fallback=0)
    except Exception as exc:
        if len(plan) > 1 and plan[0][0] in ACCELERATORS:
            return session_of(path, name, plan[1:])
        raise ModelUnusable(
            found=f"{name}: ONNX Runtime cannot load {path.name} ({type(exc).__name__})",
            wanted="a model this ONNX Runtime can run",
            advice="Update onnxruntime, or export the model again.",
        ) from exc


def _built(
    chosen: Sequence[str], model_sha256: str, acceleration: Acceleration
) -> dict[str, Built]:
    """What `habitus warm` left for this network, by provider."""
    if not set(chosen) & set(ACCELERATORS):
        return {}
    surroundings = surroundings_here(
        acceleration.tensorrt_libraries, with_tensorrt=TENSORRT in chosen
    )
    root = acceleration.built_folder
    if surroundings is None or root is None:
        return {}
    found = {
        provider: built_in(
            root / key_of(provider, model_sha256, surroundings), acceleration.half_precision_error
        )
        for provider in chosen
        if provider in ACCELERATORS
    }
    if not surroundings.tensorrt:
        found.pop(TENSORRT, None)
    return {provider: built for provider, built in found.items() if built is not None}


@cache
def surroundings_here(
    tensorrt_libraries: Path | None, *, with_tensorrt: bool
) -> Surroundings | None:
    """The GPU and what computes on it, its libraries loaded; None where there is none."""
    load_cuda()
    tensorrt = ""
    if with_tensorrt:
        with suppress(ProviderUnavailable):
            tensorrt = load_libraries(tensorrt_libraries)
    gpu = gpu_here()
    if gpu is None:
        return None
    return Surroundings(
        onnxruntime=str(ort.__version__), tensorrt=tensorrt, gpu=gpu.name, driver=gpu.driver
    )


def cuda_major() -> int | None:
    """Of the CUDA that this ONNX Runtime was built for; None: for none."""
    built_for = str(getattr(ort, "cuda_version", "") or "")
    return int(built_for.split(".")[0]) if built_for[:1].isdigit() else None


@cache
def load_cuda() -> None:
    """NVIDIA's wheels lie where no loader looks; without this ONNX Runtime goes on with the CPU."""
    with redirect_stdout(io.StringIO()):
        ort.preload_dlls()
