"""Where Orthanc is, and how the node may enter: told by the plugin, or by the settings."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from orthanc_plugin.node.login import password_in
from orthanc_plugin.node.pinned_certificate import fingerprint_of
from orthanc_plugin.node.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where Orthanc is and how we may enter: a token from the plugin, or user and password."""

    url: str
    authorization: str | tuple[str, str] | None
    fingerprint: str = ""
    """Of Orthanc's certificate, where the address is HTTPS."""
    images_folder: Path | None = None
    """Orthanc's, where the plugin told it: only its room is looked at."""


def access_alone(settings: Settings) -> Access:
    """User and password as the settings name them."""
    orthanc = settings.orthanc
    pem = orthanc.certificate_file
    fingerprint = "" if pem is None else fingerprint_of(pem)
    if orthanc.password_file is None:
        return Access(url=orthanc.url, authorization=None, fingerprint=fingerprint)
    password = password_in(orthanc.password_file)
    return Access(url=orthanc.url, authorization=(orthanc.user, password), fingerprint=fingerprint)


def access_from_plugin(commands: TextIO) -> Access:
    """The plugin's first line: address and token (kept out of the environment, which others can read)."""
    first = json.loads(commands.readline())
    return Access(
        url=first["url"],
        authorization=first["token"],
        fingerprint=first["certificate"],
        images_folder=Path(first["images_folder"]),
    )
