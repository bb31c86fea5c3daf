"""Choosing a provider is a pure function."""

import pytest

from inference.domain.errors import ConfigurationInvalid, ProviderUnavailable
from inference.engine.providers import choose_providers, downgrade_flag

CUDA = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")


@pytest.mark.parametrize(
    ("asked", "available", "chosen"),
    [
        (("tensorrt", "cuda", "cpu"), CUDA, CUDA),
        (("cuda", "cpu"), CUDA, CUDA[1:]),
        (("cuda", "cpu"), CUDA[2:], CUDA[2:]),
        (("cpu",), CUDA, CUDA[2:]),
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
    with pytest.raises(ConfigurationInvalid, match="tensorrt, cuda, cpu"):
        choose_providers(("gpu",), CUDA)


def test_a_downgrade_is_named() -> None:
    assert downgrade_flag(("cuda", "cpu"), "cpu") == "computed on cpu although cuda was asked for"
    assert downgrade_flag(("cuda", "cpu"), "cuda") is None
