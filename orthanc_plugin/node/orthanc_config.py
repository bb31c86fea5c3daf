"""Writes Orthanc's own configuration: authentication on, known callers only, one plugin, nothing that leaves the node."""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inference.domain.errors import ConfigurationInvalid

PLUGIN_LIBRARY = Path("/usr/share/orthanc/plugins/libOrthancPython.so")
ENTRY = Path(__file__).resolve().parents[1] / "entry" / "habitus_plugin.py"
HTTPS_PEM = "https.pem"
"""Key and certificate in one file, as Orthanc's web server wants them."""
MAX_AE_TITLE = 16
"""PS3.5 6.2: AE is at most 16 characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A DICOM application that may send to us, that we send to, or both."""

    name: str
    """Orthanc's name for it; destinations in habitus.toml use this."""
    ae_title: str
    host: str
    port: int
    """Where it listens; 104 by custom. A sender that never listens may have any."""
    may_store: bool = False
    """It may send us series."""
    uses_tls: bool = False
    """We call it by DICOM TLS (PS3.15 B.9), which needs `tls` in the options."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffMember:
    """A person or program with a password of its own."""

    user: str
    role: str
    """viewer, operator or admin; orthanc_plugin.inside.guard says what each may do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Certificates for HTTPS and DICOM TLS, in PEM."""

    certificate: Path
    key: Path
    trusted: Path
    """Of the peers, or of who issues theirs: others cannot open a DICOM association."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrthancOptions:
    """What differs from site to site."""

    storage_folder: Path
    settings_path: Path
    """habitus.toml of the node."""
    node_python: Path
    """The interpreter of the node's environment."""
    peers: tuple[Peer, ...]
    ae_title: str = "HABITUS"
    dicom_port: int = 4242
    http_port: int = 8042
    user: str = "habitus"
    """The node's own, and its administrator's."""
    staff: tuple[StaffMember, ...] = ()
    is_remote_access_allowed: bool = False
    """REST from other hosts; needed in a container, where "other" is the published port."""
    node: str = "embedded"
    """"embedded": the plugin starts the node. "standalone": it is a unit of its own."""
    plugin_library: Path = PLUGIN_LIBRARY
    entry: Path = ENTRY
    """The script that Orthanc loads; an installation names it by the link to its current release."""
    tls: TlsFiles | None = None
    """With them DICOM is not spoken in the clear: every sender must use TLS, too."""
    is_https: bool = False
    """REST by HTTPS with the same certificate. Debian 12's Orthanc (1.10.1) ends by SIGSEGV at the first such request, with
    or without plugins: there let nginx on the same host hold the certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrthancFiles:
    """What was written."""

    configuration: Path
    password: Path
    staff_passwords: Mapping[str, Path] = field(default_factory=dict)


def configuration_of(
    options: OrthancOptions, password: str, staff_passwords: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The whole configuration; raises ConfigurationInvalid for a title or port that cannot be."""
    for title in (options.ae_title, *(peer.ae_title for peer in options.peers)):
        if not 0 < len(title.strip()) <= MAX_AE_TITLE or "\\" in title:
            raise ConfigurationInvalid(
                found=f"AE title {title!r:.40}",
                wanted=f"1 to {MAX_AE_TITLE} characters",
                advice="Choose a shorter AE title without backslash.",
            )
    return {
        "Name": "Habitus",
        "StorageDirectory": str(options.storage_folder),
        "IndexDirectory": str(options.storage_folder),
        "StorageCompression": False,
        # MB. A series is read once, after its quiet time; with the default of 128 `make soak` left Orthanc at 370 MB, still growing.
        "MaximumStorageCacheSize": 32,
        # What C-FIND and QIDO-RS are answered in: the default, Latin 1, drops every letter of Korean and Japanese names.
        "DefaultEncoding": "Utf8",
        "OverwriteInstances": False,
        "StableAge": 5,
        "UserMetadata": {"habitus": 4096},
        **_http(options, {options.user: password, **(staff_passwords or {})}),
        **_dicom(options),
        **_tls(options),
        "SaveJobs": True,
        # The default of 10 forgets finished jobs before the outbox has polled them.
        "JobsHistorySize": 1000,
        # The outbox sends twice at once to each peer: one that is away must not hold up the others until its timeout.
        "ConcurrentJobs": 2 + 2 * len(options.peers),
        # Single libraries, not the folder: Debian's orthanc-gdcm crashes Orthanc.
        "Plugins": [str(options.plugin_library)],
        "PythonScript": str(options.entry),
        "PythonVerbose": False,
        # Plugin 4.3 and later: the GIL is given back inside SDK calls.
        "Python": {"AllowThreads": True},
        "Habitus": {
            "Node": options.node,
            "Python": str(options.node_python),
            "Settings": str(options.settings_path),
            "Roles": {options.user: "admin", **{each.user: each.role for each in options.staff}},
        },
    }


