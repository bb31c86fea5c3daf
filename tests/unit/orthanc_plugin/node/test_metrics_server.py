"""The server of the metrics page: three pages, GET alone, and no client that can hold it up or fill it."""

import http.client
import logging
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orthanc_plugin.node import metrics_server
from orthanc_plugin.node.journal import Journal
from orthanc_plugin.node.metrics_pages import STUCK_AFTER_S, NodePages
from orthanc_plugin.node.metrics_server import AT_ONCE, MetricsServer, Told
from orthanc_plugin.node.settings import EngineSettings, Settings
from tests.fakes import Clock, SilentLog

READY = '{"state": "ready"}'


@dataclass
class Site:
    """A server of a node's pages, on a port that is free."""

    folder: Path
    clock: Clock
    loops: list[threading.Thread] = field(default_factory=list)
    log: SilentLog = field(default_factory=SilentLog)
    server: MetricsServer | None = None

    def start(self) -> None:
        settings = Settings(
            data_folder=self.folder, engine=EngineSettings(models_folder=self.folder)
        )
        pages = NodePages(
            in_force=lambda: settings, loops=self.loops, started_at=1000.0, clock=self.clock
        )
        table = {**pages.table(), "/broken": _broken}
        self.server = MetricsServer("127.0.0.1", 0, table, self.log)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        assert self.server is not None
        return int(self.server.server_address[1])

    def ask(self, path: str, method: str = "GET") -> tuple[int, str, http.client.HTTPMessage]:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5.0)
        client.request(method, path)
        answer = client.getresponse()
        told = answer.status, answer.read().decode(), answer.headers
        client.close()
        return told

    def raw(self, text: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5.0) as client:
            client.sendall(text)
            client.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: client.recv(4096), b""))

    def slow(self) -> socket.socket:
        """Somebody who never comes to the end of the question."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=5.0)
        client.sendall(b"GET /live HTTP/1.0\r\nX: ")
        return client


def _broken() -> Told:
    raise KeyError("PATIENT^NAME")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    one = Site(tmp_path, Clock(2000.0))
    one.start()
    assert one.server is not None
    yield one
    one.server.shutdown()
    one.server.server_close()


def journal_of(site: Site) -> Journal:
    journal = Journal(site.folder / "journal.db", site.clock)
    journal.set_fact("alive_at", str(site.clock.now_s))
    journal.set_fact("engine", READY)
    return journal


def test_the_page_is_prometheus_text(site: Site) -> None:
    journal_of(site)

    status, text, headers = site.ask("/metrics?x=1")

    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'habitus_jobs{state="queued"} 0.0\n' in text
    assert "python_gc" not in text


def test_without_a_journal_nothing_is_told_for_the_truth(site: Site) -> None:
    assert site.ask("/metrics")[:2] == (503, "journal-not-readable\n")
    assert site.ask("/ready")[:2] == (503, "journal-not-readable\n")


def test_ready_says_why_not_with_the_codes_of_the_rest_route(site: Site) -> None:
    journal = journal_of(site)
    ready = site.ask("/ready")
    journal.set_fact("disk", '"high"')
    full = site.ask("/ready")
    journal.set_fact("engine", '{"state": "unusable"}')
    unusable = site.ask("/ready")
    site.clock.pass_s(31.0)
    silent = site.ask("/ready")

    assert [told[:2] for told in (ready, full, unusable, silent)] == [
        (200, "ready\n"),
        (503, "disk-full\n"),
        (503, "engine-not-ready\n"),
        (503, "node-silent\n"),
    ]


def test_live_ends_with_a_loop_or_with_the_signs_of_life(site: Site) -> None:
    journal_of(site)
    is_over = threading.Event()
    loop = threading.Thread(target=is_over.wait)
    loop.start()
    site.loops.append(loop)
    lives = site.ask("/live")
    site.clock.pass_s(STUCK_AFTER_S - 1.0)
    is_busy = site.ask("/live")
    site.clock.pass_s(2.0)
    stuck = site.ask("/live")
    is_over.set()
    loop.join()
    ended = site.ask("/live")

    assert [told[:2] for told in (lives, is_busy, stuck, ended)] == [
        (200, "live\n"),
        (200, "live\n"),
        (503, "loop-stuck\n"),
        (503, "loop-ended\n"),
    ]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "FOO"])
def test_nothing_but_get_is_taken(method: str, site: Site) -> None:
    status, _, headers = site.ask("/metrics", method)

    assert status == 405
    assert headers["Allow"] == "GET"


@pytest.mark.parametrize("path", ["/", "/metrics/", "/../etc/passwd", "/live%2f", "/liv"])
def test_other_pages_are_unknown_and_not_quoted(path: str, site: Site) -> None:
    status, text, headers = site.ask(path)

    assert (status, text) == (404, "unknown-page\n")
    assert "Python" not in headers["Server"]


@pytest.mark.parametrize(
    "text",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /live HTTP/1.1\r\n" + b"X: y\r\n" * 300 + b"\r\n",
        b"GET <script> HTTP/9.9\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_shortly(text: bytes, site: Site) -> None:
    journal_of(site)

    answer = site.raw(text)

    assert len(answer) < 400
    assert b"<script>" not in answer
    assert b" 200 " not in answer
    assert site.ask("/live")[0] == 200


def test_a_mistake_of_ours_is_logged_without_its_text(
    site: Site, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    with pytest.raises(http.client.RemoteDisconnected):
        site.ask("/broken")

    assert site.log.events == ["metrics-not-told"]
    assert "PATIENT" not in "".join((*capfd.readouterr(), caplog.text))


def test_slow_clients_are_cut_off_and_leave_room_for_others(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_server, "EXCHANGE_S", 2.0)
    journal_of(site)
    started_s = time.monotonic()
    slow = [site.slow() for _ in range(AT_ONCE)]
    assert site.server is not None
    while site.server.is_hearing_others:
        assert time.monotonic() - started_s < 1.8
        time.sleep(0.01)

    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        site.ask("/live")
    for client in slow:
        for _ in range(4):
            # One byte after the other keeps no socket's own time-out from beginning anew.
            try:
                client.sendall(b"y")
            except OSError:
                break
            time.sleep(0.02)
        assert client.recv(100) == b""
        client.close()

    assert time.monotonic() - started_s < 6.0
    assert site.ask("/live")[0] == 200


def test_a_node_that_starts_anew_gets_its_port_at_once(site: Site) -> None:
    journal_of(site)
    port = site.port
    with socket.create_connection(("127.0.0.1", port), timeout=5.0) as client:
        client.sendall(b"GET /live HTTP/1.0\r\n\r\n")
        # Whoever hangs up first, here the server, keeps the connection for a minute (RFC 9293 3.6.1).
        while client.recv(4096):
            pass
    assert site.server is not None
    site.server.shutdown()
    site.server.server_close()

    MetricsServer("127.0.0.1", port, {}, site.log).server_close()
