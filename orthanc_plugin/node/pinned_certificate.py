"""HTTPS to the one Orthanc beside us: its certificate is recognised by itself, since no issuer names a loopback address."""

import hashlib
import ssl
from pathlib import Path
from typing import Any

from requests import Session
from requests.adapters import HTTPAdapter

from inference.domain.errors import ConfigurationInvalid

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


class _PinnedAdapter(HTTPAdapter):
    def __init__(self, fingerprint: str) -> None:
        self._fingerprint = fingerprint
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Every connection of the pool compares the certificate before it sends anything."""
        super().init_poolmanager(*args, assert_fingerprint=self._fingerprint, **kwargs)


def pin(session: Session, fingerprint: str) -> None:
    """From now on the session's HTTPS goes to the holder of this certificate only (SHA-256, hexadecimal)."""
    # Instead of an issuer and a host name; a certificate of another fingerprint ends the connection.
    session.verify = False
    # REQUESTS_CA_BUNDLE would go before it.
    session.trust_env = False
    session.mount("https://", _PinnedAdapter(fingerprint))


def fingerprint_of(path: Path) -> str:
    """SHA-256 of the first certificate in a PEM file; raises ConfigurationInvalid."""
    try:
        text = path.read_text(encoding="ascii")
        pem = text[text.index(_BEGIN) : text.index(_END) + len(_END)]
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    except (OSError, ValueError) as exc:
        raise ConfigurationInvalid(
            found=f"no certificate in {path.name}",
            wanted="a PEM file with the certificate that Orthanc shows",
            advice="See SslCertificate in Orthanc's configuration.",
        ) from exc