def environment_of(environment: Mapping[str, str]) -> dict[str, str]:
    """What to start Orthanc with."""
    return {
        **environment,
        # DCMTK reads it for each association: 15 s against 4.7 s for 300 slices.
        "TCP_NODELAY": "1",
        # glibc gives each of Orthanc's 70 threads an arena of its own, and each keeps what slices of 500 KB left in it.
        "MALLOC_ARENA_MAX": "2",
    }


def write_configuration(options: OrthancOptions, folder: Path) -> OrthancFiles:
    """Write orthanc.json and the password (made once, then kept), both for the owner's eyes only."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    options.storage_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = OrthancFiles(
        configuration=folder / "orthanc.json",
        password=folder / "orthanc.password",
        staff_passwords={each.user: folder / f"{each.user}.password" for each in options.staff},
    )
    staff = {user: _password(path) for user, path in files.staff_passwords.items()}
    configuration = configuration_of(options, _password(files.password), staff)
    if options.tls is not None and options.is_https:
        key, certificate = (
            file.read_text(encoding="ascii") for file in (options.tls.key, options.tls.certificate)
        )
        _write_private(folder / HTTPS_PEM, f"{key}\n{certificate}")
        configuration["SslCertificate"] = str(folder / HTTPS_PEM)
    _write_private(files.configuration, json.dumps(configuration, indent=2) + "\n")
    return files


def _password(path: Path) -> str:
    if not path.exists():
        _write_private(path, secrets.token_urlsafe(24) + "\n")
    return path.read_text(encoding="utf-8").strip()


def _http(options: OrthancOptions, users: Mapping[str, str]) -> dict[str, Any]:
    return {
        "HttpPort": options.http_port,
        "RemoteAccessAllowed": options.is_remote_access_allowed,
        "AuthenticationEnabled": True,
        "RegisteredUsers": dict(users),
        # The node reads every slice over loopback: compressing them costs more than it saves.
        "HttpCompressionEnabled": False,
        "HttpDescribeErrors": False,
        "ExecuteLuaEnabled": False,
        "RestApiWriteToFileSystemEnabled": False,
        "WebDavEnabled": False,
    }


def _dicom(options: OrthancOptions) -> dict[str, Any]:
    return {
        "DicomAet": options.ae_title,
        "DicomPort": options.dicom_port,
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowEcho": False,
        "DicomAlwaysAllowStore": False,
        "DicomAlwaysAllowFind": False,
        "DicomAlwaysAllowGet": False,
        "DicomAlwaysAllowMove": False,
        "UnknownSopClassAccepted": False,
        "DicomScuTimeout": 10,
        "DicomScpTimeout": 30,
        "DicomModalities": {peer.name: modality_of(peer) for peer in options.peers},
    }


def _tls(options: OrthancOptions) -> dict[str, Any]:
    if options.tls is None:
        if options.is_https:
            raise ConfigurationInvalid(
                found="HTTPS wished for and no certificate",
                wanted="certificate, key and trusted certificates in PEM",
                advice="Give OrthancOptions.tls.",
            )
        if clear := [peer.name for peer in options.peers if peer.uses_tls]:
            raise ConfigurationInvalid(
                found=f"DICOM TLS wished for {clear[0]!r:.40} and no certificate",
                wanted="certificate, key and trusted certificates in PEM",
                advice="Give OrthancOptions.tls.",
            )
        return {}
    # 4: TLS 1.2 and later.
    https = {"SslEnabled": True, "SslMinimumProtocolVersion": 4} if options.is_https else {}
    return {
        **https,
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(options.tls.certificate),
        "DicomTlsPrivateKey": str(options.tls.key),
        "DicomTlsTrustedCertificates": str(options.tls.trusted),
        "DicomTlsRemoteCertificateRequired": True,
    }


def modality_of(peer: Peer) -> dict[str, Any]:
    """What Orthanc's configuration says of a peer: what it may do here, and nothing else."""
    return {
        "AET": peer.ae_title,
        "Host": peer.host,
        "Port": peer.port,
        "AllowEcho": True,
        "AllowStore": peer.may_store,
        "AllowFind": False,
        "AllowFindWorklist": False,
        "AllowGet": False,
        "AllowMove": False,
        # Nobody is promised anything by us, but who promises us something may report it.
        "AllowNAction": False,
        "AllowEventReport": True,
        "UseDicomTls": peer.uses_tls,
    }


def _write_private(path: Path, text: str) -> None:
    """Never readable by others, not even for a moment; replaced whole."""
    draft = path.with_suffix(path.suffix + ".draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)
