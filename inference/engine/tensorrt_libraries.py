"""TensorRT's libraries, which no package of ours brings: what is missing of them, and loading them from the site's folder."""

import ctypes
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from inference.domain.errors import ProviderUnavailable

WANTED = ("libnvinfer.so.10", "libnvinfer_plugin.so.10", "libnvonnxparser.so.10")
"""Each after those it needs. The first and the last stand in ONNX Runtime's provider (readelf -d libonnxruntime_providers_tensorrt.so of
1.26.0 and 1.31.1); TensorRT 11 has others, and ONNX Runtime would go on without a word."""

Load = Callable[..., Any]


def missing_libraries(names: Collection[str]) -> tuple[str, ...]:
    """Of a folder with these files: each library that is not in it, and what is there instead."""
    return tuple(_told(wanted, names) for wanted in WANTED if wanted not in names)


def _told(wanted: str, names: Collection[str]) -> str:
    stem = wanted.rpartition(".")[0]
    like = sorted(name for name in names if name.startswith(stem))
    whole = [name for name in like if name.startswith(f"{wanted}.")]
    if whole:
        return f"{wanted} ({whole[-1]} is there without that name: ln -s {whole[-1]} {wanted})"
    return f"{wanted} (found {', '.join(like)} instead)" if like else wanted


def listing(folder: Path) -> tuple[str, ...]:
    """Names of files that are there; a link that leads nowhere is no file. Empty where the folder cannot be read."""
    try:
        return tuple(sorted(path.name for path in folder.iterdir() if path.is_file()))
    except OSError:
        return ()


def load_libraries(folder: Path | None, load: Load = ctypes.CDLL) -> str:
    """Load them before a session asks the loader for them; TensorRT's version. Raises ProviderUnavailable."""
    if folder is not None and (missing := missing_libraries(listing(folder))):
        raise ProviderUnavailable(
            found=f"no {'; no '.join(missing)} in {folder}",
            wanted="TensorRT 10, whole",
            advice="Name the folder of TensorRT 10's libraries in [engine] tensorrt_libraries.",
        )
    loaded = []
    for name in WANTED:
        try:
            loaded.append(load(str(folder / name if folder else name), mode=ctypes.RTLD_GLOBAL))
        except OSError as error:
            raise ProviderUnavailable(
                found=f"{name}, which does not load ({error})"
                if folder
                else f"no {name} where the system's loader looks",
                wanted="TensorRT 10, whole",
                advice="Name the folder of TensorRT 10's libraries in [engine] tensorrt_libraries; for another GPU or CUDA there are others.",
            ) from error
    return version_text(int(loaded[0].getInferLibVersion()))


def version_text(number: int) -> str:
    """NvInferVersion.h: major · 10000 + minor · 100 + patch, from TensorRT 10 on."""
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"
