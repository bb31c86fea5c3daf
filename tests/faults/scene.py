"""The site that is disturbed: a real Orthanc with the plugin and the shipped networks, two receivers, a small disk."""

import ctypes
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from orthanc_plugin.node.journal_schema import MIGRATIONS
from orthanc_plugin.node.orthanc_config import (
    OrthancFiles,
    OrthancOptions,
    Peer,
    write_configuration,
)
from tests.faults.analyses import Analysis
from tests.faults.receiver import LOG, WISH
from tests.orthanc_process import (
    DICOM_PORT,
    HTTP_PORT,
    MORTAL,
    REPOSITORY_ROOT,
    SENDER,
    OrthancProcess,
    child_pids,
    wait_for,
)

RECEIVERS = (
    Peer(name="pacs", ae_title="PACS", host="127.0.0.1", port=11112),
    Peer(name="archive", ae_title="ARCHIVE", host="127.0.0.1", port=11113),
)
CLOCK_LIBRARY = next(
    iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), Path("libfaketimeMT.so.1")
)
QUIET_S = 2.0
DISK_MB = 64
DISK_MB_PER_STUDY = 8
_CLONE_NEWNS = 0x00020000

SETTINGS = f"""
data_folder = "node"
[orthanc]
url = "http://127.0.0.1:{HTTP_PORT}"
[intake]
quiet_s = {QUIET_S}
poll_s = 0.2
[engine]
{{analysis}}
job_wall_clock_s = 300
retry_backoff_s = 0.1
[outbox]
poll_s = 0.1
first_retry_s = 0.3
longest_retry_s = 3.0
[[destinations]]
modality = "pacs"
[[destinations]]
modality = "archive"
"""

# The node's interpreter under a clock that can be set; monotonic time, as on a real machine, does not jump.
WRAPPER = """#!/bin/sh
export LD_PRELOAD={library} FAKETIME_TIMESTAMP_FILE={clock} FAKETIME_CACHE_DURATION=1
export FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1
code="$(cat {preamble})
$3"
first=$1 second=$2
shift 3
exec {python} "$first" "$second" "$code" "$@"
"""

# libfaketime 0.9.10 answers clock_nanosleep, which is time.sleep, with EINVAL where monotonic time stays true. The
# engine child takes its times from the node and runs without it.
PREAMBLE = """import os, threading, time
os.environ.pop("LD_PRELOAD")
time.sleep = lambda seconds: threading.Event().wait(seconds)
"""


