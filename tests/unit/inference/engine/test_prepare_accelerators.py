"""What habitus warm does for a profile: everything asked for is built, or it is said why not."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from inference.domain.errors import ConfigurationInvalid
from inference.engine.acceleration import Acceleration
from inference.engine.built import Surroundings
from inference.engine.prepare_accelerators import Prepared, prepare
from inference.engine.prove_accelerator import prove
from inference.engine.provider_options import CUDA, TENSORRT
from inference.engine.providers import CPU
from tests.unit.inference.engine.fake_accelerator import HERE, OFF_IN_HALF, FakeAccelerator
from tests.unit.inference.engine.test_prove_accelerator import NETWORK

EVERYTHING = (TENSORRT, CUDA, CPU)


def prepared(
    root: Path | None,
    gpu: FakeAccelerator,
    *,
    here: Surroundings | None = HERE,
    asked: Sequence[str] = ("tensorrt", "cuda", "cpu"),
    available: Sequence[str] = EVERYTHING,
) -> list[Prepared]:
    return list(
        prepare(
            [NETWORK],
            asked,
            available,
            lambda: here,
            Acceleration(built_folder=root),
            partial(prove, open_session=gpu.open),
        )
    )


def test_each_network_is_built_once_for_each_accelerator(tmp_path: Path) -> None:
    gpu = FakeAccelerator()
    first = prepared(tmp_path, gpu)
    opened = len(gpu.opened)
    again = prepared(tmp_path, gpu)

    assert [(each.subject, each.is_ready) for each in first] == [
        ("organs on tensorrt", True),
        ("organs on cuda", True),
    ]
    assert "agreement 1.00000" in first[0].text
    assert [each.text for each in again] == ["reduced, before"] * 2
    assert len(gpu.opened) == opened


def test_another_driver_has_it_built_anew(tmp_path: Path) -> None:
    gpu = FakeAccelerator()
    prepared(tmp_path, gpu)

    anew = prepared(tmp_path, gpu, here=replace(HERE, driver="590.1"))

    assert not any("before" in each.text for each in anew)


def test_what_does_not_give_the_cpus_answers_is_not_ready(tmp_path: Path) -> None:
    gpu = FakeAccelerator({OFF_IN_HALF: 0.5, "full": 0.5})

    assert [each.is_ready for each in prepared(tmp_path, gpu)] == [False, False]
    assert [each.is_ready for each in prepared(tmp_path, gpu)] == [False, False]


def test_what_this_onnx_runtime_lacks_is_said(tmp_path: Path) -> None:
    one, other = prepared(tmp_path, FakeAccelerator(), available=(CPU,))

    assert (one.subject, other.subject) == ("tensorrt", "cuda")
    assert "make setup EXTRA=gpu" in one.text
    assert not one.is_ready


def test_a_machine_without_a_gpu_is_said(tmp_path: Path) -> None:
    (only,) = prepared(tmp_path, FakeAccelerator(), here=None)

    assert only.text.startswith("no device")
    assert not only.is_ready


def test_without_tensorrts_libraries_cuda_is_made_ready_all_the_same(tmp_path: Path) -> None:
    said, cuda = prepared(tmp_path, FakeAccelerator(), here=replace(HERE, tensorrt=""))

    assert (said.subject, said.is_ready) == ("tensorrt", False)
    assert (cuda.subject, cuda.is_ready) == ("organs on cuda", True)


def test_one_that_does_not_start_stops_nothing_else(tmp_path: Path) -> None:
    found = prepared(tmp_path, FakeAccelerator(starts=False))

    assert [each.is_ready for each in found] == [False, False]
    assert "organs on cpu" in found[0].text


def test_the_cpu_alone_needs_no_folder() -> None:
    assert prepared(None, FakeAccelerator(), asked=("openvino", "cpu")) == []
    with pytest.raises(ConfigurationInvalid, match="--built"):
        prepared(None, FakeAccelerator())
