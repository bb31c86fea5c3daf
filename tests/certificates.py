"""Throw-away certificates: an issuer, and keys that it or nobody vouches for."""

import subprocess
from pathlib import Path

from orthanc_plugin.node.orthanc_config import TlsFiles


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def make_issuer(folder: Path, name: str) -> Path:
    """A certificate that signs others, beside its key."""
    folder.mkdir(parents=True, exist_ok=True)
    certificate = folder / f"{name}.crt"
    _openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        *("-keyout", folder / f"{name}.key", "-out", certificate),
    )
    return certificate


def make_holder(folder: Path, name: str, issuer: Path, host: str = "localhost") -> TlsFiles:
    """Key and certificate of one host, signed by an issuer, whom it trusts in others."""
    key, request, certificate = (folder / f"{name}.{kind}" for kind in ("key", "csr", "crt"))
    extensions = folder / f"{name}.ext"
    # RFC 5280 section 4.2.1 wants both identifiers; Python 3.13 refuses a certificate without them.
    extensions.write_text(
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\nbasicConstraints=CA:FALSE\n"
        f"subjectAltName=DNS:{host}\n"
    )
    _openssl(
        *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"),
        *("-keyout", key, "-out", request),
    )
    _openssl(
        *("x509", "-req", "-in", request, "-CA", issuer, "-CAkey", issuer.with_suffix(".key")),
        *("-CAcreateserial", "-days", "2", "-extfile", extensions, "-out", certificate),
    )
    return TlsFiles(certificate=certificate, key=key, trusted=issuer)
