"""The site's own files: made once with a fresh password, never written again."""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid
from installation.machine import Owner
from installation.places import (
    DATA,
    ORTHANC_CONFIGURATION,
    PASSWORD,
    SETTINGS,
    SETTINGS_FOLDER,
    STORAGE,
    Places,
)
from orthanc_plugin.node.orthanc_config import OrthancOptions, Peer, configuration_of

SECRET = 0o640
"""root may write, the node's group may read, nobody else may look."""
PACS_AS_EXAMPLE = Peer(name="pacs", ae_title="PACS", host="192.0.2.8", port=104)
SENDER_AS_EXAMPLE = Peer(
    name="scanner", ae_title="SCANNER", host="192.0.2.7", port=104, may_store=True
)
"""Addresses of RFC 5737, which are nobody's."""
SETTINGS_TEXT = """\
#:schema {current}/orthanc_plugin/habitus.schema.json
# Every key with its default: docs/settings.md. A mistake is refused with its line, and the former settings stay in force.
data_folder = "{data}"

[engine]
models_folder = "{current}/models"
providers = {providers}

[orthanc]
url = "http://127.0.0.1:8042"
user = "habitus"
password_file = "{password}"

[[destinations]]
name = "pacs"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What differs from site to site when the files are made."""

    life: str = "embedded"
    extra: str = "cpu"
    pacs: Peer = PACS_AS_EXAMPLE
    sender: Peer = SENDER_AS_EXAMPLE

    @property
    def has_examples(self) -> bool:
        """An address still has to be filled in."""
        return self.pacs == PACS_AS_EXAMPLE or self.sender == SENDER_AS_EXAMPLE

    @property
    def names_addresses(self) -> bool:
        """Somebody gave one."""
        return self.pacs != PACS_AS_EXAMPLE or self.sender != SENDER_AS_EXAMPLE


def peer_of(text: str, *, name: str, may_store: bool) -> Peer:
    """From AET@host:port; raises ConfigurationInvalid."""
    title, _, address = text.rpartition("@")
    host, _, port = address.rpartition(":")
    if not title or not host or not port.isdecimal():
        raise ConfigurationInvalid(
            found=f"{text!r:.60}",
            wanted="AET@host:port",
            advice="Write it as in PACS@10.0.0.8:104.",
        )
    return Peer(name=name, ae_title=title, host=host, port=int(port), may_store=may_store)


def make_site_files(site: Site, places: Places, owner: Owner | None) -> list[Path]:
    """Make those that are missing; their paths on the installed machine."""
    _make_folder(places.here(SETTINGS_FOLDER), 0o750, owner, is_roots=True)
    _make_folder(places.here(DATA), 0o700, owner)
    _make_folder(places.here(STORAGE), 0o700, owner)
    made = []
    if not places.here(PASSWORD).exists():
        _write_once(places.here(PASSWORD), secrets.token_urlsafe(24) + "\n", owner)
        made.append(PASSWORD)
    password = places.here(PASSWORD).read_text(encoding="utf-8").strip()
    for path, text in (
        (SETTINGS, _settings(site, places)),
        (ORTHANC_CONFIGURATION, _orthanc_configuration(site, places, password)),
    ):
        if not places.here(path).exists():
            _write_once(places.here(path), text, owner)
            made.append(path)
    return made


def _settings(site: Site, places: Places) -> str:
    return SETTINGS_TEXT.format(
        current=places.current,
        data=DATA,
        password=PASSWORD,
        providers='["openvino", "cpu"]' if site.extra == "cpu" else '["cuda", "cpu"]',
    )


def _orthanc_configuration(site: Site, places: Places, password: str) -> str:
    options = OrthancOptions(
        storage_folder=STORAGE,
        settings_path=SETTINGS,
        node_python=places.current / ".venv" / "bin" / "python",
        peers=(site.sender, site.pacs),
        node=site.life,
        entry=places.current / "orthanc_plugin" / "entry" / "habitus_plugin.py",
    )
    return json.dumps(configuration_of(options, password), indent=2) + "\n"


def _make_folder(path: Path, mode: int, owner: Owner | None, *, is_roots: bool = False) -> None:
    if path.is_dir():
        return
    path.mkdir(parents=True)
    path.chmod(mode)
    if owner is not None:
        os.chown(path, 0 if is_roots else owner.user, owner.group)


def _write_once(path: Path, text: str, owner: Owner | None) -> None:
    """Never readable by others, not even for a moment; appears whole or not at all."""
    draft = path.with_suffix(path.suffix + ".draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        if owner is not None:
            os.fchown(descriptor, 0, owner.group)
        os.fchmod(descriptor, SECRET)
    draft.replace(path)
