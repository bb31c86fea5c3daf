"""make bundle: everything that make demo and make install need, for a machine of the same release without a network."""

import argparse
import hashlib
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid
from installation.commands_run import run
from installation.release import EXECUTABLE

OFFLINE = "offline"
"""The folder of a bundle with what would else come from the network; the Makefile looks for it."""
SUMS = "SHA256SUMS"
SCRIPT = "install-offline.sh"
READ_FIRST = "README-OFFLINE.md"
VIEWER_SITE = Path(".viewer") / "site"
VIEWER_MARK = Path(".viewer") / ".installed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The machines that a bundle is for: those that are like this one."""

    codename: str
    architecture: str
    python: str
    extra: str

    def describes(self) -> str:
        """The lines that the target's script compares with itself."""
        return f"codename={self.codename}\narchitecture={self.architecture}\nextra={self.extra}\n"


def add_bundle_options(command: argparse.ArgumentParser) -> None:
    """Arguments."""
    command.add_argument("--out", type=Path, required=True, help="folder for the bundle")
    command.add_argument("--extra", default="cpu", help="cpu (default), gpu or gpu-cuda12")
    command.add_argument(
        "--packages", required=True, help="Debian packages, separated by blanks; theirs come along"
    )


def make_bundle(options: argparse.Namespace, root: Path) -> Path:
    """Fetch, check and pack; the path of the bundle."""
    out: Path = options.out
    target = _this_machine(options.extra)
    name = f"habitus-{_version(root)}-{target.codename}-{target.architecture}"
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".bundle-") as draft:
        folder = Path(draft) / name
        parts: tuple[tuple[str, Path, Callable[[], object]], ...] = (
            ("program and models", Path(), lambda: export_tree(root, folder)),
            (
                "Debian packages",
                Path(OFFLINE) / "debs",
                lambda: fetch_debs(options.packages.split(), folder / OFFLINE / "debs"),
            ),
            (
                "Python packages",
                Path(OFFLINE) / "wheels",
                lambda: fetch_wheels(folder, target.extra),
            ),
            ("OHIF", VIEWER_SITE, lambda: copy_viewer(root, folder)),
        )
        for what, place, make in parts:
            started = time.monotonic()
            make()
            _say(what, time.monotonic() - started, size_mb(folder / place))
        check_python(folder / OFFLINE / "debs", target)
        (folder / OFFLINE / "target").write_text(target.describes(), encoding="utf-8")
        write_sums(folder)
        started = time.monotonic()
        bundle = out / f"{name}.tar"
        pack(folder, bundle)
    _say("bundle", time.monotonic() - started, bundle.stat().st_size / 1e6)
    with bundle.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    sys.stdout.write(f"{bundle}\nsha256 {digest}\n")
    return bundle


def export_tree(root: Path, folder: Path) -> None:
    """The committed files, and the two that stand at the top of a bundle."""
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
        archive = Path(draft) / "tree.tar"
        run(
            ("git", "-C", root, "archive", "--output", archive, "HEAD"),
            "Make a bundle in a clone of the repository, with git.",
        )
        run(
            ("tar", "--extract", "--file", archive, "--directory", folder), "See the space on disk."
        )
    if run(("git", "-C", root, "status", "--porcelain"), "Install git.").strip():
        sys.stdout.write("note: changes that are not committed are not in the bundle\n")
    commit = run(("git", "-C", root, "rev-parse", "HEAD"), "Install git.")
    (folder / OFFLINE).mkdir()
    (folder / OFFLINE / "commit").write_text(commit, encoding="utf-8")
    shutil.copyfile(folder / "installation" / SCRIPT, folder / SCRIPT)
    (folder / SCRIPT).chmod(EXECUTABLE)
    shutil.copyfile(folder / "installation" / READ_FIRST, folder / READ_FIRST)


