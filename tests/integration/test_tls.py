"""DICOM TLS and HTTPS at a real Orthanc: who has no certificate of the site's issuer gets nowhere, and the job is done."""

import json
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import requests
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, StoragePresentationContexts, evt

from orthanc_plugin.node.orthanc_config import OrthancOptions, TlsFiles, write_configuration
from orthanc_plugin.node.orthanc_pacs import OrthancPacs
from orthanc_plugin.node.pacs import PacsUnavailable
from orthanc_plugin.node.pinned_certificate import fingerprint_of, pin
from tests.certificates import make_holder, make_issuer
from tests.dicom_peers import ct_series
from tests.orthanc_process import (
    DICOM_PORT,
    HTTP_PORT,
    MORTAL,
    ORTHANC,
    RECEIVER,
    RECEIVER_PORT,
    SENDER,
    SETTINGS,
    OrthancProcess,
    private_network,
    wait_for,
    why_not,
)

pytestmark = [
    pytest.mark.orthanc,
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
]


@cache
def _why_no_https() -> str:
    """Debian's and Ubuntu's Orthanc ends by SIGSEGV at its first HTTPS request, with or without plugins."""
    with TemporaryDirectory() as name, private_network():
        folder = Path(name)
        holder = make_holder(folder, "probe", make_issuer(folder, "issuer"))
        both = folder / "both.pem"
        both.write_bytes(holder.certificate.read_bytes() + holder.key.read_bytes())
        configuration = {
            "StorageDirectory": name,
            "IndexDirectory": name,
            "DicomPort": DICOM_PORT,
            "HttpPort": HTTP_PORT,
            "SslEnabled": True,
            "SslCertificate": str(both),
        }
        (folder / "orthanc.json").write_text(json.dumps(configuration))
        process = subprocess.Popen(
            [*MORTAL, str(ORTHANC), str(folder / "orthanc.json")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(
                lambda: process.poll() is not None or _answers_https(), 30.0, "HTTPS or an end"
            )
        finally:
            process.kill()
            status = process.wait()
    return "this Orthanc ends at the first HTTPS request" if status == -signal.SIGSEGV else ""


def _answers_https() -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection(("127.0.0.1", HTTP_PORT), timeout=2.0) as plain,
            context.wrap_socket(plain) as connection,
        ):
            connection.sendall(b"GET /system HTTP/1.0\r\n\r\n")
            return connection.recv(4) == b"HTTP"
    except OSError:
        return False


@dataclass(slots=True)
class EncryptedOrthanc(OrthancProcess):
    """The same by HTTPS."""

    @property
    def url(self) -> str:
        """Of the REST API."""
        return f"https://127.0.0.1:{HTTP_PORT}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A node, its PACS, and certificates of both worlds."""

    orthanc: OrthancProcess
    received: list[str]
    scanner: TlsFiles
    stranger: TlsFiles
    own: TlsFiles


@pytest.fixture(params=["DICOM", "DICOM and REST"])
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    is_https = request.param == "DICOM and REST"
    if is_https and (reason := _why_no_https()):
        pytest.skip(reason)
    issuer = make_issuer(tmp_path / "tls", "issuer")
    other = make_issuer(tmp_path / "other", "other")
    own, scanner, pacs = (
        make_holder(tmp_path / "tls", name, issuer) for name in ("node", "scanner", "pacs")
    )
    stranger = replace(make_holder(tmp_path / "other", "stranger", other), trusted=issuer)
    (tmp_path / "models").mkdir()
    (tmp_path / "habitus.toml").write_text(
        SETTINGS.format(job_wall_clock_s=30.0, http_port=HTTP_PORT) + 'verify = "none"\n'
    )
    options = OrthancOptions(
        storage_folder=tmp_path / "storage",
        settings_path=tmp_path / "habitus.toml",
        node_python=Path(sys.executable),
        peers=(SENDER, replace(RECEIVER, uses_tls=True)),
        dicom_port=DICOM_PORT,
        http_port=HTTP_PORT,
        tls=own,
        is_https=is_https,
    )
    kind = EncryptedOrthanc if is_https else OrthancProcess
    orthanc = kind(folder=tmp_path, files=write_configuration(options, tmp_path / "etc"))
    pin(orthanc.session, fingerprint_of(own.certificate))
    with private_network(), _tls_receiver(pacs) as received:
        orthanc.start()
        yield Site(orthanc=orthanc, received=received, scanner=scanner, stranger=stranger, own=own)
        orthanc.kill()


@contextmanager
def _tls_receiver(files: TlsFiles) -> Iterator[list[str]]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(files.trusted))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(files.certificate, files.key)
    received: list[str] = []

    def on_store(event: Any) -> int:
        received.append(str(event.request.AffectedSOPInstanceUID))
        return 0

    pacs = AE(ae_title=RECEIVER.ae_title)
    for known in StoragePresentationContexts[:128]:
        pacs.add_supported_context(known.abstract_syntax, [ExplicitVRLittleEndian])
    server = pacs.start_server(
        ("127.0.0.1", RECEIVER_PORT),
        block=False,
        ssl_context=context,
        evt_handlers=[(evt.EVT_C_STORE, on_store)],
    )
    try:
        yield received
    finally:
        server.shutdown()


def _by_tls(files: TlsFiles) -> list[str | Path]:
    return ["+tls", files.key, files.certificate, "+cf", files.trusted]


def _store(folder: Path, how: Sequence[str | Path]) -> int:
    """storescu's exit status."""
    folder.mkdir(exist_ok=True)
    for number, image in enumerate(ct_series(4)):
        image.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return subprocess.run(
        [
            *(
                "storescu",
                *map(str, how),
                "-aet",
                SENDER.ae_title,
                "-aec",
                "HABITUS",
                "-to",
                "5",
                "-td",
                "5",
            ),
            *("+sd", "127.0.0.1", str(DICOM_PORT), str(folder)),
        ],
        capture_output=True,
        timeout=60,
    ).returncode


def test_a_series_comes_by_tls_and_its_results_leave_by_tls(site: Site, tmp_path: Path) -> None:
    assert _store(tmp_path / "series", _by_tls(site.scanner)) == 0

    (job,) = site.orthanc.wait_for_jobs(["done"], 60.0)

    assert len(site.received) == 2
    assert {delivery["state"] for delivery in job["deliveries"]} <= {"confirmed"}


@pytest.mark.parametrize("who", ["in the clear", "of another issuer", "without a certificate"])
def test_whom_the_site_did_not_certify_stores_nothing(site: Site, tmp_path: Path, who: str) -> None:
    ways: dict[str, list[str | Path]] = {
        "in the clear": [],
        "of another issuer": _by_tls(site.stranger),
        "without a certificate": ["+tla", "+cf", site.stranger.trusted],
    }

    assert _store(tmp_path / "series", ways[who]) != 0
    assert site.orthanc.get("/statistics")["CountInstances"] == 0


@pytest.mark.parametrize("site", ["DICOM and REST"], indirect=True)
def test_rest_is_neither_spoken_in_the_clear_nor_to_another_certificate(site: Site) -> None:
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{HTTP_PORT}/system", timeout=5.0)
    other = fingerprint_of(site.stranger.certificate)
    with (
        OrthancPacs(site.orthanc.url, site.orthanc.session.auth, 5.0, other) as pacs,  # type: ignore[arg-type]
        pytest.raises(PacsUnavailable),
    ):
        pacs.last_change()
