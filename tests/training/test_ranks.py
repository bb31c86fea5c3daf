"""Several processes train one network: what two of them learn is what one learns from both batches."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (make test-training)")

import torch

from tests.training.conftest import ANATOMIES, CONFIGS
from training.checkpoint import load_checkpoint, read_tensors
from training.config import load_config
from training.loop import Run, train
from training.source import Source
from training.specification import CHECKPOINT_NAME, RESUME_NAME

pytestmark = pytest.mark.torch
ROOT = Path(__file__).parents[2]
EPOCH_STEPS = ANATOMIES - 1
"""Of the anatomies that are not kept back, one at a time."""
SMALL = {
    "input_shape": "[32, 32, 32]",
    "network": "{ widths = [4, 8, 8, 8] }",
    "batch_size": "1",
    "validation_share": "0.2",
    "repainted_share": "0.0",
}


def small_config(folder: Path) -> Path:
    lines = (CONFIGS / "organs.toml").read_text(encoding="utf-8").splitlines()
    changed = [
        f"{key} = {SMALL[key]}" if (key := line.partition(" ")[0]) in SMALL else line
        for line in lines
    ]
    path = folder / "small.toml"
    path.write_text("\n".join(changed), encoding="utf-8")
    return path


def test_a_run_killed_in_mid_epoch_ends_with_the_scores_of_one_that_was_not(
    box_pool: Path, tmp_path: Path
) -> None:
    path = small_config(tmp_path)
    text = path.read_text(encoding="utf-8").replace("checkpoint_every_s = ", "# ")
    path.write_text(f"epochs = 15\ncheckpoint_every_s = 0.0\n{text}", encoding="utf-8")
    command = [sys.executable, "-m", "training", "train", str(path), "--pool", str(box_pool)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def call(out: Path, *more: str) -> subprocess.Popen[str]:
        arguments = [*command, "--out", str(out), *more]
        return subprocess.Popen(arguments, cwd=ROOT, env=environment, text=True)

    killed, whole = tmp_path / "killed", tmp_path / "whole"
    with call(killed) as process:
        wait_until(lambda: (killed / RESUME_NAME).is_file() and saved_step(killed) >= EPOCH_STEPS)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    left = saved_step(killed)
    assert EPOCH_STEPS <= left < 15 * EPOCH_STEPS
    for out, more in ((whole, ()), (killed, ("--resume",))):
        with call(out, *more) as process:
            pass
        assert process.returncode == 0

    one, other = (load_checkpoint(out / CHECKPOINT_NAME).history for out in (whole, killed))
    assert one.step == other.step == 15 * EPOCH_STEPS
    scores = [name for name in one.metrics if name != "loss"]
    assert [other.metrics[name] for name in scores] == pytest.approx(
        [one.metrics[name] for name in scores]
    )
    weights = [read_tensors(out / CHECKPOINT_NAME)[0] for out in (whole, killed)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def saved_step(out: Path) -> int:
    _, metadata = read_tensors(out / RESUME_NAME)
    return int(json.loads(metadata["progress"])["step"])


def wait_until(holds: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_two_processes_learn_what_one_learns_from_both_batches(
    box_pool: Path, tmp_path: Path
) -> None:
    path = small_config(tmp_path)
    both = tmp_path / "both"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "training", "train", str(path), "--pool", str(box_pool), "--out", str(both)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    done = subprocess.run(
        [*command, "--max-steps", "3"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr

    config = replace(load_config(path), accumulate=2)
    train(config, Run(source=Source(folder=box_pool), out=tmp_path / "one", max_steps=3))

    assert "in 2 processes" in done.stderr
    assert done.stdout.count("step 3") == 1
    together, _ = read_tensors(both / CHECKPOINT_NAME)
    alone, _ = read_tensors(tmp_path / "one" / CHECKPOINT_NAME)
    # The sum of two gradients in another order; a batch less would differ by a hundred times as much.
    for name, tensor in alone.items():
        torch.testing.assert_close(together[name], tensor, rtol=2e-2, atol=2e-4)
