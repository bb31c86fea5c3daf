"""A short run of `make faults` in a site of its own, and nodes with a fault on purpose, which it must find out about."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.__main__ import why_not_here
from tests.orthanc_process import REPOSITORY_ROOT

pytestmark = [
    pytest.mark.orthanc,
    pytest.mark.skipif(bool(why_not_here()), reason=why_not_here()),
]


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
