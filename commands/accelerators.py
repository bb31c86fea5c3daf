"""Options of commands that load networks: where these run, and what is done where they cannot."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from commands.named_path import named_path
from inference.engine.providers import DEFAULT_PROVIDERS

if TYPE_CHECKING:
    from inference.engine.acceleration import Acceleration

USUAL = ",".join(DEFAULT_PROVIDERS)


def add_options(command: argparse.ArgumentParser, *, providers: str | None = USUAL) -> None:
    """Arguments and help; without providers of its own the command has them from elsewhere."""
    command.add_argument(
        "--providers",
        default=providers,
        help=f"execution providers, best first, of tensorrt,cuda,openvino,cpu (usually {USUAL})",
    )
    command.add_argument(
        "--tensorrt-libraries",
        type=named_path,
        metavar="FOLDER",
        help="with libnvinfer.so.10 and its like",
    )
    command.add_argument(
        "--built",
        type=named_path,
        metavar="FOLDER",
        help="what habitus warm built: TensorRT's engines and the proofs of reduced precision",
    )


def providers_of(options: argparse.Namespace) -> tuple[str, ...]:
    """What --providers names, the best first; blanks between them mean nothing."""
    return tuple(name.strip() for name in options.providers.split(","))


def acceleration_of(options: argparse.Namespace) -> "Acceleration":
    """What the options say."""
    from inference.engine.acceleration import Acceleration
    from inference.engine.providers import Downgrade

    built: Path | None = options.built
    libraries: Path | None = options.tensorrt_libraries
    return Acceleration(
        downgrade=Downgrade(options.downgrade),
        tensorrt_libraries=libraries.resolve() if libraries else None,
        built_folder=built.resolve() if built else None,
    )