def enter_private_mounts() -> None:
    """What this process mounts from here on goes with it."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "no mount namespace")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


@dataclass(slots=True)
class ReceiverProcess:
    """One receiver and its folder."""

    peer: Peer
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it listens within a second or two."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder.parent / f"{self.peer.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(
                        *MORTAL,
                        sys.executable,
                        "-m",
                        "tests.faults.receiver",
                        "--folder",
                        str(self.folder),
                    ),
                    *("--ae-title", self.peer.ae_title, "--port", str(self.peer.port)),
                ],
                cwd=REPOSITORY_ROOT,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def wish(self, behaviour: str, times: int) -> None:
        """How the next C-STOREs are answered."""
        (self.folder / WISH).write_text(f"{behaviour} {times}")

    def forgive(self) -> None:
        """From now on it behaves."""
        (self.folder / WISH).unlink(missing_ok=True)

    def stores(self) -> int:
        """How many C-STOREs it has answered."""
        log = self.folder / LOG
        return log.read_bytes().count(b"\n") if log.is_file() else 0


@dataclass(slots=True)
class Scene:
    """Everything that can be killed."""

    orthanc: OrthancProcess
    receivers: tuple[ReceiverProcess, ...]
    clock: Path
    _audit_seen: int = field(default=0, init=False)
    _audit_events: int = field(default=0, init=False)

    @property
    def data_folder(self) -> Path:
        """Of the node, on the small disk."""
        return self.orthanc.folder / "node"

    @property
    def journal(self) -> Path:
        """The node's SQLite file."""
        return self.data_folder / "journal.db"

    def node_pid(self) -> int | None:
        """The child of Orthanc."""
        process = self.orthanc.process
        children = child_pids(process.pid) if process is not None else []
        return children[0] if children else None

    def engine_pid(self) -> int | None:
        """The child of the node."""
        node = self.node_pid()
        children = child_pids(node) if node is not None else []
        return children[0] if children else None

    def rows(self, select: str) -> list[tuple[object, ...]]:
        """Of the journal, read only; empty while it cannot be read."""
        with suppress(sqlite3.OperationalError, sqlite3.DatabaseError):
            uri = f"{self.journal.as_uri()}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True, timeout=2.0)) as journal:
                return journal.execute(select).fetchall()
        return []

    def events(self) -> int:
        """How much has happened: steps in the journal's audit and C-STOREs answered; never falls."""
        rows = self.rows("SELECT coalesce(max(id), 0) FROM audit")
        if rows:
            newest = int(str(rows[0][0]))
            # After a cut WAL the numbers begin lower again.
            self._audit_events += max(0, newest - self._audit_seen)
            self._audit_seen = newest
        return self._audit_events + sum(receiver.stores() for receiver in self.receivers)

    def set_clock(self, offset_s: int) -> None:
        """The node's wall clock, relative to the true one."""
        draft = self.clock.with_suffix(".draft")
        draft.write_text(f"{offset_s:+d}\n")
        draft.replace(self.clock)

    def kill_orthanc(self) -> None:
        """SIGKILL; the node follows by itself, and is waited for."""
        pids = [self.node_pid(), self.engine_pid()]
        self.orthanc.kill()
        wait_for(
            lambda: not any(pid and is_alive(pid) for pid in pids), 60.0, "node and engine to end"
        )


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill(pid: int | None, number: signal.Signals = signal.SIGKILL) -> bool:
    """Whether there was a process to signal."""
    if pid is None:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def scene(folder: Path, analysis: Analysis, *, studies: int) -> Iterator[Scene]:
    """A running site; call enter_private_network and enter_private_mounts first."""
    (folder / "node").mkdir(parents=True)
    size_mb = DISK_MB + DISK_MB_PER_STUDY * studies
    _mount_disk(folder / "node", size_mb)
    # Job keys depend on it, and those of two runs shall be the same.
    (folder / "node" / "site.secret").write_bytes(b"faults" * 6)
    clock = folder / "clock"
    orthanc = OrthancProcess(folder=folder, files=_configured(folder, clock, analysis))
    receivers = tuple(ReceiverProcess(peer, folder / peer.name) for peer in RECEIVERS)
    site = Scene(orthanc=orthanc, receivers=receivers, clock=clock)
    site.set_clock(0)
    try:
        for receiver in receivers:
            receiver.start()
        orthanc.start()
        yield site
    finally:
        for receiver in receivers:
            receiver.kill()
        site.kill_orthanc()
        orthanc.session.close()
        subprocess.run(["umount", "-l", str(folder / "node")], check=False)


def wait_for_engine(site: Scene) -> None:
    """Until the networks are loaded and the journal has its tables: another child of the node may come before either."""
    wait_for(lambda: site.engine_pid() is not None, 60.0, "the engine child")
    wait_for(
        lambda: site.rows("PRAGMA user_version") == [(len(MIGRATIONS),)], 60.0, "the node's journal"
    )


def _mount_disk(folder: Path, size_mb: int) -> None:
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=0700", "tmpfs", str(folder)],
        check=True,
    )


def _configured(folder: Path, clock: Path, analysis: Analysis) -> OrthancFiles:
    python = folder / "python"
    preamble = folder / "preamble"
    preamble.write_text(PREAMBLE)
    python.write_text(
        WRAPPER.format(library=CLOCK_LIBRARY, clock=clock, preamble=preamble, python=sys.executable)
    )
    python.chmod(0o755)
    (folder / "habitus.toml").write_text(SETTINGS.format(analysis=analysis.engine_settings))
    (folder / "models").mkdir()
    return write_configuration(
        OrthancOptions(
            storage_folder=folder / "storage",
            settings_path=folder / "habitus.toml",
            node_python=python,
            peers=(SENDER, *RECEIVERS),
            dicom_port=DICOM_PORT,
            http_port=HTTP_PORT,
        ),
        folder / "etc",
    )


def settled(site: Scene, studies: Sequence[str]) -> str:
    """Empty where every accepted study has come to its end; else what is still under way."""
    open_jobs = site.rows(
        "SELECT state, reason FROM jobs WHERE state IN ('queued', 'running', 'computed')"
    )
    if open_jobs:
        return f"{len(open_jobs)} jobs under way: {sorted(set(open_jobs))!r:.300}"
    rows = site.rows(
        "SELECT count(DISTINCT study_orthanc_id) FROM jobs WHERE state NOT IN ('superseded')"
    )
    known = int(str(rows[0][0])) if rows else 0
    return "" if known >= len(set(studies)) else f"{known} of {len(set(studies))} studies have jobs"


def wait_until_settled(site: Scene, studies: Sequence[str], limit_s: float) -> str:
    """Empty once settled; after the limit what is stuck."""
    deadline = time.monotonic() + limit_s
    while (left := settled(site, studies)) and time.monotonic() < deadline:
        time.sleep(0.3)
    return left
