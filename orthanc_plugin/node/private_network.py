"""A network of this process's own: Orthanc before 1.12.10 binds every address, and here nobody else can reach it."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_REPOSITORY_ROOT = Path(__file__).resolve().parents[2]


def private_network_is_allowed() -> bool:
    """Whether this machine lets us have one: a child tries it, because half a move cannot be undone."""
    tried = subprocess.run(
        [sys.executable, "-m", "orthanc_plugin.node.private_network"],
        cwd=_REPOSITORY_ROOT,
        capture_output=True,
        check=False,
    )
    return tried.returncode == 0


def enter_private_network() -> bool:
    """Move the calling thread, and all it starts, into a fresh network with loopback only; False where not allowed.

    After False the network may be half made: ask private_network_is_allowed() first. Without root the process must
    have one thread only (user_namespaces(7)).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    flags = _CLONE_NEWNET if user == 0 else _CLONE_NEWNET | _CLONE_NEWUSER
    if libc.unshare(flags) != 0:
        return False
    try:
        if flags & _CLONE_NEWUSER:
            _map_to_root(user, group)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        # Ubuntu 24.04 gives a user namespace and then refuses what it is needed for.
        return False
    return True


def _map_to_root(user: int, group: int) -> None:
    """Within its own user namespace the process may bring loopback up (user_namespaces(7))."""
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"0 {user} 1"),
        ("gid_map", f"0 {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123 # one write call
            file.write(text)


if __name__ == "__main__":
    sys.exit(not enter_private_network())
