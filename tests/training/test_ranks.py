"""Several processes train one network: what two of them learn is what one learns from both batches."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (make test-training)")

import torch

from tests.training.conftest import CONFIGS
from training.checkpoint import read_tensors
from training.config import load_config
from training.loop import Run, train
from training.source import Source
from training.specification import CHECKPOINT_NAME

pytestmark = pytest.mark.torch
ROOT = Path(__file__).parents[2]
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
