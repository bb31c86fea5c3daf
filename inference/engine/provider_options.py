"""What ONNX Runtime is told of each execution provider: pure, from what was built and proven for this machine."""

from collections.abc import Mapping, Sequence

from inference.engine.built import Built, Precision
from inference.engine.providers import PROVIDERS

TENSORRT, CUDA = PROVIDERS["tensorrt"], PROVIDERS["cuda"]
ACCELERATORS = (TENSORRT, CUDA)
PREFIX = "habitus"

Options = dict[str, str]
Plan = tuple[tuple[str, Options], ...]
"""ONNX Runtime's names of providers, best first, each with its options."""


def session_plan(chosen: Sequence[str], built: Mapping[str, Built]) -> Plan:
    """The chosen providers that may run a network: TensorRT with an engine that is there, never one that has to be built first."""
    return tuple(
        (provider, options_of(provider, built.get(provider)))
        for provider in chosen
        if _may_run(provider, built.get(provider))
    )


def _may_run(provider: str, built: Built | None) -> bool:
    if built is not None:
        return built.precision is not Precision.UNFIT
    return provider != TENSORRT


def options_of(provider: str, built: Built | None) -> Options:
    """Of one; without a proof everything is computed in full precision."""
    is_reduced = built is not None and built.precision is Precision.REDUCED
    if provider == CUDA:
        return {
            "device_id": "0",
            "arena_extend_strategy": "kSameAsRequested",
            # Shapes are static: the search is made once for each layer, at the run before the first patient.
            "cudnn_conv_algo_search": "EXHAUSTIVE",
            "use_tf32": "1" if is_reduced else "0",
        }
    if provider == TENSORRT and built is not None:
        folder = str(built.folder)
        return {
            "device_id": "0",
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": folder,
            "trt_engine_cache_prefix": PREFIX,
            "trt_timing_cache_enable": "True",
            "trt_timing_cache_path": folder,
            "trt_fp16_enable": "True" if is_reduced else "False",
        }
    return {}
