"""Asks another Orthanc, a peer of ours, whether it has an object."""

from dataclasses import dataclass
from pathlib import Path

import requests
from requests.auth import HTTPBasicAuth

from orthanc_plugin.node.login import basic
from orthanc_plugin.node.orthanc_answers import records
from orthanc_plugin.node.pacs import QueryRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAddress:
    """Where a peer is, and how we may enter."""

    url: str
    user: str
    password_file: Path | None


def has_instance(peer: PeerAddress, sop_uid: str, timeout_s: float) -> bool:
    """Whether the peer has the object; raises QueryRefused where it does not tell."""
    try:
        with requests.Session() as session:
            # ~/.netrc must not lend its passwords to a peer; a site's proxy may well be on the way.
            session.auth = _login(peer) or _no_login
            response = session.post(
                f"{peer.url}/tools/lookup", data=sop_uid.encode(), timeout=timeout_s
            )
            response.raise_for_status()
            rows = response.json()
    except (OSError, ValueError, RecursionError) as exc:
        raise QueryRefused(
            found=f"{type(exc).__name__} when a peer was asked",
            wanted="its answer whether it has an object",
            advice='Give the destination a password_file, or set verify = "none".',
        ) from exc
    return any(row.get("Type") == "Instance" for row in records(rows))


def _login(peer: PeerAddress) -> HTTPBasicAuth | None:
    if peer.password_file is None:
        return None
    return basic(peer.user, peer.password_file.read_text(encoding="utf-8").strip())


def _no_login(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
