"""Folders for what is run as code, TensorRT's engines and compiled kernels: closed to everybody but the node."""

import os
from collections.abc import Mapping
from pathlib import Path

KERNELS_VARIABLE = "NUMBA_CACHE_DIR"


def closed_folder(folder: Path) -> Path:
    """The folder itself, made where it is not there, with all above it."""
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        missing.mkdir(mode=0o700)
    if folder.stat().st_mode & 0o777 != 0o700:
        folder.chmod(0o700)
    return folder


def with_kernels_in(folder: Path | None, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that keeps compiled kernels there, since Numba looks at its import alone; what a site named stays.

    A folder that is not ours to write to, such as root's after a first try, keeps nothing: kernels are then compiled by every process.
    """
    if folder is None or KERNELS_VARIABLE in environment:
        return dict(environment)
    try:
        kept = closed_folder(folder)
    except OSError:
        return dict(environment)
    if not kept.is_dir() or not os.access(kept, os.R_OK | os.W_OK | os.X_OK):
        return dict(environment)
    return {**environment, KERNELS_VARIABLE: str(kept)}
