"""Something on loopback that answers HTTP as an Orthanc would, from a table."""

import base64
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

USER, PASSWORD = "habitus", "canary-password-of-the-node"
SYSTEM = {"ApiVersion": 16, "DicomAet": "HABITUS", "Version": "1.10.1"}
STATUS = {"node": {"supervised": True, "running": True, "pid": 7, "starts": 1}}

Table = Mapping[str, Any]
"""Path → what it answers as JSON, bytes as they are, or a status without a body."""


@contextmanager
def fake_orthanc(
    table: Table, *, password: str | None = PASSWORD, certificate: tuple[Path, Path] | None = None
) -> Iterator[str]:
    """Its address while the context lasts; None: nobody is asked for a password."""
    wanted = (
        None
        if password is None
        else "Basic " + base64.b64encode(f"{USER}:{password}".encode()).decode()
    )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = table.get(self.path, 404)
            if wanted is not None and self.headers.get("Authorization") != wanted:
                answer = 401
            body = b"" if isinstance(answer, int) else answer
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(answer if isinstance(answer, int) else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that does not like our certificate hangs up."""

    server = Server(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        scheme = "http" if certificate is None else "https"
        yield f"{scheme}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
