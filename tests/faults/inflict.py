"""How each fault is brought about, and the site brought up again behind it."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.plan import Fault, FaultKind
from tests.faults.scene import Scene, kill
from tests.faults.wal import cut, flip
from tests.orthanc_process import wait_for

CHILD_KILLS_PER_JOB = 2
"""The third attempt would be the last."""
INTERRUPTIONS_PER_JOB = 6
"""The node gives a job up after ten."""
DISK_FULL_S = 2.5
PATIENCE_S = 4.0
"""For a job to kill the engine child in; then it is killed while it is idle."""
SLACK_BYTES = 8192
"""What is left on the full disk: SQLite may begin to write, and cannot end."""


@dataclass(slots=True)
class Inflictor:
    """Brings faults about, and counts them."""

    site: Scene
    inflicted: Counter[FaultKind] = field(default_factory=Counter)
    left_out: Counter[FaultKind] = field(default_factory=Counter)
    child_kills: Counter[str] = field(default_factory=Counter)
    interruptions: Counter[str] = field(default_factory=Counter)

    def inflict(self, fault: Fault) -> None:
        """One fault; one that finds nothing to hit is counted as left out."""
        has_hit = self._table[fault.kind](fault)
        (self.inflicted if has_hit else self.left_out)[fault.kind] += 1

    def calm(self) -> None:
        """No fault lasts on."""
        for receiver in self.site.receivers:
            receiver.forgive()
        self.site.set_clock(0)

    @property
    def _table(self) -> dict[FaultKind, Callable[[Fault], bool]]:
        return {
            FaultKind.KILL_ORTHANC: self._kill_orthanc,
            FaultKind.KILL_NODE: lambda _: self._kill_node(signal.SIGKILL),
            FaultKind.KILL_ENGINE: self._kill_engine,
            FaultKind.KILL_RECEIVER: self._kill_receiver,
            FaultKind.KILL_ALL: self._kill_all,
            FaultKind.RESTART_ORTHANC: self._restart_orthanc,
            FaultKind.RESTART_NODE: lambda _: self._kill_node(signal.SIGTERM),
            FaultKind.REFUSE: lambda fault: self._wish(fault, "refuse"),
            FaultKind.SLOW: lambda fault: self._wish(fault, "slow"),
            FaultKind.HALF_STORE: lambda fault: self._wish(fault, "half"),
            FaultKind.ABORT: lambda fault: self._wish(fault, "abort"),
            FaultKind.DISK_FULL: self._fill_disk,
            FaultKind.CLOCK_JUMP: self._set_clock,
            FaultKind.CUT_WAL: lambda fault: self._damage_wal(fault, cut),
            FaultKind.FLIP_WAL: lambda fault: self._damage_wal(fault, flip),
        }

    def _running_job(self) -> str | None:
        rows = self.site.rows("SELECT key FROM jobs WHERE state = 'running'")
        return str(rows[0][0]) if rows else None

    def _may_interrupt(self) -> bool:
        """Never the tenth time in one job: the node would, rightly, suspect it."""
        job = self._running_job()
        if job is None:
            return True
        self.interruptions[job] += 1
        return self.interruptions[job] <= INTERRUPTIONS_PER_JOB

    def _kill_orthanc(self, _: Fault) -> bool:
        if not self._may_interrupt():
            return False
        self.site.kill_orthanc()
        self.site.orthanc.start()
        return True

    def _restart_orthanc(self, _: Fault) -> bool:
        if not self._may_interrupt():
            return False
        self.site.orthanc.stop()
        self.site.orthanc.start()
        return True

    def _kill_node(self, number: signal.Signals) -> bool:
        wait_for(lambda: self.site.node_pid() is not None, 60.0, "a node to kill")
        return self._may_interrupt() and kill(self.site.node_pid(), number)

    def _kill_engine(self, _: Fault) -> bool:
        """While stopped the child cannot end its job, so that the kill is charged to the job that is counted."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            is_late = time.monotonic() > deadline
            job, pid = self._running_job(), self.site.engine_pid()
            may_hit = is_late if job is None else self.child_kills[job] < CHILD_KILLS_PER_JOB
            if may_hit and kill(pid, signal.SIGSTOP):
                time.sleep(0.05)
                if self._running_job() == job and kill(pid):
                    self.child_kills[job or ""] += 1
                    return True
                kill(pid, signal.SIGCONT)
            if is_late and time.monotonic() > deadline + 10 * PATIENCE_S:
                return False
            time.sleep(0.05)

    def _kill_receiver(self, fault: Fault) -> bool:
        receiver = self.site.receivers[fault.destination]
        receiver.kill()
        receiver.start()
        return True

    def _kill_all(self, _: Fault) -> bool:
        if not self._may_interrupt():
            return False
        site = self.site
        assert site.orthanc.process is not None
        for pid in (site.orthanc.process.pid, site.node_pid(), site.engine_pid()):
            kill(pid)
        for receiver in site.receivers:
            receiver.kill()
        site.kill_orthanc()
        for receiver in site.receivers:
            receiver.start()
        site.orthanc.start()
        return True

    def _wish(self, fault: Fault, behaviour: str) -> bool:
        self.site.receivers[fault.destination].wish(behaviour, fault.times)
        return True

    def _fill_disk(self, _: Fault) -> bool:
        if not self._may_interrupt():
            return False
        ballast = self.site.data_folder / "ballast"
        free = os.statvfs(self.site.data_folder)
        size = free.f_bavail * free.f_frsize - SLACK_BYTES
        try:
            with ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, max(1, size))
            time.sleep(DISK_FULL_S)
        except OSError:
            # The node wrote meanwhile: the disk is full all the same.
            time.sleep(DISK_FULL_S)
        ballast.unlink()
        return True

    def _set_clock(self, fault: Fault) -> bool:
        self.site.set_clock(fault.offset_s)
        return True

    def _damage_wal(self, fault: Fault, damage: Callable[[Path, float], bool]) -> bool:
        if not self._may_interrupt():
            return False
        self.site.kill_orthanc()
        has_hit = damage(self.site.journal.with_name("journal.db-wal"), fault.share)
        # An index of the WAL as it was would hide the damage; a power cut leaves none.
        self.site.journal.with_name("journal.db-shm").unlink(missing_ok=True)
        self.site.orthanc.start()
        return has_hit
