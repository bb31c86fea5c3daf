"""How the Orthanc is reached whose images OHIF shows: one that is named, or the PACS of a demo left running."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid
from viewer.install import FOLDER

DEMO = FOLDER.parent / ".demo" / "pacs.access"
"""Exists while a demo that was left running has a PACS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrthancAccess:
    """How nginx reaches the Orthanc whose images are shown."""

    url: str
    user: str = ""
    password: str = field(default="", repr=False)


def chosen_orthanc(url: str, user: str, password_file: str) -> OrthancAccess | None:
    """The Orthanc asked for, else the demo's, else none."""
    if url:
        password = ""
        if password_file:
            try:
                password = Path(password_file).read_text(encoding="utf-8").strip()
            except OSError as exc:
                raise ConfigurationInvalid(
                    found=f"a password file that cannot be read ({exc.strerror})",
                    wanted="a file whose only content is the password",
                    advice="See ORTHANC_PASSWORD_FILE in viewer/README.md.",
                ) from exc
        return OrthancAccess(url=url.rstrip("/"), user=user, password=password)
    if DEMO.exists():
        return OrthancAccess(**json.loads(DEMO.read_text(encoding="utf-8")))
    return None


def write_demo_access(orthanc: OrthancAccess) -> None:
    """Lets `make ohif` in another terminal find the demo that runs."""
    write_private(DEMO, json.dumps(asdict(orthanc)))


def write_private(path: Path, text: str) -> None:
    """For the owner's eyes only, from the first byte on."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
