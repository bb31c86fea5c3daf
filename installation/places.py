"""Where everything of an installation lies."""

from dataclasses import dataclass
from pathlib import Path

PREFIX = Path("/opt/habitus")
"""As the units that are shipped name it; another prefix is written into them."""
SETTINGS_FOLDER = Path("/etc/habitus")
SETTINGS = SETTINGS_FOLDER / "habitus.toml"
PASSWORD = SETTINGS_FOLDER / "orthanc.password"
ORTHANC_CONFIGURATION = SETTINGS_FOLDER / "orthanc.json"
"""Not in /etc/orthanc: Debian's unit joins all files there, and Orthanc ends where two of them name one key."""
DEBIAN_ORTHANC_FOLDER = Path("/etc/orthanc")
DATA = Path("/var/lib/habitus")
STORAGE = Path("/var/lib/orthanc/habitus")
"""Of its own: what an Orthanc held before would else all be new to the node, and be analysed."""
UNITS = Path("/etc/systemd/system")
NODE_UNIT = UNITS / "habitus-node.service"
COMMAND = Path("/usr/local/bin/habitus")
USER = "orthanc"
"""Debian's: plugin and node read each other's files (docs/two-lives.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """A prefix, and the folder that stands for / while a package is made."""

    prefix: Path = PREFIX
    destdir: Path = Path("/")

    @property
    def is_staged(self) -> bool:
        """Files for another machine: nothing of this one is asked or changed."""
        return self.destdir != Path("/")

    @property
    def current(self) -> Path:
        """The link to the release that is in use, as the installed machine names it."""
        return self.prefix / "current"

    @property
    def releases(self) -> Path:
        """A folder for each release."""
        return self.prefix / "releases"

    def here(self, path: Path) -> Path:
        """Where a path of the installed machine lies now."""
        return self.destdir / path.relative_to("/")
