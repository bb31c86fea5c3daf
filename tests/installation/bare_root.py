"""A Debian with nothing in it, made by mmdebstrap from this machine's own package sources; programs run in it by chroot."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SOURCES = (
    Path("/etc/apt/sources.list.d/debian.sources"),
    Path("/etc/apt/sources.list.d/ubuntu.sources"),
    Path("/etc/apt/sources.list"),
)
# What a site's own network may need: it is lent to the trial and never written into the root.
LENT_FILES = ("/etc/resolv.conf", "/etc/hosts")
LENT_VARIABLES = ("PIP_INDEX_URL", "http_proxy", "https_proxy", "no_proxy")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
LENT_CERTIFICATES = "/run/lent/ca-certificates.crt"
"""Elsewhere than at home: the package ca-certificates puts a file of its own there."""
ENTER = """\
root=$1; script=$2; shift 2
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
while [ $# -gt 0 ]; do mkdir -p "$(dirname "$root$2")"; [ -e "$root$2" ] || : > "$root$2"; mount --bind "$1" "$root$2"; shift 2; done
ip link set lo up
exec chroot "$root" sh -euc "$script"
"""


@dataclass(frozen=True, slots=True)
class BareRoot:
    """Its folder on this machine."""

    folder: Path

    def run(self, script: str, *, has_network: bool = False) -> "subprocess.CompletedProcess[str]":
        """A shell script in it, with loopback only unless said otherwise; whatever it starts ends with it."""
        lent = [each for file in LENT_FILES if has_network for each in (file, file)]
        if has_network and CERTIFICATES.exists():
            lent += [str(CERTIFICATES), LENT_CERTIFICATES]
        namespaces = ["--mount", "--pid", "--fork", "--kill-child"]
        command = ["unshare", *namespaces, *([] if has_network else ["--net"])]
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
        }
        if has_network:
            environment |= {name: os.environ[name] for name in LENT_VARIABLES if name in os.environ}
            environment["PIP_CERT"] = LENT_CERTIFICATES
        return subprocess.run(
            [*command, "sh", "-euc", ENTER, "sh", str(self.folder), script, *lent],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            check=False,
        )

    def path(self, inside: str) -> Path:
        """Where a path of the root lies on this machine."""
        return self.folder / inside.lstrip("/")


@contextmanager
def bare_root(work: Path) -> Iterator[BareRoot]:
    """Made, and taken away again."""
    if os.geteuid() != 0 or shutil.which("mmdebstrap") is None:
        sys.exit(
            "installation trial: found no root or no mmdebstrap; wanted both. Install mmdebstrap and use sudo."
        )
    folder = work.resolve() / "root"
    if folder.exists():
        sys.exit(
            f"installation trial: found {folder}; wanted none. End the other trial, or remove it."
        )
    work.mkdir(parents=True, exist_ok=True)
    sources = next(path for path in SOURCES if path.exists())
    codename = platform.freedesktop_os_release()["VERSION_CODENAME"]
    try:
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", codename, str(folder), str(sources)],
            check=True,
        )
        # Copies of this machine's are no part of a bare root.
        for file in ("etc/resolv.conf", "etc/hosts"):
            (folder / file).unlink(missing_ok=True)
        yield BareRoot(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def copy_tree(root: Path, there: Path) -> None:
    """The working tree's own files, as git lists them."""
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            (there / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, there / name)
