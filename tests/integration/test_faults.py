"""A short run of `make faults` in a site of its own, and nodes with a fault on purpose, which it must find out about."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.__main__ import why_not_here
from tests.orthanc_process import REPOSITORY_ROOT, wait_for

pytestmark = [
    pytest.mark.orthanc,
    pytest.mark.skipif(bool(why_not_here()), reason=why_not_here()),
]

SITE_PROCESSES = 4
"""Two receivers, Orthanc and its node."""


def disturb(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The harness in a process of its own: it takes a mount namespace with it."""
    return subprocess.run(
        [sys.executable, "-m", "tests.faults", "--analysis", "fake", *arguments],
        cwd=REPOSITORY_ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_killed_at_any_moment_the_site_loses_nothing_and_delivers_nothing_twice(
    tmp_path: Path,
) -> None:
    run = disturb(tmp_path, "--studies", "8", "--kills", "16", "--seed", "3")

    sys.stdout.write(run.stdout)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "| studies accepted (every slice answered with success) | 8 |" in run.stdout
    assert "| kills | 16 |" in run.stdout


@pytest.mark.parametrize(
    ("fault", "kind"), [("skip-delivery", "missing at"), ("stuck-job", "stuck at node")]
)
def test_the_harness_finds_out_about_a_faulty_node(tmp_path: Path, fault: str, kind: str) -> None:
    run = disturb(
        tmp_path, "--studies", "3", "--kills", "0", "--sabotage", fault, "--settle-s", "12"
    )

    assert run.returncode == 1, run.stdout + run.stderr
    assert kind in run.stdout


def test_a_harness_that_is_killed_leaves_nothing_running(tmp_path: Path) -> None:
    harness = subprocess.Popen(
        [sys.executable, "-m", "tests.faults", "--analysis", "fake", "--studies", "50"],
        cwd=REPOSITORY_ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: len(commands_naming(tmp_path)) >= SITE_PROCESSES, 60.0, "a site")
    finally:
        harness.kill()
        harness.wait()

    left = commands_naming(tmp_path)
    try:
        wait_for(lambda: not commands_naming(tmp_path), 20.0, "everything to end")
    finally:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def commands_naming(folder: Path) -> list[int]:
    """Processes whose command line names something in the folder."""
    found = []
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if (
                process.name.isdigit()
                and str(folder).encode() in (process / "cmdline").read_bytes()
            ):
                found.append(int(process.name))
    return found
