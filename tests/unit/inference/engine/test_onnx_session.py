"""From what a site asks for to a session, over fake accelerators: nothing is built, nothing falls back unseen."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from inference.domain.errors import ModelUnusable, ProviderUnavailable
from inference.engine import onnx_session
from inference.engine.acceleration import Acceleration
from inference.engine.gpu import Gpu
from inference.engine.onnx_session import available_providers, open_session, surroundings_here
from inference.engine.prove_accelerator import prove
from inference.engine.provider_options import CUDA, TENSORRT
from inference.engine.providers import CPU
from tests.unit.inference.engine.fake_accelerator import HERE, FakeAccelerator
from tests.unit.inference.engine.test_prove_accelerator import NETWORK


class FakeRuntime:
    """Stands for onnxruntime.InferenceSession; the named providers do not start."""

    def __init__(self, *broken: str) -> None:
        self.broken = broken
        self.asked: list[list[tuple[str, dict[str, str]]]] = []
        self.fallbacks: list[int] = []

    def __call__(self, path: str, options: Any, providers: Any, enable_fallback: int = 1) -> str:
        self.asked.append(providers)
        self.fallbacks.append(enable_fallback)
        if providers[0][0] in self.broken:
            raise RuntimeError("EP Error")
        return str(providers[0][0])


@pytest.fixture
def gpu_machine(monkeypatch: pytest.MonkeyPatch) -> FakeRuntime:
    runtime = FakeRuntime()
    monkeypatch.setattr(onnxruntime, "InferenceSession", runtime)
    monkeypatch.setattr(onnx_session, "available_providers", lambda: (TENSORRT, CUDA, CPU))
    monkeypatch.setattr(onnx_session, "surroundings_here", lambda _, with_tensorrt: HERE)
    return runtime


def opened(root: Path | None, *asked: str) -> object:
    return open_session(
        NETWORK.path, NETWORK.name, NETWORK.sha256, asked, Acceleration(built_folder=root)
    )


def test_tensorrt_is_passed_over_until_habitus_warm_has_built_it(
    gpu_machine: FakeRuntime, tmp_path: Path
) -> None:
    before = opened(tmp_path, "tensorrt", "cuda", "cpu")
    prove(NETWORK, TENSORRT, HERE, tmp_path, 0.01, FakeAccelerator().open)
    after = opened(tmp_path, "tensorrt", "cuda", "cpu")

    assert (before, after) == (CUDA, TENSORRT)
    assert gpu_machine.asked[1][0][1]["trt_fp16_enable"] == "True"
    assert gpu_machine.fallbacks == [0, 0]


def test_tensorrt_alone_and_not_built_is_an_error_that_names_habitus_warm(
    gpu_machine: FakeRuntime, tmp_path: Path
) -> None:
    for root in (tmp_path, None):
        with pytest.raises(ProviderUnavailable, match="habitus warm"):
            opened(root, "tensorrt")
    assert gpu_machine.asked == []


def test_an_accelerator_that_does_not_start_leaves_the_next_with_its_own_options(
    gpu_machine: FakeRuntime, tmp_path: Path
) -> None:
    prove(NETWORK, TENSORRT, HERE, tmp_path, 0.01, FakeAccelerator().open)
    gpu_machine.broken = (TENSORRT,)

    assert opened(tmp_path, "tensorrt", "cuda", "cpu") == CUDA
    assert gpu_machine.asked[-1][0][1]["use_tf32"] == "0"


def test_where_nothing_starts_the_model_is_unusable(
    gpu_machine: FakeRuntime, tmp_path: Path
) -> None:
    gpu_machine.broken = (CUDA, CPU)

    with pytest.raises(ModelUnusable, match="RuntimeError"):
        opened(tmp_path, "cuda", "cpu")


def test_without_tensorrts_libraries_its_engine_is_of_no_use(
    gpu_machine: FakeRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = replace(HERE, tensorrt="")
    prove(NETWORK, TENSORRT, bare, tmp_path, 0.01, FakeAccelerator().open)
    monkeypatch.setattr(onnx_session, "surroundings_here", lambda _, with_tensorrt: bare)

    assert opened(tmp_path, "tensorrt", "cuda") == CUDA


def test_the_cpu_alone_asks_nothing_of_any_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("asked for the GPU")

    monkeypatch.setattr(onnx_session, "surroundings_here", never)
    monkeypatch.setattr(onnxruntime, "InferenceSession", FakeRuntime())

    assert opened(None, "cpu") == CPU
    assert CPU in available_providers()


def test_tensorrts_libraries_are_left_alone_where_cuda_alone_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded: list[object] = []

    def load(folder: object) -> str:
        loaded.append(folder)
        return "10.16.1"

    monkeypatch.setattr(onnx_session, "load_libraries", load)
    gpu = Gpu(name=HERE.gpu, driver=HERE.driver)
    monkeypatch.setattr(onnx_session, "gpu_here", lambda: gpu)
    surroundings_here.cache_clear()
    without = surroundings_here(None, with_tensorrt=False)
    assert loaded == []
    whole = surroundings_here(None, with_tensorrt=True)
    surroundings_here.cache_clear()

    assert without is not None
    assert whole is not None
    assert (without.tensorrt, whole.tensorrt) == ("", "10.16.1")
    assert (whole.gpu, whole.driver, whole.onnxruntime) == (
        HERE.gpu,
        HERE.driver,
        onnxruntime.__version__,
    )
