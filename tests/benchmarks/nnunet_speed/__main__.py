"""make bench: nnU-Net's predictor, MONAI's sliding window and the node on the same network and file; goes on where it was stopped."""

import argparse
import json
import os
import platform
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import nibabel
import numpy as np

from export_onnx.nnunet import main as import_nnunet
from tests.benchmarks.nnunet_speed.models import write_model
from training.nifti import read_nifti
from training.synthetic.case import explicit_field, make_case

ROOT = Path(__file__).parents[3]
NODE_PYTHON = ROOT / ".venv" / "bin" / "python"
REFERENCE = "nnunetv2"
OURS = ("ours-ort", "ours-openvino")
SEED = 1_900_021
SPACING_MM = (1.0, 0.75, 0.75)
Run = dict[str, Any]


def main() -> int:
    """Write the table; 1 where an answer is not that of nnunetv2."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="trained,1M", help="trained, 1M, 17M, with commas")
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--pixels", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--contenders", default=",".join((REFERENCE, "monai", *OURS)))
    parser.add_argument("--work", type=Path, required=True, help="keeps every run's figures")
    parser.add_argument("--out", type=Path, help="file for the table")
    options = parser.parse_args()
    work: Path = options.work
    work.mkdir(parents=True, exist_ok=True)
    scan = _scan(work, options.slices, options.pixels)
    text = [_heading(scan, options)]
    agrees = True
    for kind in options.models.split(","):
        trained, imported = _model(kind, work)
        names = options.contenders.split(",")
        for repeat in range(options.repeats):
            # Whoever goes first finds a cooler machine and a colder cache.
            for name in random.Random(repeat).sample(names, len(names)):
                _run(name, repeat, trained, imported, scan, work / kind)
        runs = {name: _runs(work / kind, name, options.repeats) for name in names}
        gates = {name: _gate(work / kind, name) for name in names}
        text.append(_table(kind, runs, gates))
        agrees &= all(gates[name][0] >= 0.9995 for name in names if name in OURS)
    page = "\n\n".join(text) + "\n"
    sys.stdout.write(page)
    if options.out:
        options.out.write_text(page, encoding="utf-8")
    return 0 if agrees else 1


def _scan(work: Path, slices: int, pixels: int) -> Path:
    path = work / f"scan-{slices}-{pixels}.nii"
    if not path.exists():
        half = slices * SPACING_MM[0] / 2
        # The body fills the same share of a smaller picture.
        in_plane = SPACING_MM[1] * 512 / pixels
        steps = (SPACING_MM[0], in_plane, in_plane)
        case = make_case(
            SEED, spacing_mm=steps, shape_rc=(pixels, pixels), field=explicit_field(-half, half)
        )
        hu = np.asarray(case.volume.hu, np.int16)
        affine = np.diag([-steps[2], -steps[1], steps[0], 1.0])
        nibabel.save(nibabel.Nifti1Image(hu.transpose(2, 1, 0), affine), path)
    return path


def _model(kind: str, work: Path) -> tuple[Path, Path]:
    folder, models = work / "trained" / kind, work / "models"
    if not folder.exists():
        write_model(kind, folder)
    (trained,) = folder.iterdir()
    imported = models / kind.lower()
    if not imported.exists():
        arguments = [str(trained), "--name", imported.name, "--models", str(models)]
        if import_nnunet([*arguments, *(() if kind == "trained" else ("--orientation", "LPS"))]):
            raise SystemExit(f"{kind} cannot be imported")
    return trained, imported


def _run(name: str, repeat: int, trained: Path, imported: Path, scan: Path, work: Path) -> None:
    kept = work / f"{name}-{repeat}.json"
    if kept.exists():
        return
    work.mkdir(exist_ok=True)
    ours = name in OURS
    command = [
        str(NODE_PYTHON) if ours else sys.executable,
        "-m",
        "tests.benchmarks.nnunet_speed.one_run",
    ]
    command += [name, "--model", str(imported if ours else trained), "--scan", str(scan)]
    command += ["--out", str(work / f"{name}.nii.gz")]
    theirs = {f"nnUNet_{part}": str(work) for part in ("raw", "preprocessed", "results")}
    sys.stderr.write(f"{work.name}: {name}, run {repeat + 1}\n")
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | theirs, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-2000:]}")
    kept.write_text(done.stdout.strip().splitlines()[-1], encoding="utf-8")


def _runs(work: Path, name: str, repeats: int) -> list[Run]:
    return [json.loads((work / f"{name}-{repeat}.json").read_text()) for repeat in range(repeats)]


def _gate(work: Path, name: str) -> tuple[float, float]:
    """Voxels labelled as nnunetv2 labels them, and the lowest Dice of any label."""
    one, other = (read_nifti(work / f"{n}.nii.gz").hu for n in (REFERENCE, name))
    dice = [_dice(one == label, other == label) for label in np.unique(one) if label]
    return float(np.mean(one == other)), min(dice, default=1.0)


def _dice(one: Any, other: Any) -> float:
    return 2 * float(np.sum(one & other)) / float(one.sum() + other.sum())


def _heading(scan: Path, options: argparse.Namespace) -> str:
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("nnunetv2", "monai", "torch", "onnxruntime", "numba")
    )
    return f"""`make bench`

A synthetic CT of {options.slices} slices of {options.pixels} × {options.pixels} ({scan.stat().st_size / 1e6:.0f} MB), from its file to a label map on disk. A fresh process for each run, order drawn
anew, medians of {options.repeats} runs on {len(os.sched_getaffinity(0))} cores; CPU seconds are those of all threads, after imports. No mirroring. {platform.machine()}, Python {platform.python_version()}, {versions}."""


def _table(
    kind: str, runs: Mapping[str, Sequence[Run]], gates: Mapping[str, tuple[float, float]]
) -> str:
    def cpu(run: Run) -> float:
        return float(run["cpu_s"])

    def rest(run: Run) -> float:
        return cpu(run) - float(run["stages_cpu_s"]["network"])

    def grown(run: Run) -> float:
        return max(1.0, float(run["peak_mb"]) - float(run["base_mb"]))

    lines = [
        f"## {kind}",
        "",
        "| | CPU s | wall s | of it the network, CPU s | all else, CPU s | memory grown, MB | CPU, of nnunetv2's | all else | memory | voxels as nnunetv2 | lowest Dice |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    base = runs[REFERENCE]
    for name, own in runs.items():
        share = [median(map(f, own)) / median(map(f, base)) for f in (cpu, rest, grown)]
        network = median(float(run["stages_cpu_s"]["network"]) for run in own)
        wall = median(float(run["wall_s"]) for run in own)
        lines.append(
            f"| {name} | {median(map(cpu, own)):.1f} | {wall:.1f} | {network:.1f} | {median(map(rest, own)):.2f} | "
            f"{median(map(grown, own)):.0f} | {share[0]:.2f} | {share[1]:.3f} | {share[2]:.2f} | {gates[name][0]:.6f} | {gates[name][1]:.5f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
