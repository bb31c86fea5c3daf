"""How a command of the training tree ends: our errors, Ctrl-C and a folder that takes no files in one sentence each."""

import errno
import sys
from collections.abc import Callable

from inference.domain.errors import ConfigurationInvalid, HabitusError

INTERRUPTED = 130
OF_TRAINING = (
    "torch",
    "onnx",
    "safetensors",
    "monai",
    "nnunetv2",
    "optuna",
    "transformers",
    "matplotlib",
    "tensorboard",
)
"""Packages that only the training environment has."""
OF_THE_PLACE = (
    *(errno.EACCES, errno.EEXIST, errno.EISDIR, errno.ENOENT),
    *(errno.ENOSPC, errno.ENOTDIR, errno.EROFS),
)


def exit_status(name: str, command: Callable[[], int]) -> int:
    """What the command gives; what is wrong with its arguments or place goes to standard error."""
    try:
        return command()
    except HabitusError as error:
        problem = error
    except ModuleNotFoundError as error:
        if error.name not in OF_TRAINING:
            raise
        problem = ConfigurationInvalid(
            found=f"an environment without {error.name}",
            wanted="the training environment",
            advice="Run make setup-training, then this with .venv-train/bin/python.",
        )
    except OSError as error:
        if error.errno not in OF_THE_PLACE or error.filename is None:
            raise
        problem = ConfigurationInvalid(
            found=f"{error.filename}: {error.strerror}",
            wanted="files that can be read, and folders that can be written to",
            advice="Check the path, its rights and the space on its disk.",
        )
    except KeyboardInterrupt:
        sys.stderr.write(f"{name}: interrupted\n")
        return INTERRUPTED
    sys.stderr.write(f"{name}: {problem}\n")
    return problem.exit_status
