"""The two lives of a node, for one contract: started by the plugin, or a unit of its own that its manager starts again."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.orthanc_process import (
    OrthancProcess,
    child_pids,
    orthanc,
    standalone_node,
    wait_for,
)

EMBEDDED, STANDALONE = "embedded", "standalone"
LIVES = (EMBEDDED, STANDALONE)


@dataclass(slots=True)
class Life:
    """A node beside its Orthanc."""

    kind: str
    orthanc: OrthancProcess
    _unit: ExitStack = field(default_factory=ExitStack)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def is_embedded(self) -> bool:
        """Whether it lives and dies with Orthanc."""
        return self.kind == EMBEDDED

    def start_node(self) -> None:
        """What the service manager does; Orthanc's plugin does it by itself."""
        if not self.is_embedded:
            self._process = self._unit.enter_context(standalone_node(self.orthanc))

    def node_pid(self) -> int | None:
        """Of the node's process, while it lives."""
        if self.is_embedded:
            return self.orthanc.node_pid()
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def engine_pid(self) -> int | None:
        """Of the engine child."""
        node = self.node_pid()
        children = child_pids(node) if node is not None else []
        return children[0] if children else None

    def stop_node(self) -> int:
        """Politely, as whoever started it would; the exit status."""
        if self.is_embedded:
            self.orthanc.stop()
            assert self.orthanc.process is not None
            return int(self.orthanc.process.returncode)
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(15.0)

    def wait_until_ready(self) -> None:
        """Until a study that came now would be analysed."""
        wait_for(
            lambda: (
                self.orthanc.session.get(f"{self.orthanc.url}/habitus/health/ready", timeout=5).ok
            ),
            150.0,
            "a node that is ready",
        )

    def wait_for_stage(self, stage: str = "fake stage") -> None:
        """Until a job runs in that stage."""
        wait_for(
            lambda: any(
                job["state"] == "running" and job["stage"] == stage for job in self.orthanc.jobs()
            ),
            30.0,
            f"a job in stage {stage}",
        )

    def end(self) -> None:
        """Whatever was started."""
        self._unit.close()


@contextmanager
def life(kind: str, folder: Path) -> Iterator[Life]:
    """At work."""
    with orthanc(folder, node=kind) as running:
        one = Life(kind=kind, orthanc=running)
        try:
            one.start_node()
            one.wait_until_ready()
            yield one
        finally:
            one.end()


def is_gone(*pids: int | None) -> bool:
    """None of these processes is left."""
    return not any(Path(f"/proc/{pid}").exists() for pid in pids if pid is not None)
