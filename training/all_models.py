"""Pools and all networks within one time box: the pool grows while the networks already train on it."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from inference.domain.errors import InferenceFailed
from training.origins import PAINTED
from training.samples import SliceSample, TorsoSample, sample_files
from training.specification import CHECKPOINT_NAME

MODELS = {
    "organs": "organs.toml",
    "l3-level": "l3_level.toml",
    "l3-spine": "l3_spine.toml",
    "l3-tissue": "l3_tissue.toml",
}
POLL_S = 0.5
PAINTED_SHARE = 0.6
LATENESS_S = 20.0
"""A child that overruns its own time by more is ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    """One call of `python -m training all`."""

    out: Path
    seconds: float
    pool_seconds: float
    """How long the pool is filled before training starts; it goes on growing beside it."""
    workers: int
    seed: int
    planned_seconds: float | None
    resume: bool
    code_revision: str
    configs: Path
    most_anatomies: int
    """Ends the growth: about 20 MB each on disk."""
    templates: tuple[Path, ...] = ()
    """Anatomies to paint from, beside the procedural torso."""
    relatives: int = 0
    """Made of each template before the pool is filled: the same anatomy, other organs and vessels."""


def train_everything(order: Everything) -> dict[str, Path]:
    """Run it; the checkpoint of each model. Raises InferenceFailed when a part has failed."""
    started = time.monotonic()
    pool = order.out / "pool"
    filling = _fill_pool(order, pool)
    try:
        _wait(filling, started + order.pool_seconds)
        trainings = _start_trainings(order, pool, started)
        _end_in_time(trainings, started + order.seconds + LATENESS_S)
    finally:
        for process in filling:
            process.terminate()
            process.wait()
    failed = {name: process.returncode for name, process in trainings.items() if process.returncode}
    if failed:
        raise InferenceFailed(
            found=f"trainings that ended with {failed}",
            wanted="a checkpoint of each network",
            advice="Their messages stand above; --resume goes on from the last checkpoints.",
        )
    return {name: order.out / name / CHECKPOINT_NAME for name in trainings}


def _fill_pool(order: Everything, pool: Path) -> list[subprocess.Popen[bytes]]:
    """One pool process per kind; torsos feed two networks and cost more, so they get two thirds of the workers.

    Painted patients feed all three: with templates they get most of the workers.
    """
    if order.workers < 1:
        return []
    templates = (*order.templates, *relatives_of(order))
    crews: dict[str, int] = {}
    if templates:
        crews["templates"] = max(1, round(order.workers * PAINTED_SHARE))
    others = order.workers - sum(crews.values())
    if others > 0 or not crews:
        torso_workers = max(1, round(others * 2 / 3))
        crews |= {"torso": torso_workers, "slices": max(1, others - torso_workers)}
    arguments = ["--out", str(pool), "--seed", str(order.seed), "--seconds", str(order.seconds)]
    for template in templates:
        arguments += ["--template", str(template)]
    processes = []
    for kind, workers in crews.items():
        missing = order.most_anatomies - _made(pool, kind)
        if missing > 0:
            size = ["--count", str(missing), "--workers", str(workers)]
            processes.append(_python("pool", "--kind", kind, *size, *arguments))
    return processes


def relatives_of(order: Everything) -> tuple[Path, ...]:
    """Of all templates, one process each; those that are there stay. Raises InferenceFailed."""
    if order.relatives == 0 or not order.templates:
        return ()
    folder = order.out / "relatives"
    options = ["--out", str(folder), "--count", str(order.relatives), "--seed", str(order.seed)]
    command = [sys.executable, "-m", "training.templates", "relatives"]
    makers = [
        subprocess.Popen(
            [*command, f"--template={template}", *options],
        )
        for template in order.templates
    ]
    statuses = [maker.wait() for maker in makers]
    if any(statuses):
        raise InferenceFailed(
            found="a template without relatives",
            wanted="a file of python -m training.templates build",
            advice="The message stands above; --relatives 0 does without.",
        )
    return tuple(sorted(folder.glob("*.npz")))


def _made(pool: Path, kind: str) -> int:
    """Files of a kind."""
    files = sample_files(pool, SliceSample if kind == "slices" else TorsoSample)
    return sum((PAINTED in path.stem) is (kind == "templates") for path in files)


def _start_trainings(
    order: Everything, pool: Path, started: float
) -> dict[str, subprocess.Popen[bytes]]:
    remaining_s = order.seconds - (time.monotonic() - started)
    options = ["--pool", str(pool), "--seconds", f"{remaining_s:.1f}"]
    options += ["--revision", order.code_revision]
    if order.planned_seconds is not None:
        options += ["--planned-seconds", str(order.planned_seconds)]
    if order.resume:
        options.append("--resume")
    return {
        name: _python(
            "train", str(order.configs / config), "--out", str(order.out / name), *options
        )
        for name, config in MODELS.items()
    }


def _python(*arguments: str) -> subprocess.Popen[bytes]:
    threads = str(max(1, (os.cpu_count() or 1) // 8))
    return subprocess.Popen(
        [sys.executable, "-m", "training", *arguments],
        env=os.environ | {"OMP_NUM_THREADS": threads},
    )


def _wait(processes: list[subprocess.Popen[bytes]], until: float) -> None:
    """Until the time, or until all have ended by themselves."""
    while time.monotonic() < until and any(p.poll() is None for p in processes):
        time.sleep(POLL_S)


def _end_in_time(processes: dict[str, subprocess.Popen[bytes]], until: float) -> None:
    _wait(list(processes.values()), until)
    for process in processes.values():
        if process.poll() is None:
            process.terminate()
            process.wait()
