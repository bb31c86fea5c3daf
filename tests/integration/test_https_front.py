"""The nginx file of docs/https.md with a real nginx before a real Orthanc: what gets through, and what does not."""

import re
import shutil
import socket
import ssl
import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import requests

from orthanc_plugin.node.orthanc_config import TlsFiles
from tests.certificates import make_holder, make_issuer
from tests.dicom_peers import ct_series, send
from tests.orthanc_process import (
    HTTP_PORT,
    MORTAL,
    REPOSITORY_ROOT,
    OrthancProcess,
    orthanc,
    private_network,
    wait_for,
    why_not,
)

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
TEMPLATE = REPOSITORY_ROOT / "orthanc_plugin" / "nginx" / "habitus-https.conf.template"
PLAIN_PORT, TLS_PORT = 18080, 18443
NAME = "localhost"
OWN_USER = "habitus"
"""Of the tests' Orthanc; may do everything."""
LARGE_PIXELS = 3200
"""Rows and columns; 20 MB, where nginx by itself takes one."""
FRONT = f"https://{NAME}:{TLS_PORT}"

pytestmark = [
    pytest.mark.orthanc,
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
    pytest.mark.skipif(not Path(NGINX).exists(), reason="needs nginx"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """nginx, and the Orthanc behind it."""

    orthanc: OrthancProcess
    files: TlsFiles

    def ask(self, method: str, path: str, user: str = "", **options: Any) -> requests.Response:
        """As a browser that trusts the site's issuer."""
        session = requests.Session()
        session.trust_env = False
        return session.request(
            method,
            FRONT + path,
            auth=self._login(user),
            verify=str(self.files.trusted),
            timeout=10.0,
            allow_redirects=False,
            **options,
        )

    def _login(self, user: str) -> tuple[str, str] | None:
        if user == OWN_USER:
            return self.orthanc.session.auth  # type: ignore[return-value] # name and password
        return self.orthanc.login(user) if user else None


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("front")
    issuer = make_issuer(folder / "tls", "issuer")
    files = make_holder(folder / "tls", "front", issuer, host=NAME)
    with private_network(), orthanc(folder / "orthanc") as running:
        nginx = _started_nginx(folder, files)
        try:
            yield Front(orthanc=running, files=files)
        finally:
            nginx.terminate()
            nginx.wait(10)


def _started_nginx(folder: Path, files: TlsFiles) -> subprocess.Popen[bytes]:
    words = {
        "NAME": NAME,
        "ADDRESS": "127.0.0.1",
        "HTTP_PORT": str(PLAIN_PORT),
        "HTTPS_PORT": str(TLS_PORT),
        "ORTHANC_PORT": str(HTTP_PORT),
        "CERTIFICATE": str(files.certificate),
        "KEY": str(files.key),
        "ERROR_LOG": str(folder / "front.log"),
    }
    server = re.sub(r"@([A-Z_]+)@", lambda word: words[word[1]], TEMPLATE.read_text())
    (folder / "servers.conf").write_text(server)
    scratch = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi")
    ) + "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"daemon off; user root; pid {folder}/nginx.pid; events {{}}"
        f" http {{ {scratch} include {folder}/servers.conf; }}"
    )
    process = subprocess.Popen(
        [*MORTAL, NGINX, "-e", str(folder / "nginx.log"), "-c", str(folder / "nginx.conf")]
    )
    wait_for(lambda: _listens(TLS_PORT), 10.0, "nginx")
    return process


def _listens(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def test_in_the_clear_there_is_nothing_but_the_way_to_https(front: Front) -> None:
    answer = requests.get(
        f"http://127.0.0.1:{PLAIN_PORT}/habitus/status?x=1",
        headers={"Host": f"{NAME}:{PLAIN_PORT}"},
        allow_redirects=False,
        timeout=5.0,
    )

    assert answer.status_code == 308
    assert answer.headers["Location"] == f"{FRONT}/habitus/status?x=1"


def test_who_logs_in_gets_the_page_and_is_told_to_stay_with_https(front: Front) -> None:
    page = front.ask("GET", "/habitus/index.html", user="vera")

    assert page.status_code == 200
    assert page.headers["Strict-Transport-Security"].startswith("max-age=")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/habitus/status", "/habitus/index.html", "/system", "/studies"])
def test_nobody_enters_without_a_password_though_nginx_comes_from_this_host(
    front: Front, path: str
) -> None:
    assert front.ask("GET", path).status_code == 401


def test_a_study_is_asked_for_from_our_own_page(front: Front) -> None:
    send(ct_series(3, seed="front"))
    (study,) = front.ask("GET", "/studies", user="otto").json()
    ours = {"X-Requested-With": "habitus", "Origin": FRONT}

    answer = front.ask(
        "POST", "/habitus/analyses", user="otto", json={"study": study}, headers=ours
    )

    assert answer.status_code == 200, answer.headers
    wait_for(lambda: bool(front.orthanc.jobs()), 30.0, "a job")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", f"http://{NAME}:{TLS_PORT + 1}", f"https://{NAME}"]
)
def test_a_page_of_another_site_or_port_changes_nothing(front: Front, origin: str) -> None:
    answer = front.ask(
        "POST",
        "/habitus/analyses",
        user="otto",
        json={"study": "0" * 8},
        headers={"X-Requested-With": "habitus", "Origin": origin},
    )

    assert answer.status_code == 403


def test_a_viewer_changes_nothing_here_either(front: Front) -> None:
    answer = front.ask(
        "POST",
        "/habitus/analyses",
        user="vera",
        json={"study": "0" * 8},
        headers={"X-Requested-With": "habitus"},
    )

    assert answer.status_code == 403


def test_another_host_name_gets_no_page(front: Front) -> None:
    answer = front.ask(
        "GET", "/habitus/index.html", user="vera", headers={"Host": "rebound.example"}
    )

    assert answer.status_code == 421


@pytest.mark.parametrize(
    ("version", "is_spoken"),
    [
        (ssl.TLSVersion.TLSv1_1, False),
        (ssl.TLSVersion.TLSv1_2, True),
        (ssl.TLSVersion.TLSv1_3, True),
    ],
)
def test_no_tls_before_1_2(front: Front, version: ssl.TLSVersion, is_spoken: bool) -> None:
    context = ssl.create_default_context(cafile=str(front.files.trusted))
    # OpenSSL itself offers the old ones only at this level.
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", TLS_PORT), timeout=5.0) as plain:
        if is_spoken:
            context.wrap_socket(plain, server_hostname=NAME).close()
        else:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(plain, server_hostname=NAME)


def test_a_large_upload_passes(front: Front) -> None:
    (image,) = ct_series(1, seed="large")
    image.Rows = image.Columns = LARGE_PIXELS
    image.PixelData = bytes(2 * LARGE_PIXELS**2)
    file = BytesIO()
    image.save_as(file, enforce_file_format=True)

    answer = front.ask("POST", "/instances", user=OWN_USER, data=file.getvalue())

    assert answer.status_code == 200
    assert answer.json()["Status"] == "Success"
