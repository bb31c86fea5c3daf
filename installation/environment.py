"""The Python environment of a release, made in its folder of locked packages and tried."""

import sys
from collections.abc import Callable
from pathlib import Path

from installation.commands_run import run

EnvironmentMaker = Callable[[Path, str, Path | None], None]
"""Of the release's folder, the extra, and the folder of wheels where there is no network."""


def make_environment(folder: Path, extra: str, wheels: Path | None) -> None:
    """Locked packages with their hashes, then a look at what they make of the models; raises ConfigurationInvalid."""
    environment = folder / ".venv"
    run(
        (sys.executable, "-m", "venv", environment),
        "Install python3-venv: make setup does, or apt-get install python3-venv.",
    )
    run(
        pip_command(folder, extra, wheels),
        "See whether this machine reaches its package registry, and the space on disk; without a network use a bundle (docs/install.md).",
    )
    run(
        (environment / "bin" / "python", "-m", "compileall", "-q", *_packages(folder)),
        "Unpack Habitus again.",
        folder=folder,
    )
    _verify(folder)


def pip_command(folder: Path, extra: str, wheels: Path | None) -> tuple[str | Path, ...]:
    """Every package with its hash, from the folder of wheels alone where there is one."""
    offline = ("--no-index", "--find-links", wheels.resolve()) if wheels else ()
    return (
        *(folder / ".venv" / "bin" / "python", "-m", "pip", "install", "--quiet"),
        *("--disable-pip-version-check", "--require-hashes", *offline),
        *("-r", folder / "requirements" / f"{extra}.txt"),
    )


def _packages(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.glob("[!.]*/__init__.py"))


def _verify(folder: Path) -> None:
    """Each model's bytes against its manifest, and whether the node's modules can be loaded at all."""
    python = folder / ".venv" / "bin" / "python"
    run(
        (python, "habitus.py", "models"),
        "Fetch the models again: a changed byte is refused.",
        folder=folder,
    )
    run(
        (python, "-c", "import orthanc_plugin.node.app, inference.pipeline"),
        "Install again; habitus doctor says what is missing.",
        folder=folder,
    )
