"""Asks Orthanc's REST API, and tells apart why it does not answer: name, port, certificate, password, somebody else."""

import json
import socket
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

import requests

from inference.domain.errors import HabitusError
from orthanc_plugin.node.login import basic
from orthanc_plugin.node.pinned_certificate import pin

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 20.0
_MARKS_OF_ORTHANC = ("ApiVersion", "DicomAet", "Version")


@dataclass(kw_only=True)
class OrthancNotReached(HabitusError):
    """No conversation with Orthanc; `why` is one word for it."""

    why: str = "away"

    code: ClassVar[str] = "orthanc-not-reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """Where Orthanc is and who asks."""

    url: str
    login: tuple[str, str] | None = None
    fingerprint: str = ""

    @property
    def shown(self) -> str:
        """Without a password that somebody may have put into it."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname}:{self.port}"

    @property
    def host(self) -> str:
        """Its name."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """As written, or as the scheme has it."""
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer, whatever it says."""

    status: int
    body: bytes

    @property
    def is_good(self) -> bool:
        """2xx."""
        return 200 <= self.status < 300

    @property
    def json(self) -> Any:
        """None for what is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def record(self) -> dict[str, Any]:
        """Empty for anything else."""
        found = self.json
        return found if isinstance(found, dict) else {}


class OrthancRest:
    """One conversation."""

    def __init__(self, entrance: Entrance) -> None:
        self.entrance = entrance
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.auth = basic(*entrance.login) if entrance.login else None
        if entrance.fingerprint:
            pin(self._session, entrance.fingerprint)

    def close(self) -> None:
        """End it."""
        self._session.close()

    def ask(
        self, method: str, path: str, body: Any = None, timeout_s: float = ANSWER_TIMEOUT_S
    ) -> Reply:
        """One exchange; raises OrthancNotReached."""
        try:
            response = self._session.request(
                method,
                self.entrance.url + path,
                data=None if body is None else json.dumps(body),
                timeout=timeout_s,
                allow_redirects=False,
            )
        except requests.exceptions.SSLError as exc:
            raise self._certificate(str(exc)) from exc
        except requests.RequestException as exc:
            raise OrthancNotReached(
                found=f"{type(exc).__name__} at {self.entrance.shown}",
                wanted="an answer",
                advice="Does Orthanc speak HTTPS there, or hang? Its log says.",
            ) from exc
        return Reply(status=response.status_code, body=response.content)

    def system(self) -> dict[str, Any]:
        """What Orthanc says of itself, once it is sure that it is Orthanc and lets us in; raises OrthancNotReached."""
        self._knock()
        reply = self.ask("GET", "/system")
        if reply.status in (401, 403):
            raise self._not_let_in(reply.status)
        if not reply.is_good or not all(key in reply.record for key in _MARKS_OF_ORTHANC):
            raise OrthancNotReached(
                why="not-orthanc",
                found=f"somebody else at {self.entrance.shown} (HTTP {reply.status} for /system, without Orthanc's facts)",
                wanted="Orthanc's REST API",
                advice="Check [orthanc] url: host, port, http or https, and what a proxy before it passes on.",
            )
        return reply.record

    def _knock(self) -> None:
        """A bare connection: its errors are plainer than those of HTTP."""
        here = self.entrance
        try:
            socket.create_connection((here.host, here.port), CONNECT_TIMEOUT_S).close()
        except socket.gaierror as exc:
            raise OrthancNotReached(
                why="unknown-host",
                found=f"no host {here.host:.80}",
                wanted="a name that this machine can look up",
                advice="Check [orthanc] url, DNS and /etc/hosts.",
            ) from exc
        except ConnectionRefusedError as exc:
            raise OrthancNotReached(
                why="refused",
                found=f"nobody listening at {here.shown}",
                wanted="Orthanc there",
                advice="Is Orthanc running (systemctl status orthanc), and is its HttpPort the one in [orthanc] url?",
            ) from exc
        except OSError as exc:
            raise OrthancNotReached(
                why="no-way",
                found=f"no way to {here.shown} ({type(exc).__name__})",
                wanted="a connection",
                advice="Check the network between, and firewalls: packets are dropped.",
            ) from exc

    def _certificate(self, text: str) -> OrthancNotReached:
        if "WRONG_VERSION" in text or "RECORD_LAYER" in text:
            return OrthancNotReached(
                why="no-https",
                found=f"no HTTPS at {self.entrance.shown}",
                wanted="HTTPS, as [orthanc] url says",
                advice="Write http:// in [orthanc] url, or switch Orthanc's SslEnabled on.",
            )
        return OrthancNotReached(
            why="certificate",
            found=f"another certificate than expected at {self.entrance.shown}",
            wanted="that of [orthanc] certificate_file"
            if self.entrance.fingerprint
            else "one of an issuer that this machine knows, for this host",
            advice="Orthanc's certificate was renewed, or somebody stands between: compare SslCertificate of Orthanc's"
            " configuration, and name that file as [orthanc] certificate_file.",
        )

    def _not_let_in(self, status: int) -> OrthancNotReached:
        if self.entrance.login is None:
            return OrthancNotReached(
                why="no-login",
                found="an Orthanc that wants a password, and no user in [orthanc]",
                wanted="user and password_file",
                advice="Name them in habitus.toml (a node inside Orthanc has a token instead; doctor has not), or give"
                " doctor --orthanc-config.",
            )
        if status == 403:
            return OrthancNotReached(
                why="forbidden",
                found=f"an Orthanc, or a proxy before it, that forbids /system to user {self.entrance.login[0]!r:.40}",
                wanted="to be let in",
                advice="Look at Orthanc's authorization plugin and at the proxy's rules for this user.",
            )
        return OrthancNotReached(
            why="password",
            found=f"a wrong password, or no user {self.entrance.login[0]!r:.40}",
            wanted="one of Orthanc's RegisteredUsers",
            advice="Put that user's password, and nothing else, into the file that [orthanc] password_file names.",
        )
