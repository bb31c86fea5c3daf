"""A host of its own for containers: bridges, published ports and mounts in namespaces that end with it."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from tests.containers.engine import ROOT, Engine

HOLD = "mount -t tmpfs none /run && ip link set lo up && echo ready && exec sleep infinity"
"""Names and addresses of containers lie under /run: of an earlier run that was killed they would be found again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateHost:
    """Runs programs in the namespaces of a process that holds them."""

    engine: Engine
    holder: int

    def run(
        self,
        *command: str,
        may_fail: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """With the engine's environment; raises InferenceFailed."""
        engine = Engine(environment={**self.engine.environment, **(environment or {})})
        return engine.run(*self.entered(*command), may_fail=may_fail)

    def entered(self, *command: str) -> list[str]:
        """The command that runs a command there."""
        return [
            "nsenter",
            "--target",
            str(self.holder),
            "--net",
            "--mount",
            "--pid",
            f"--wd={ROOT}",
            "--",
            *command,
        ]


@contextmanager
def private_host(engine: Engine) -> Iterator[PrivateHost]:
    """Ended with everything that still runs in it."""
    holder = subprocess.Popen(
        [
            "unshare",
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
            "sh",
            "-c",
            HOLD,
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    child = None
    try:
        assert holder.stdout.readline() == "ready\n", "no network namespace allowed"
        child = _child_of(holder.pid)
        yield PrivateHost(engine=engine, holder=child)
    finally:
        # The first process of a namespace heeds no other signal, and all others end with it.
        os.kill(child or holder.pid, signal.SIGKILL)
        holder.wait(20)
        holder.stdout.close()


def _child_of(pid: int) -> int:
    """unshare waits outside the namespaces for its child."""
    while True:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:  # noqa: PTH123 # not a stored file
            if found := children.read().split():
                os.kill(int(found[0]), 0)
                return int(found[0])
        time.sleep(0.01)
