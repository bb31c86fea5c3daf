"""The machine: the user that both processes run as, and systemd where it runs."""

import grp
import os
import pwd
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid
from installation.commands_run import run
from installation.places import USER, Places

SYSTEMD_RUNS = Path("/run/systemd/system")
ORTHANC = "orthanc.service"
NODE = "habitus-node.service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Numbers of the node's user; None while files are made for another machine, whose numbers nobody knows."""

    user: int
    group: int


def owner_on(places: Places) -> Owner | None:
    """Debian's user of Orthanc; raises ConfigurationInvalid where the package is not installed or we are not root."""
    if places.is_staged:
        return None
    if os.geteuid() != 0:
        raise ConfigurationInvalid(
            found="a user who is not root",
            wanted="root: files are made under /opt, /etc and /var/lib",
            advice="Use sudo, or DESTDIR=folder to make a package.",
        )
    try:
        return Owner(user=pwd.getpwnam(USER).pw_uid, group=grp.getgrnam(USER).gr_gid)
    except KeyError as exc:
        raise ConfigurationInvalid(
            found=f"no user {USER}",
            wanted="the one that Debian's package orthanc makes",
            advice="Run make setup, or apt-get install orthanc orthanc-python.",
        ) from exc


def has_systemd(places: Places) -> bool:
    """Whether there is one to talk to."""
    return not places.is_staged and SYSTEMD_RUNS.is_dir()


def systemctl(*arguments: str) -> None:
    """Raises ConfigurationInvalid with what systemd says."""
    run(
        ("systemctl", *arguments), "See systemctl status and journalctl -u orthanc -u habitus-node."
    )


def active_units(places: Places) -> list[str]:
    """Orthanc's and the node's, those that run, in the order in which they are started."""
    if not has_systemd(places):
        return []
    asked = [ORTHANC, NODE]
    return [
        unit
        for unit in asked
        if subprocess.run(["systemctl", "is-active", "--quiet", unit], check=False).returncode == 0
    ]


@contextmanager
def standstill(places: Places) -> Iterator[Sequence[str]]:
    """What runs is stopped and started again: a process must not begin in one release and load a child from another."""
    units = active_units(places)
    try:
        for unit in reversed(units):
            systemctl("stop", unit)
        yield units
    finally:
        # After a failure as well: the release that was in use still is.
        for unit in units:
            systemctl("start", unit)
