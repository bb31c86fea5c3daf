"""make bench: nnU-Net's predictor, MONAI's sliding window and the node on the same network and file; goes on where it was stopped."""

import argparse
import json
import os
import platform
import random
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from export_onnx.nnunet import main as import_nnunet
from tests.benchmarks.nnunet_speed.models import write_model
from tests.benchmarks.nnunet_speed.page import (
    FAST,
    PARITY,
    REFERENCE,
    Raced,
    Run,
    depth_section,
    draw,
    section,
)
from training.nifti import read_nifti
from training.synthetic.case import explicit_field, make_case

ROOT = Path(__file__).parents[3]
NODE_PYTHON = ROOT / ".venv" / "bin" / "python"
SEED = 1_900_021
SPACING_MM = (1.0, 0.75, 0.75)
DEPTH_CONTENDER, DEPTH_KIND = PARITY[0], "1M"
SPECK_VOXELS = 1000
CONTENDERS = (REFERENCE, "monai", *PARITY, FAST)
OF_LARGE = (REFERENCE, "ours-openvino", FAST)
"""A run of a large network takes minutes: only those of whom something is wanted there."""


def main() -> int:
    """Write the page; 1 where an answer is not that of nnunetv2."""
    options = _options()
    work: Path = options.work
    work.mkdir(parents=True, exist_ok=True)
    scan = _scan(work, options.slices, options.pixels)
    raced = [_race(kind, scan, options) for kind in options.models.split(",")]
    text = [_heading(scan, options), *map(section, raced)]
    if depths := [int(n) for n in options.depths.split(",") if n]:
        text.append(_depths(depths, options))
    if options.out:
        chart = options.out.with_suffix(".svg")
        draw(raced, chart)
        text.insert(1, f"![CPU seconds by stage]({chart.name})")
        options.out.write_text("\n\n".join(text) + "\n", encoding="utf-8")
    sys.stdout.write("\n\n".join(text) + "\n")
    return 0 if all(one.agrees for one in raced) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="trained,1M", help="trained, 1M, 17M, with commas")
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--pixels", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--contenders",
        default="",
        help=f"of {','.join(CONTENDERS)}; default all, for 17M {','.join(OF_LARGE)}",
    )
    parser.add_argument(
        "--depths", default="", help="numbers of slices between which memory is compared: 150,600"
    )
    parser.add_argument("--work", type=Path, required=True, help="keeps every run's figures")
    parser.add_argument("--out", type=Path, help="file for the page; the chart lies beside it")
    return parser.parse_args()


def _race(kind: str, scan: Path, options: argparse.Namespace) -> Raced:
    work: Path = options.work
    trained, imported = _model(kind, work)
    usual = OF_LARGE if kind == "17M" else CONTENDERS
    names = options.contenders.split(",") if options.contenders else list(usual)
    folder = work / kind
    for repeat in range(options.repeats):
        # Whoever goes first finds a cooler machine and a colder cache.
        for name in random.Random(repeat).sample(names, len(names)):
            _run(name, repeat, imported if name.startswith("ours") else trained, scan, folder)
    return Raced(
        kind=kind,
        slices=options.slices,
        runs={name: _runs(folder, name, options.repeats) for name in names},
        gates={name: _gate(folder, name) for name in names},
    )


def _depths(depths: list[int], options: argparse.Namespace) -> str:
    """The same network on scans of other lengths, ours alone."""
    work: Path = options.work
    _, imported = _model(DEPTH_KIND, work)
    runs, label_mb = {}, {}
    for slices in depths:
        scan = _scan(work, slices, options.pixels)
        folder = work / f"depth-{slices}"
        for repeat in range(options.repeats):
            _run(DEPTH_CONTENDER, repeat, imported, scan, folder)
        runs[slices] = _runs(folder, DEPTH_CONTENDER, options.repeats)
        label_mb[slices] = runs[slices][0]["voxels"] / 2**20
    return depth_section(label_mb, runs)


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


def _run(name: str, repeat: int, model: Path, scan: Path, work: Path) -> None:
    kept = work / f"{name}-{repeat}.json"
    if kept.exists():
        return
    work.mkdir(exist_ok=True)
    python = str(NODE_PYTHON) if name.startswith("ours") else sys.executable
    command = [python, "-m", "tests.benchmarks.nnunet_speed.one_run", name, "--model", str(model)]
    command += ["--scan", str(scan), "--out", str(work / f"{name}.nii.gz")]
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
    """Voxels labelled as nnunetv2 labels them, and the lowest Dice of any label that is no speck."""
    one, other = (read_nifti(work / f"{n}.nii.gz").hu for n in (REFERENCE, name))
    labels, voxels = np.unique(one, return_counts=True)
    judged = [label for label, n in zip(labels, voxels, strict=True) if label and n >= SPECK_VOXELS]
    dice = [_dice(one == label, other == label) for label in judged]
    return float(np.mean(one == other)), min(dice, default=1.0)


def _dice(one: Any, other: Any) -> float:
    return 2 * float(np.sum(one & other)) / float(one.sum() + other.sum())


def _heading(scan: Path, options: argparse.Namespace) -> str:
    versions = ", ".join(
        f"{name} {version(name)}"
        for name in ("nnunetv2", "monai", "torch", "onnxruntime", "openvino", "numba")
    )
    return f"""# The node against nnunetv2's predictor and MONAI

`make bench`

A synthetic CT of {options.slices} slices of {options.pixels} × {options.pixels} ({scan.stat().st_size / 1e6:.0f} MB), from its file to a label map on disk. A fresh process for each run, order drawn
anew, medians of {options.repeats} runs on {len(os.sched_getaffinity(0))} cores; CPU seconds are those of all threads, after imports. No mirroring. {platform.machine()}, Python {platform.python_version()}, {versions}.

`ours-ort` and `ours-openvino` are asked as nnU-Net's predictor asks its network and have to agree with it; `ours-fast` (`organ_patches = "fast"` in a profile, OpenVINO)
looks within the body alone, with patches that overlap by a quarter: another answer. Dice is that of labels of {SPECK_VOXELS} voxels or more."""


if __name__ == "__main__":
    sys.exit(main())
