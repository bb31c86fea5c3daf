"""The node's three pages: /metrics, /live and /ready."""

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orthanc_plugin.node.logs import Logger
from orthanc_plugin.node.metrics import NodeView, page
from orthanc_plugin.node.metrics_server import METRICS_TYPE, MetricsServer, Pages, Told
from orthanc_plugin.node.readings import Readings, read
from orthanc_plugin.node.settings import Settings

STUCK_AFTER_S = 300.0
"""Without any sign of life: the loop that gives one may wait minutes for an Orthanc that does not answer."""
LISTEN_AGAIN_S = 5.0
"""The port may still belong to the node before this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePages:
    """What is told of one node; every question opens the journal anew."""

    in_force: Callable[[], Settings]
    loops: Sequence[threading.Thread]
    started_at: float
    images_folder: Path | None = None
    clock: Callable[[], float] = time.time

    def table(self) -> Pages:
        """By path."""
        return {"/metrics": self.metrics, "/live": self.live, "/ready": self.ready}

    def metrics(self) -> Told:
        """For Prometheus."""
        readings = self._readings()
        if readings is None:
            return _unavailable("journal-not-readable")
        view = NodeView(
            readings=readings,
            settings=self.in_force(),
            started_at=self.started_at,
            images_folder=self.images_folder,
        )
        return Told(status=200, body=page(view), content_type=METRICS_TYPE)

    def live(self) -> Told:
        """Whether the loops run; a node that is not is to be started anew."""
        readings = self._readings()
        if not all(loop.is_alive() for loop in self.loops):
            return _unavailable("loop-ended")
        # After a start, the last sign may be of the node before.
        up_s = self.clock() - self.started_at
        if readings is not None and min(readings.silent_s, up_s) > STUCK_AFTER_S:
            return _unavailable("loop-stuck")
        return Told(status=200, body=b"live\n")

    def ready(self) -> Told:
        """Whether a study that came now would be analysed; the same rule as Orthanc's /habitus/health/ready."""
        readings = self._readings()
        if readings is None:
            return _unavailable("journal-not-readable")
        if readings.fault is not None:
            return _unavailable(readings.fault.code)
        return Told(status=200, body=b"ready\n")

    def _readings(self) -> Readings | None:
        try:
            return read(self.in_force().journal_path, self.clock())
        except sqlite3.Error:
            return None


def serve(pages: NodePages, log: Logger) -> None:
    """For ever; a port that is taken is asked for again, since metrics must not end a node."""
    metrics = pages.in_force().metrics
    was_taken = False
    while True:
        try:
            server = MetricsServer(metrics.address, metrics.port, pages.table(), log)
        except OSError as error:
            if not was_taken:
                log.warning("metrics-not-served", error_type=type(error).__name__)
            was_taken = True
            time.sleep(LISTEN_AGAIN_S)
        else:
            log.info("metrics-served")
            server.serve_forever(poll_interval=60.0)


def _unavailable(code: str) -> Told:
    return Told(status=503, body=f"{code}\n".encode())
