"""A small run of make bench with wide margins: what was won over nnunetv2's predictor stays won."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST_OF_THEIRS, MOST_REST_OF_THEIRS = 0.5, 0.3
"""CPU time, and without the network; a quiet machine sees a fifth of both limits on the whole scan."""


def test_the_node_stays_ahead_of_nnunetv2_with_the_same_labels(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.benchmarks.nnunet_speed", "--models", "trained"]
    command += ["--slices", "80", "--pixels", "224", "--repeats", "1", "--work", str(tmp_path)]
    command += ["--contenders", "nnunetv2,ours-ort,ours-fast", "--out", str(tmp_path / "page.md")]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    # 1 where a label differs from nnunetv2's beyond the gate.
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    theirs, ours, fast = (
        json.loads((tmp_path / "trained" / f"{name}-0.json").read_text())
        for name in ("nnunetv2", "ours-ort", "ours-fast")
    )
    assert ours["cpu_s"] <= MOST_OF_THEIRS * theirs["cpu_s"]
    rest, their_rest = (run["cpu_s"] - run["stages_cpu_s"]["network"] for run in (ours, theirs))
    assert rest <= MOST_REST_OF_THEIRS * their_rest
    assert fast["plan"]
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "| ours-ort |" in page
    assert "agreement" in page
    assert (tmp_path / "page.svg").stat().st_size > 1000
