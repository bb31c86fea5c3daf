"""A release: the program, its models and its environment in one folder, which `current` points to or not."""

import hashlib
import json
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid
from installation.environment import EnvironmentMaker, make_environment
from installation.places import Places

INSTALLED = (
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "LICENSE",
    "LICENSES.md",
    "README.md",
    "commands",
    "docs",
    "export_onnx",
    "habitus",
    "habitus.py",
    "inference",
    "installation",
    "models",
    "monitoring",
    "orthanc_plugin",
    "pyproject.toml",
    "requirements",
    "training",
    "viewer",
)
MARK = "release.json"
"""Written last: a release without it was not finished."""
EXECUTABLE, PLAIN = 0o755, 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which release is to be made of what."""

    source: Path
    """A working tree or an unpacked bundle."""
    extra: str = "cpu"
    wheels: Path | None = None
    """Where the packages lie on a machine without a network."""
    name: str = ""
    """Empty: made of version and content."""
    environment: EnvironmentMaker = make_environment


def files_of(source: Path) -> Iterator[Path]:
    """What is installed, without what a working tree leaves beside it; raises ConfigurationInvalid."""
    for name in INSTALLED:
        top = source / name
        if not top.exists():
            raise ConfigurationInvalid(
                found=f"no {name} in {source}",
                wanted="a whole working tree of Habitus",
                advice="Unpack it again.",
            )
        for path in sorted(top.rglob("*")) if top.is_dir() else (top,):
            parts = path.relative_to(source).parts
            is_left_behind = any(part.startswith(".") or part == "__pycache__" for part in parts)
            if path.is_file() and not is_left_behind:
                yield path


def release_name(wanted: Wanted) -> str:
    """Equal content has an equal name, so that nothing is installed twice and no name has two contents."""
    if wanted.name:
        if wanted.name.startswith(".") or Path(wanted.name).name != wanted.name:
            raise ConfigurationInvalid(
                found=f"release {wanted.name!r:.60}",
                wanted="a name of a folder",
                advice="Choose one such as 0.2.0.",
            )
        return wanted.name
    digest = hashlib.sha256(f"{wanted.extra} {sys.version_info[:2]}".encode())
    for path in files_of(wanted.source):
        digest.update(f"{path.relative_to(wanted.source)}\0{_mode(path)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return f"{_version(wanted.source)}-{digest.hexdigest()[:8]}"


def build(wanted: Wanted, places: Places) -> Path:
    """The finished release, as the installed machine names it; one that is finished already stays as it is."""
    requirements = wanted.source / "requirements" / f"{wanted.extra}.txt"
    if not requirements.is_file():
        raise ConfigurationInvalid(
            found=f"EXTRA={wanted.extra}",
            wanted="cpu, gpu or gpu-cuda12",
            advice="Name one of these.",
        )
    release = places.releases / release_name(wanted)
    folder = places.here(release)
    if (folder / MARK).is_file():
        return release
    shutil.rmtree(folder, ignore_errors=True)
    _copy(wanted.source, folder)
    wanted.environment(folder, wanted.extra, wanted.wheels)
    _name_the_interpreter(folder, release)
    _write_mark(folder, wanted)
    return release


def carry_own_models(old: Path, new: Path) -> list[str]:
    """Copy models and profiles that the new release lacks: a site put them there. Their names."""
    carried = []
    for entry in sorted(old.glob("[!.]*")) if old.is_dir() else ():
        there = new / entry.name
        if not there.exists():
            if entry.is_dir():
                shutil.copytree(entry, there)
            else:
                shutil.copyfile(entry, there)
            carried.append(entry.name)
        elif entry.name == "profiles":
            carried += carry_own_models(entry, there)
    return carried


def _version(source: Path) -> str:
    project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))
    return str(project["project"]["version"])


def _mode(path: Path) -> int:
    return EXECUTABLE if path.stat().st_mode & 0o100 else PLAIN


def _copy(source: Path, folder: Path) -> None:
    for path in files_of(source):
        there = folder / path.relative_to(source)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, there)
        there.chmod(_mode(path))


def _name_the_interpreter(folder: Path, release: Path) -> None:
    """pip writes the interpreter's path into each script: under DESTDIR that is not where it will be."""
    if folder == release:
        return
    for script in sorted((folder / ".venv" / "bin").iterdir()):
        if script.is_symlink():
            continue
        text = script.read_bytes()
        script.write_bytes(text.replace(str(folder).encode(), str(release).encode()))


def _write_mark(folder: Path, wanted: Wanted) -> None:
    mark = {
        "version": _version(wanted.source),
        "extra": wanted.extra,
        "installed": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    (folder / MARK).write_text(json.dumps(mark, indent=2) + "\n", encoding="utf-8")
