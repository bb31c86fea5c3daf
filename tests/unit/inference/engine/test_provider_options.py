"""What ONNX Runtime is told of each provider, from what was built and proven."""

from pathlib import Path

import pytest

from inference.engine.built import Built, Precision
from inference.engine.provider_options import CUDA, TENSORRT, options_of, session_plan
from inference.engine.providers import CPU

FOLDER = Path("/var/lib/habitus/built/0123456789abcdef0123456789abcdef")
REDUCED, FULL, UNFIT = (Built(folder=FOLDER, precision=one) for one in Precision)
ALL = (TENSORRT, CUDA, CPU)


@pytest.mark.parametrize(
    ("built", "planned"),
    [
        ({}, (CUDA, CPU)),
        ({TENSORRT: REDUCED}, ALL),
        ({TENSORRT: FULL, CUDA: FULL}, ALL),
        ({TENSORRT: UNFIT}, (CUDA, CPU)),
        ({TENSORRT: REDUCED, CUDA: UNFIT}, (TENSORRT, CPU)),
        ({TENSORRT: UNFIT, CUDA: UNFIT}, (CPU,)),
    ],
)
def test_tensorrt_runs_with_an_engine_that_is_there_or_not_at_all(
    built: dict[str, Built], planned: tuple[str, ...]
) -> None:
    assert tuple(name for name, _ in session_plan(ALL, built)) == planned


def test_nothing_is_planned_where_tensorrt_alone_is_chosen_and_not_built() -> None:
    assert session_plan((TENSORRT,), {}) == ()


@pytest.mark.parametrize(("built", "half"), [(REDUCED, "True"), (FULL, "False")])
def test_tensorrt_reads_its_engine_and_times_from_the_folder_of_the_key(
    built: Built, half: str
) -> None:
    assert options_of(TENSORRT, built) == {
        "device_id": "0",
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(FOLDER),
        "trt_engine_cache_prefix": "habitus",
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(FOLDER),
        "trt_fp16_enable": half,
    }


@pytest.mark.parametrize(("built", "tf32"), [(None, "0"), (FULL, "0"), (REDUCED, "1")])
def test_cuda_computes_in_full_precision_unless_less_was_proven(
    built: Built | None, tf32: str
) -> None:
    options = options_of(CUDA, built)

    assert options["use_tf32"] == tf32
    assert options["cudnn_conv_algo_search"] == "EXHAUSTIVE"


def test_the_cpu_is_told_nothing() -> None:
    assert options_of(CPU, None) == {}
