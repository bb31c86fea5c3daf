"""A small HTTP server for three pages that anybody on this machine may read; whatever is asked of it, it stays small."""

import socket
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from socketserver import TCPServer
from typing import Any

from orthanc_plugin.node.logs import Logger, where

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TEXT_TYPE = "text/plain; charset=utf-8"
EXCHANGE_S = 10.0
"""For one exchange from its first byte to its last; then the connection is cut."""
AT_ONCE = 8
"""Exchanges; further ones are cut off unheard, so that nobody can fill the node with threads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An answer."""

    status: int
    body: bytes
    content_type: str = TEXT_TYPE


Pages = Mapping[str, Callable[[], Told]]


class MetricsServer(ThreadingHTTPServer):
    """GET of the pages it is given, and nothing else; raises OSError where it cannot listen."""

    daemon_threads = True
    request_queue_size = AT_ONCE

    def __init__(self, address: str, port: int, pages: Pages, log: Logger) -> None:
        self.address_family = (
            socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
        )
        self.pages = pages
        self._log = log
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        super().__init__((address, port), _Exchange)

    @property
    def is_hearing_others(self) -> bool:
        """Whether one more exchange would be heard just now."""
        is_free = self._slots.acquire(blocking=False)
        if is_free:
            self._slots.release()
        return is_free

    def server_bind(self) -> None:
        """Without asking a name server what this machine is called."""
        TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread of its own, if one is free."""
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One exchange, cut off when its time is over."""
        cut = threading.Timer(EXCHANGE_S, _cut, [request])
        cut.daemon = True
        cut.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            cut.cancel()
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 # the library's
        """Who hangs up in the middle is no news; a mistake of ours is told by its type and place."""
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            self._log.error("metrics-not-told", error_type=type(error).__name__, where=where(error))


def _cut(request: socket.socket) -> None:
    try:
        request.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


class _Exchange(BaseHTTPRequestHandler):
    timeout = EXCHANGE_S
    server: MetricsServer

    def do_GET(self) -> None:
        """One of the pages."""
        page = self.server.pages.get(self.path.partition("?")[0])
        if page is None:
            self._answer(Told(status=404, body=b"unknown-page\n"))
            return
        self._answer(page())

    def send_error(self, code: int, *_: str | None) -> None:
        """Without quoting what was asked for."""
        if code == 501:
            # What the library says of every method but GET.
            self._answer(Told(status=405, body=b"only-get\n"), {"Allow": "GET"})
        else:
            self._answer(Told(status=code, body=b"refused\n"))

    def _answer(self, told: Told, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(told.status)
        self.send_header("Content-Type", told.content_type)
        self.send_header("Content-Length", str(len(told.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(told.body)

    def version_string(self) -> str:
        """Nobody needs to know which Python this is."""
        return "Habitus"

    def log_message(self, format: str, *args: Any) -> None:
        """A scrape every few seconds is no event."""
