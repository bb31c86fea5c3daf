"""The GPU's name and driver, as the driver's own library and the kernel tell them."""

import ctypes
from pathlib import Path
from typing import Any

import pytest

from inference.engine.gpu import Gpu, gpu_here

CLOSED = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n"
)
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs)\n"


class Driver:
    """libcuda with one GPU, or one that fails at a call."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails

    def cuInit(self, flags: int) -> int:  # noqa: N802 (CUDA's name)
        return 100 if self.fails == "cuInit" else 0

    def cuDeviceGet(self, device: Any, number: int) -> int:  # noqa: N802 (CUDA's name)
        return 101 if self.fails == "cuDeviceGet" else 0

    def cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:  # noqa: N802 (CUDA's name)
        if self.fails == "cuDeviceGetName":
            return 101
        ctypes.memmove(name, b"NVIDIA H200\0", 12)
        return 0


@pytest.mark.parametrize(
    ("text", "driver"), [(CLOSED, "535.104.05"), (OPEN, "580.65.06"), ("?", "")]
)
def test_name_and_driver(text: str, driver: str, tmp_path: Path) -> None:
    (tmp_path / "version").write_text(text)

    found = gpu_here(lambda _: Driver(), tmp_path / "version")

    assert found == Gpu(name="NVIDIA H200", driver=driver)


def test_a_kernel_that_does_not_say_leaves_the_driver_open(tmp_path: Path) -> None:
    found = gpu_here(lambda _: Driver(), tmp_path / "none")

    assert found is not None
    assert found.driver == ""


@pytest.mark.parametrize("fails", ["cuInit", "cuDeviceGet", "cuDeviceGetName"])
def test_a_driver_without_a_gpu_is_no_device(fails: str) -> None:
    assert gpu_here(lambda _: Driver(fails)) is None


def test_no_driver_is_no_device() -> None:
    def load(name: str) -> Any:
        raise OSError(name)

    assert gpu_here(load) is None