def fetch_debs(packages: list[str], folder: Path) -> None:
    """Packages and all that they need, by apt with its own checks; as if this machine had none of them."""
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as draft:
        archives = Path(draft) / "archives"
        (archives / "partial").mkdir(parents=True)
        nothing_installed = Path(draft) / "status"
        nothing_installed.touch()
        run(
            (
                *("apt-get", "--yes", "-qq", "--download-only", "--no-install-recommends"),
                *("-o", f"Dir::State::status={nothing_installed}"),
                *("-o", f"Dir::Cache::archives={archives}/"),
                *("-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User="),
                *("install", *packages),
            ),
            "Run apt-get update, and see whether this machine reaches its package mirror.",
        )
        for deb in sorted(archives.glob("*.deb")):
            # An epoch's colon cannot be in a file's name everywhere, and apt's %3a would be decoded.
            shutil.move(deb, folder / re.sub(r"_\d+%3a", "_", deb.name))
    write_index(folder)


def write_index(folder: Path) -> None:
    """What apt reads of a folder of packages (deb-src and lists are not needed for one)."""
    entries = []
    for deb in sorted(folder.glob("*.deb")):
        control = run(("dpkg-deb", "--field", deb), "Fetch the packages again.").strip()
        content = deb.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        entries.append(
            f"{control}\nFilename: ./{deb.name}\nSize: {len(content)}\nSHA256: {digest}\n"
        )
    (folder / "Packages").write_text("\n".join(entries), encoding="utf-8")


def fetch_wheels(folder: Path, extra: str) -> None:
    """The locked packages, each with its hash; built wheels alone, since a target may have no compiler."""
    run(
        (
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--require-hashes", "--no-deps", "--only-binary", ":all:"),
            *("--dest", folder / OFFLINE / "wheels"),
            *("-r", folder / "requirements" / f"{extra}.txt"),
        ),
        "See whether this machine reaches its package registry, and the space on disk.",
    )


def copy_viewer(root: Path, folder: Path) -> None:
    """OHIF as make ohif has built it, so that the target needs no npm."""
    if not (root / VIEWER_SITE / "index.html").is_file():
        raise ConfigurationInvalid(
            found=f"no {VIEWER_SITE}", wanted="OHIF", advice="Run make bundle, which installs it."
        )
    shutil.copytree(root / VIEWER_SITE, folder / VIEWER_SITE)
    (folder / VIEWER_MARK).touch()


def check_python(debs: Path, target: Target) -> None:
    """Raise ConfigurationInvalid where wheels and interpreter would not fit each other on the target."""
    index = (debs / "Packages").read_text(encoding="utf-8")
    found = re.search(r"^Package: python3\n(?:.+\n)*?Version: (\d+\.\d+)", index, re.MULTILINE)
    offered = found.group(1) if found else "none"
    if offered != target.python:
        raise ConfigurationInvalid(
            found=f"wheels for Python {target.python} beside Debian's {offered}",
            wanted="the same version",
            advice="Make the environment with the system's Python: make clean, then make bundle PY=/usr/bin/python3.",
        )


def write_sums(folder: Path) -> None:
    """Of every file but itself, as sha256sum --check reads them."""
    lines = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            lines.append(f"{digest}  {path.relative_to(folder)}\n")
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def pack(folder: Path, bundle: Path) -> None:
    """One file: what is in it is compressed already. It appears whole or not at all."""
    draft = bundle.with_suffix(".draft")
    run(
        (
            *("tar", "--create", "--file", draft, "--sort=name"),
            *("--owner=0", "--group=0", "--numeric-owner"),
            *("--directory", folder.parent, folder.name),
        ),
        "See the space on disk.",
    )
    draft.replace(bundle)


def size_mb(place: Path) -> float:
    """Of all files in a folder, in 10⁶ bytes."""
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) / 1e6


def _this_machine(extra: str) -> Target:
    release = platform.freedesktop_os_release()
    return Target(
        codename=release.get("VERSION_CODENAME", "unknown"),
        architecture=run(("dpkg", "--print-architecture"), "Use Debian or Ubuntu.").strip(),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        extra=extra,
    )


def _version(root: Path) -> str:
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "(.+)"$', text, re.MULTILINE)
    return found.group(1) if found else "0"


def _say(what: str, seconds: float, megabytes: float) -> None:
    sys.stdout.write(f"{what:20} {seconds:7.1f} s {megabytes:8.1f} MB\n")
    sys.stdout.flush()
