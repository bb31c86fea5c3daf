"""The supervisor: starts the node's process, keeps it alive with back-off, and ends it with Orthanc."""

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from orthanc_plugin.inside.configuration import PluginConfiguration

# -I keeps PYTHONPATH and the user's site folder out; the tree itself is then named explicitly.
_LAUNCH = (
    "import sys, runpy; sys.path.insert(0, sys.argv.pop(1)); "
    "runpy.run_module('orthanc_plugin.node', run_name='__main__', alter_sys=True)"
)
_NOT_INHERITED = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP")
FIRST_PAUSE_S = 0.5
ASK_ORTHANC_S = 0.2
LONGEST_PAUSE_S = 30.0
HEALTHY_AFTER_S = 60.0
"""A node that lived so long starts again without a long pause."""
STOP_GRACE_S = 5.0
NEWS_PAUSE_S = 1.0
SILENCE_S = 0.15
"""Nothing new for so long: what was coming may have come to its end, and the quiet time begins with the node's look."""
"""Between two lines to the node: it reads all that came since, and each look costs Orthanc a little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCondition:
    """What the status page says of the node's process."""

    pid: int | None
    starts: int
    last_exit_code: int | None
    is_supervised: bool = True
    """False: the node is a unit of its own, and its process is not ours to know."""


def node_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Orthanc's environment without what steers a Python interpreter."""
    return {name: value for name, value in environment.items() if name not in _NOT_INHERITED}


class Supervisor:
    """One long-lived thread: PDEATHSIG of the child is bound to the thread that spawned it."""

    def __init__(
        self,
        configuration: PluginConfiguration,
        token: str,
        log: Callable[[str], None],
    ) -> None:
        self._configuration = configuration
        self._token = token
        self._log = log
        self._stop = threading.Event()
        self._news = threading.Event()
        self._newest_s = 0.0
        self._ended = threading.Event()
        """The process that is watched, or all of this."""
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self._last_exit_code: int | None = None
        self._thread = threading.Thread(target=self._run, name="habitus-supervisor", daemon=True)

    def start(self) -> None:
        """Start the node, now and whenever it ends."""
        self._thread.start()

    def stop(self) -> None:
        """End the node politely, then firmly; returns when it is gone."""
        self._stop.set()
        self._ended.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(2 * STOP_GRACE_S)

    def wake(self) -> None:
        """Tell the node that something arrived; many calls become one line."""
        self._newest_s = time.monotonic()
        self._news.set()

    def condition(self) -> NodeCondition:
        """How the node's process is."""
        process = self._process
        is_alive = process is not None and process.poll() is None
        return NodeCondition(
            pid=process.pid if process is not None and is_alive else None,
            starts=self._starts,
            last_exit_code=self._last_exit_code,
        )

    def _run(self) -> None:
        self._await_orthanc()
        pause_s = FIRST_PAUSE_S
        while not self._stop.is_set():
            started = time.monotonic()
            process = self._spawn()
            self._watch(process)
            if self._stop.is_set():
                break
            self._last_exit_code = process.returncode
            self._close_pipe(process)
            self._log(f"habitus: the node ended with status {process.returncode}")
            lived_s = time.monotonic() - started
            pause_s = FIRST_PAUSE_S if lived_s >= HEALTHY_AFTER_S else pause_s
            self._stop.wait(pause_s)
            pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)
        self._end()

    def _await_orthanc(self) -> None:
        """Until the REST API of the Orthanc that we are in can be reached."""
        place = urlsplit(self._configuration.orthanc_url)
        while not self._stop.is_set():
            try:
                socket.create_connection((place.hostname, place.port), ASK_ORTHANC_S).close()
            except OSError:
                self._stop.wait(ASK_ORTHANC_S)
            else:
                return

    def _spawn(self) -> subprocess.Popen[bytes]:
        # Never multiprocessing or fork: sys.executable is Orthanc, and this is a threaded C++ process.
        arguments = [
            str(self._configuration.node_python),
            "-I",
            "-c",
            _LAUNCH,
            str(self._configuration.repository_root),
            "--settings",
            str(self._configuration.settings_path),
            "--parent",
            str(os.getpid()),
        ]
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            env=node_environment(os.environ),
            start_new_session=True,
            close_fds=True,
        )
        assert process.stdin is not None
        # A node that does not read must never stop a thread of Orthanc.
        os.set_blocking(process.stdin.fileno(), False)
        self._process = process
        self._starts += 1
        self._write(
            {
                "url": self._configuration.orthanc_url,
                "token": self._token,
                "certificate": self._configuration.certificate_sha256,
                "images_folder": str(self._configuration.storage_folder),
            }
        )
        return process

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Until the node or Orthanc ends; passes news on, the first at once and then with pauses.

        Sleeps as long as nothing happens: a wait with a limit looks 20 times a second, in Orthanc's own process.
        """
        self._ended = ended = threading.Event()

        def await_end() -> None:
            process.wait()
            ended.set()
            self._news.set()

        threading.Thread(target=await_end, name="habitus-node-end", daemon=True).start()
        is_short = False
        while not self._stop.is_set():
            self._news.wait()
            self._news.clear()
            if self._stop.is_set() or ended.is_set():
                return
            self._write({"command": "wake"})
            # Slices with gaps between them would else end every pause.
            is_short = self._pause(ended, may_be_short=not is_short)

    def _pause(self, ended: threading.Event, *, may_be_short: bool) -> bool:
        """Let news gather; whether it was cut short because no more was coming."""
        until_s = time.monotonic() + NEWS_PAUSE_S
        while (left_s := until_s - time.monotonic()) > 0:
            if ended.wait(min(left_s, SILENCE_S) if may_be_short else left_s):
                return False
            is_silent = time.monotonic() - self._newest_s >= SILENCE_S
            if may_be_short and is_silent and self._news.is_set():
                return True
        return False

    def _end(self) -> None:
        process = self._process
        if process is None:
            return
        self._close_pipe(process)
        try:
            process.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _write(self, message: dict[str, Any]) -> bool:
        line = json.dumps(message).encode() + b"\n"
        with self._lock:
            process = self._process
            if process is None or process.stdin is None or process.stdin.closed:
                return False
            try:
                # Short lines (below PIPE_BUF) are written whole or not at all.
                os.write(process.stdin.fileno(), line)
            except (BrokenPipeError, BlockingIOError):
                return False
            return True

    def _close_pipe(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            if process.stdin is not None and not process.stdin.closed:
                process.stdin.close()


class StandaloneNode:
    """Stands in for the supervisor where the node is a unit of its own: it polls."""

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        """Nothing to stop."""

    def wake(self) -> None:
        """It polls."""

    def condition(self) -> NodeCondition:
        """Unknown from here."""
        return NodeCondition(pid=None, starts=0, last_exit_code=None, is_supervised=False)
