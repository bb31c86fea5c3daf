"""Choosing a provider is a pure function."""

import pytest

from inference.domain.errors import ConfigurationInvalid, ProviderUnavailable
from inference.engine.providers import (
    OPENVINO,
    Downgrade,
    choose_providers,
    downgrade_flag,
    of_onnx_runtime,
    prefers_openvino,
    require_first,
    without_openvino,
)

CUDA = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")


@pytest.mark.parametrize(
    ("asked", "available", "chosen"),
    [
        (("tensorrt", "cuda", "cpu"), CUDA, CUDA),
        (("cuda", "cpu"), CUDA, CUDA[1:]),
        (("cuda", "cpu"), CUDA[2:], CUDA[2:]),
        (("cpu",), CUDA, CUDA[2:]),
        (("openvino", "cpu"), (*CUDA, OPENVINO), (OPENVINO, CUDA[2])),
        (("openvino", "cpu"), CUDA, CUDA[2:]),
        (("cpu", "cuda", "cpu"), CUDA, (CUDA[2], CUDA[1])),
    ],
)
def test_the_available_ones_are_taken_in_the_order_asked(
    asked: tuple[str, ...], available: tuple[str, ...], chosen: tuple[str, ...]
) -> None:
    assert choose_providers(asked, available) == chosen


def test_none_available_is_an_error_not_a_quiet_cpu() -> None:
    with pytest.raises(ProviderUnavailable, match="CPUExecutionProvider"):
        choose_providers(("cuda",), CUDA[2:])


def test_an_unknown_name_says_what_is_known() -> None:
    with pytest.raises(ConfigurationInvalid, match="tensorrt, cuda, openvino, cpu"):
        choose_providers(("gpu",), CUDA)


def test_a_downgrade_is_named() -> None:
    assert downgrade_flag(("cuda", "cpu"), "cpu") == "computed on cpu although cuda was asked for"
    assert downgrade_flag(("cuda", "cpu"), "cuda") is None


def test_a_downgrade_from_tensorrt_names_what_builds_its_engines() -> None:
    flag = downgrade_flag(("tensorrt", "cuda"), "cuda")

    assert (
        flag == "computed on cuda although tensorrt was asked for (habitus warm builds its engines)"
    )


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        (("openvino", "cpu"), ("cpu",)),
        (("cuda", "openvino", "cpu"), ("cuda", "cpu")),
        (("openvino",), ("cpu",)),
        (("cpu",), ("cpu",)),
    ],
)
def test_a_network_that_onnx_runtime_alone_runs_is_not_asked_for_on_openvino(
    asked: tuple[str, ...], left: tuple[str, ...]
) -> None:
    assert without_openvino(asked) == left


def test_a_site_that_wants_no_downgrade_gets_none() -> None:
    require_first("organs", ("cuda", "cpu"), "cpu", Downgrade.WARN)
    require_first("organs", ("cuda", "cpu"), "cuda", Downgrade.FAIL)
    with pytest.raises(ProviderUnavailable, match="organs on cpu; wanted it on cuda"):
        require_first("organs", ("cuda", "cpu"), "cpu", Downgrade.FAIL)
    with pytest.raises(ProviderUnavailable) as plain:
        require_first("organs", ("openvino", "cpu"), "cpu", Downgrade.FAIL)
    assert "habitus warm" not in str(plain.value)
    with pytest.raises(ProviderUnavailable, match="habitus warm builds its engines"):
        require_first("organs", ("tensorrt", "cpu"), "cpu", Downgrade.FAIL)


@pytest.mark.parametrize(
    ("chosen", "used", "expected"),
    [
        ((OPENVINO, CUDA[2]), None, True),
        ((CUDA[2], OPENVINO), None, False),
        ((CUDA[2],), "cpu", False),
        ((CUDA[1], OPENVINO, CUDA[2]), None, False),
        ((CUDA[1], OPENVINO, CUDA[2]), "cuda", False),
        ((CUDA[1], OPENVINO, CUDA[2]), "cpu", True),
        ((CUDA[1], OPENVINO), "cpu", True),
        ((CUDA[1], CUDA[2], OPENVINO), "cpu", False),
    ],
)
def test_openvino_takes_the_cpu_where_it_was_asked_for_before_it(
    chosen: tuple[str, ...], used: str | None, expected: bool
) -> None:
    assert prefers_openvino(chosen, used) is expected


def test_onnx_runtime_is_never_asked_for_openvino() -> None:
    assert of_onnx_runtime((CUDA[1], OPENVINO, CUDA[2])) == CUDA[1:]
    assert of_onnx_runtime((OPENVINO,)) == CUDA[2:]
