"""Fetches OHIF's finished build from npm, compares it with the hash written here, and unpacks it."""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid, HabitusError

PACKAGE = "@ohif/app"
VERSION = "3.13.2"
INTEGRITY = "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
"""Of the package file, in npm's notation (Subresource Integrity)."""
FOLDER = Path(__file__).resolve().parents[1] / ".viewer"
SITE = FOLDER / "site"
PAGE = SITE / "index.html"


def main() -> int:
    """Install where it is not installed; returns the exit status."""
    try:
        install(SITE)
    except HabitusError as error:
        sys.stderr.write(f"ohif: {error}\n")
        return error.exit_status
    return 0


def is_installed() -> bool:
    """Whether OHIF's files are here: the folder appears whole or not at all."""
    return PAGE.is_file()


def install(site: Path) -> None:
    """Fetch, check and unpack; the site appears whole or not at all."""
    site.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=site.parent, prefix="draft-") as draft:
        package = fetch(Path(draft))
        check(package)
        unpacked = Path(draft) / "site"
        unpacked.mkdir(mode=0o755)
        _run(
            "tar",
            *("--extract", "--gzip", "--file", str(package), "--directory", str(unpacked)),
            *("--strip-components=2", "--no-same-owner", "--exclude=*.map", "package/dist"),
        )
        shutil.rmtree(site, ignore_errors=True)
        unpacked.rename(site)


def fetch(folder: Path) -> Path:
    """The package file, by the npm client on PATH and its own settings."""
    told = _run("npm", "pack", f"{PACKAGE}@{VERSION}", "--json", "--pack-destination", str(folder))
    try:
        (answer,) = json.loads(told)
        name = str(answer["filename"])
    except (ValueError, KeyError, TypeError) as exc:
        raise ConfigurationInvalid(
            found="an answer of npm pack that names no file",
            wanted="JSON with one filename",
            advice="Try another version of npm.",
        ) from exc
    # Older npm prints a scoped name with its slash and writes a dash.
    return folder / name.lstrip("@").replace("/", "-")


def check(package: Path) -> None:
    """Raise ConfigurationInvalid unless this is the very file that was tried."""
    found = "sha512-" + base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    if found != INTEGRITY:
        raise ConfigurationInvalid(
            found=f"{PACKAGE} {VERSION} with {found}",
            wanted=INTEGRITY,
            advice="Do not use this file. See where npm gets its packages from (npm config get registry).",
        )


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError as exc:
        raise ConfigurationInvalid(
            found=f"no {command[0]} on PATH",
            wanted=f"{command[0]}",
            advice="Run make ohif, which brings it.",
        ) from exc
    except subprocess.CalledProcessError as exc:
        raise ConfigurationInvalid(
            found=f"{command[0]} ended with {exc.returncode}: {exc.stderr.strip()[-400:]}",
            wanted="exit status 0",
            advice="See whether this machine reaches its package registry, and the space on disk.",
        ) from exc
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
