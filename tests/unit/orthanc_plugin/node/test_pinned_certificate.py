"""One certificate is recognised; another, or none, ends the connection."""

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from shutil import which

import pytest
import requests

from inference.domain.errors import ConfigurationInvalid
from orthanc_plugin.inside.configuration import PluginMisconfigured, _fingerprint
from orthanc_plugin.node.pinned_certificate import fingerprint_of, pin
from tests.certificates import make_holder, make_issuer

pytestmark = pytest.mark.skipif(which("openssl") is None, reason="needs openssl")


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Nothing to say."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path, Path]]:
    """An address, its certificate, and another one."""
    issuer = make_issuer(tmp_path, "issuer")
    shown, other = (make_holder(tmp_path, name, issuer) for name in ("shown", "other"))
    server = HTTPServer(("127.0.0.1", 0), _Answers)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(shown.certificate, shown.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}/", shown.certificate, other.certificate
    server.shutdown()
    server.server_close()


def test_the_holder_of_the_certificate_is_spoken_to_and_nobody_else(
    served: tuple[str, Path, Path],
) -> None:
    url, shown, other = served
    with requests.Session() as session:
        pin(session, fingerprint_of(shown))
        assert session.get(url, timeout=5.0).ok
    with requests.Session() as session:
        pin(session, fingerprint_of(other))
        with pytest.raises(requests.exceptions.SSLError):
            session.get(url, timeout=5.0)


def test_plugin_and_node_see_the_same_fingerprint(served: tuple[str, Path, Path]) -> None:
    _, shown, other = served

    assert _fingerprint(str(shown)) == fingerprint_of(shown) != fingerprint_of(other)


def test_a_file_without_a_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----")

    with pytest.raises(ConfigurationInvalid):
        fingerprint_of(tmp_path / "key.pem")
    with pytest.raises(PluginMisconfigured):
        _fingerprint(str(tmp_path / "key.pem"))
