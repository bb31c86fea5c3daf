"""Where results go: whether Orthanc knows each destination, and whether it answers."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from orthanc_plugin.doctor.finding import Finding, ill, noted, well
from orthanc_plugin.doctor.orthanc_rest import OrthancRest
from orthanc_plugin.node.destinations import Destination, DestinationKind
from orthanc_plugin.node.orthanc_config import MAX_AE_TITLE
from orthanc_plugin.node.settings import Settings

ECHO_TIMEOUT_S = 5
NOBODY = "2.25.1"
"""A Study Instance UID that nobody has."""
_LISTS = {
    DestinationKind.MODALITY: ("/modalities", "DicomModalities"),
    DestinationKind.DICOMWEB: ("/dicom-web/servers", "DicomWeb.Servers"),
    DestinationKind.PEER: ("/peers", "OrthancPeers"),
}


def folders(settings: Settings) -> Iterator[Finding]:
    """Those that need no Orthanc."""
    if not settings.destinations:
        yield noted(
            "destinations",
            "none: results stay in our own Orthanc",
            "Name them as [[destinations]] in habitus.toml (docs/settings.md).",
        )
    for destination in settings.destinations:
        if destination.kind is DestinationKind.FOLDER:
            yield _folder(_subject(destination), Path(destination.address))


def receivers(rest: OrthancRest, settings: Settings, our_title: str) -> Iterator[Finding]:
    """Those that Orthanc sends to."""
    yield _title("our AE title", our_title)
    for destination in settings.destinations:
        if destination.kind is DestinationKind.FOLDER:
            continue
        missing = _unknown(rest, destination)
        if missing is not None:
            yield missing
            continue
        if destination.kind is DestinationKind.MODALITY:
            yield from _modality(rest, destination, our_title)
        elif destination.kind is DestinationKind.DICOMWEB:
            yield _dicomweb(rest, destination)
        else:
            yield _peer(rest, destination)


def title_fault(title: str) -> str:
    """What is wrong with an AE title; empty where nothing is (PS3.5 6.2: 16 characters, no backslash, no controls)."""
    if not title.strip():
        return "empty"
    if len(title.strip()) > MAX_AE_TITLE:
        return f"of {len(title.strip())} characters"
    if not (title.isascii() and title.isprintable()) or "\\" in title:
        return "with a character that is not allowed in one"
    return ""


def _title(subject: str, title: str) -> Finding:
    if fault := title_fault(title):
        return ill(
            subject,
            found=f"AE title {title!r:.40}, {fault}",
            wanted=f"1 to {MAX_AE_TITLE} ASCII characters without backslash",
            advice="Change it in Orthanc's configuration, and at the other end.",
        )
    return well(subject, title)


def _folder(subject: str, folder: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=folder) as trial:
            trial.write(b"habitus doctor")
    except OSError as exc:
        return ill(
            subject,
            found=f"{folder}, where a file cannot be written ({type(exc).__name__})",
            wanted="a folder that the node's user may write to",
            advice="Is the share mounted, does it have space, and whose is it?",
        )
    return well(subject, f"{folder} can be written to")


def _unknown(rest: OrthancRest, destination: Destination) -> Finding | None:
    path, key = _LISTS[destination.kind]
    reply = rest.ask("GET", path)
    if destination.kind is DestinationKind.DICOMWEB and reply.status == 404:
        return ill(
            _subject(destination),
            found="an Orthanc without the DICOMweb plugin",
            wanted="one that sends by STOW-RS",
            advice="apt-get install orthanc-dicomweb, and name its library among Plugins.",
        )
    names = reply.json if isinstance(reply.json, list) else []
    if destination.address in names:
        return None
    return ill(
        _subject(destination),
        found=f"no {destination.address!r} among {key} of Orthanc (there: {', '.join(sorted(names)) or 'none'})",
        wanted="the name that [[destinations]] gives",
        advice=f"Add it to {key} in Orthanc's configuration, or name another as target.",
    )


def _modality(rest: OrthancRest, destination: Destination, our_title: str) -> Iterator[Finding]:
    subject, name = _subject(destination), quote(destination.address, safe="")
    known = rest.ask("GET", f"/modalities/{name}/configuration").record
    title, where = str(known.get("AET", "")), f"{known.get('Host')}:{known.get('Port')}"
    if title_fault(title):
        yield _title(f"{subject}: AE title", title)
    reply = rest.ask(
        "POST", f"/modalities/{name}/echo", {"Timeout": ECHO_TIMEOUT_S}, 3 * ECHO_TIMEOUT_S
    )
    if reply.is_good:
        yield well(subject, f"{title} at {where} answers C-ECHO")
        return
    yield ill(
        subject,
        found=f"no answer to C-ECHO from {title!r:.40} at {where}",
        wanted=f"one within {ECHO_TIMEOUT_S} s",
        advice=f"Is it on, are AE title, host and port right, does a firewall let us through, and does it know us as"
        f" {our_title}? Results wait in the spool meanwhile.",
    )


def _dicomweb(rest: OrthancRest, destination: Destination) -> Finding:
    asked = {"Uri": "/studies", "Arguments": {"StudyInstanceUID": NOBODY}}
    name = quote(destination.address, safe="")
    reply = rest.ask("POST", f"/dicom-web/servers/{name}/get", asked)
    if reply.is_good:
        return well(_subject(destination), "answers QIDO-RS")
    return ill(
        _subject(destination),
        found="no good answer to QIDO-RS",
        wanted="one, by which deliveries are verified",
        advice="Check Url, Username and Password of the server in DicomWeb.Servers, and whether it is on; one that takes"
        ' STOW-RS alone needs verify = "none".',
    )


def _peer(rest: OrthancRest, destination: Destination) -> Finding:
    name = quote(destination.address, safe="")
    if rest.ask("GET", f"/peers/{name}/system").is_good:
        return well(_subject(destination), "answers")
    return ill(
        _subject(destination),
        found="no good answer from the peer",
        wanted="one",
        advice="Check Url, Username and Password of the peer in OrthancPeers, and whether it is on.",
    )


def _subject(destination: Destination) -> str:
    return f"{destination.kind} {destination.name}"
