"""The plugin's configuration: the Habitus section of Orthanc's own, and some values of the node's settings."""

import hashlib
import json
import ssl
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orthanc_plugin.inside.disk_space import DiskMarks, marks_of
from orthanc_plugin.inside.guard import Admission, Role

SECTION = "Habitus"
EMBEDDED = "embedded"
STANDALONE = "standalone"


class PluginMisconfigured(Exception):
    """Orthanc's configuration cannot start a node; the text names the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginConfiguration:
    """Everything the plugin must know."""

    node_python: Path
    """The interpreter of the node's own environment, never Orthanc's."""
    settings_path: Path
    """habitus.toml."""
    data_folder: Path
    orthanc_url: str
    certificate_sha256: str
    """Of Orthanc's own certificate, where its REST API is HTTPS; else empty."""
    repository_root: Path
    admission: Admission
    storage_folder: Path
    """Where Orthanc keeps images."""
    disk_marks: DiskMarks
    node: str = EMBEDDED
    """"embedded": we start the node and it ends with us. "standalone": it is a unit of its own."""

    @property
    def journal_path(self) -> Path:
        """The node's SQLite file; read here, never written."""
        return self.data_folder / "journal.db"

    @property
    def results_folder(self) -> Path:
        """Where the node publishes results."""
        return self.data_folder / "spool" / "results"

    @property
    def commands_folder(self) -> Path:
        """Where operators' wishes wait for the node."""
        return self.data_folder / "commands"


def read_configuration(orthanc_json: str, repository_root: Path) -> PluginConfiguration:
    """From the text of orthanc.GetConfiguration(); raises PluginMisconfigured."""
    whole = json.loads(orthanc_json)
    section = whole.get(SECTION)
    if not isinstance(section, dict):
        raise PluginMisconfigured(f"no section {SECTION!r} in Orthanc's configuration")
    settings_path = _path(section, "Settings")
    data_folder, marks = _from_settings(settings_path)
    has_tls = bool(whole.get("SslEnabled", False))
    node = section.get("Node", EMBEDDED)
    if node not in (EMBEDDED, STANDALONE):
        raise PluginMisconfigured(f"{SECTION}.Node must be {EMBEDDED} or {STANDALONE}")
    return PluginConfiguration(
        node_python=_path(section, "Python"),
        settings_path=settings_path,
        data_folder=data_folder,
        storage_folder=Path(str(whole.get("StorageDirectory", "OrthancStorage"))),
        disk_marks=marks,
        orthanc_url=f"{'https' if has_tls else 'http'}://127.0.0.1:{int(whole.get('HttpPort', 8042))}",
        certificate_sha256=_fingerprint(whole.get("SslCertificate")) if has_tls else "",
        repository_root=repository_root,
        admission=_admission(whole, section),
        node=node,
    )


def _fingerprint(certificate: object) -> str:
    """The node recognises Orthanc by it: no issuer names a loopback address."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    try:
        text = Path(str(certificate)).read_text(encoding="ascii")
        pem = text[text.index(begin) : text.index(end) + len(end)]
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    except (OSError, ValueError) as exc:
        raise PluginMisconfigured("SslCertificate must name a PEM file with a certificate") from exc


def _admission(whole: dict[str, Any], section: dict[str, Any]) -> Admission:
    """Roles of Orthanc's own users. Without passwords everybody on this host may look, and nobody may change."""
    is_remote = whole.get("RemoteAccessAllowed", False)
    # Orthanc's own default: passwords exactly where others can reach it.
    is_authenticated = bool(whole.get("AuthenticationEnabled", is_remote))
    is_open_here = not is_authenticated and not is_remote
    default = Role.VIEWER if is_open_here else Role.NONE
    roles = section.get("Roles", {})
    if not isinstance(roles, dict) or roles.keys() & {"anonymous", "unknown"}:
        raise PluginMisconfigured(f"{SECTION}.Roles must map users of Orthanc to roles")
    return Admission(
        roles={user: _role(name, f"Roles.{user}") for user, name in roles.items()},
        is_authenticated=is_authenticated,
        anonymous=_role(section.get("Anonymous", default.name.lower()), "Anonymous"),
    )


def _role(name: object, field: str) -> Role:
    known = {role.name.lower(): role for role in Role}
    if not isinstance(name, str) or name not in known:
        raise PluginMisconfigured(f"{SECTION}.{field} must be one of {', '.join(known)}")
    return known[name]


def _path(section: dict[str, Any], field: str) -> Path:
    value = section.get(field)
    if not isinstance(value, str) or not Path(value).is_file():
        raise PluginMisconfigured(f"{SECTION}.{field} must name a file")
    return Path(value)


def _from_settings(settings_path: Path) -> tuple[Path, DiskMarks]:
    """As the node itself will read them; the node reports anything else that is wrong in there."""
    try:
        table = tomllib.loads(settings_path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as exc:
        raise PluginMisconfigured(f"{settings_path.name} is not readable TOML") from exc
    folder, disk = table.get("data_folder"), table.get("disk")
    if not isinstance(folder, str):
        raise PluginMisconfigured(f"data_folder in {settings_path.name} must be a text")
    marks = marks_of(disk if isinstance(disk, dict) else {})
    return (settings_path.parent / folder).resolve(), marks
