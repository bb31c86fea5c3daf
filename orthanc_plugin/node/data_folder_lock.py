"""Who holds a data folder: one process at a time."""

import fcntl
from pathlib import Path
from typing import TextIO

from inference.domain.errors import ConfigurationInvalid

LOCK = "node.lock"


def lock_data_folder(folder: Path) -> TextIO:
    """Hold the data folder for this process alone; raises ConfigurationInvalid when another node has it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    except OSError as exc:
        raise ConfigurationInvalid(
            found=f"a data folder that cannot be written to ({type(exc).__name__})",
            wanted="a folder of the node's user",
            advice="Check data_folder in habitus.toml and who owns it; habitus doctor says more.",
        ) from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        lock.close()
        raise ConfigurationInvalid(
            found="a data folder in use by another node",
            wanted="one node per data folder",
            advice="Stop the other node, or name another data_folder in habitus.toml.",
        ) from exc
    return lock
