"""The GPU that CUDA takes first, and its driver: asked of the driver itself, without a CUDA toolkit."""

import ctypes
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DRIVER_LIBRARY = "libcuda.so.1"
VERSION_FILE = Path("/proc/driver/nvidia/version")
_VERSION = re.compile(r"Kernel Module\s+(?:for \S+\s+)?(\d+(?:\.\d+)+)")
_NAME_BYTES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One that a network can run on."""

    name: str
    driver: str
    """Of its kernel module, such as 580.65.06; empty where the kernel does not say."""


def gpu_here(load: Callable[[str], Any] = ctypes.CDLL, version: Path = VERSION_FILE) -> Gpu | None:
    """CUDA's device 0, as CUDA_VISIBLE_DEVICES leaves it; None where there is none (CUDA Driver API, cuInit and cuDeviceGetName)."""
    try:
        cuda = load(DRIVER_LIBRARY)
    except OSError:
        return None
    device, name = ctypes.c_int(), ctypes.create_string_buffer(_NAME_BYTES)
    if cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0):
        return None
    if cuda.cuDeviceGetName(name, _NAME_BYTES, device):
        return None
    return Gpu(name=name.value.decode("ascii", "replace"), driver=_driver(version))


def _driver(version: Path) -> str:
    try:
        found = _VERSION.search(version.read_text(encoding="ascii", errors="replace"))
    except OSError:
        return ""
    return found[1] if found else ""
