"""make bench-gpu: nnunetv2 on torch with AMP beside the node on CUDA and TensorRT; one line and status 0 where there is no GPU."""

import argparse
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from inference.engine.gpu import Gpu, gpu_here

if TYPE_CHECKING:
    from tests.benchmarks.nnunet_gpu.page import RacedOnGpu, Run

ROOT = Path(__file__).parents[3]
NODE_PYTHON = ROOT / ".venv" / "bin" / "python"
CONTENDERS = ("nnunetv2", "ours-cuda", "ours-tensorrt")


def main() -> int:
    """Write the page; 1 where a contender that ran gives other labels than nnunetv2 on the trained network."""
    options = _options()
    gpu = gpu_here()
    if gpu is None:
        sys.stdout.write("no device: no GPU that CUDA finds; nothing was measured\n")
        return 0
    from tests.benchmarks.nnunet_gpu.page import assumption, section
    from tests.benchmarks.nnunet_speed.__main__ import _scan

    work: Path = options.work
    work.mkdir(parents=True, exist_ok=True)
    scan = _scan(work, options.slices, options.pixels)
    raced = [_race(kind, scan, options) for kind in options.models.split(",")]
    text = [
        _heading(gpu, options),
        assumption(gpu.name),
        *(section(one, gpu.name) for one in raced),
    ]
    page = "\n\n".join(text) + "\n"
    sys.stdout.write(page)
    if options.out:
        options.out.write_text(page, encoding="utf-8")
    return 0 if all(_agrees(one) for one in raced) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="trained,1M,17M", help="of nnunet_speed, with commas")
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--pixels", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tensorrt-libraries", type=Path, help="folder with libnvinfer.so.10")
    parser.add_argument("--work", type=Path, required=True, help="keeps every run's figures")
    parser.add_argument("--out", type=Path, help="file for the page")
    return parser.parse_args()


def _race(kind: str, scan: Path, options: argparse.Namespace) -> "RacedOnGpu":
    from tests.benchmarks.nnunet_gpu.floor import multiplications
    from tests.benchmarks.nnunet_gpu.page import RacedOnGpu
    from tests.benchmarks.nnunet_speed.__main__ import _gate, _model

    trained, imported = _model(kind, options.work)
    folder = options.work / kind
    folder.mkdir(exist_ok=True)
    refused: dict[str, str] = {}
    for repeat in range(options.repeats):
        for name in random.Random(repeat).sample(CONTENDERS, len(CONTENDERS)):
            model = imported if name.startswith("ours") else trained
            if name not in refused and (why := _run(name, repeat, model, folder, scan, options)):
                refused[name] = why
    if "nnunetv2" in refused:
        raise SystemExit(f"nothing to compare with: nnunetv2: {refused['nnunetv2']}")
    ran = [name for name in CONTENDERS if name not in refused]
    return RacedOnGpu(
        kind=kind,
        multiplications=multiplications(imported / "model.onnx"),
        runs={name: _figures(name, folder, trained, options.repeats) for name in ran},
        refused=refused,
        gates={name: _gate(folder, name) for name in ran},
    )


def _run(
    name: str, repeat: int, model: Path, folder: Path, scan: Path, options: argparse.Namespace
) -> str:
    """Why it did not run; empty where it did, now or before."""
    kept = folder / f"{name}-{repeat}.json"
    if kept.exists():
        return ""
    python = str(NODE_PYTHON) if name.startswith("ours") else sys.executable
    command = [python, "-m", "tests.benchmarks.nnunet_gpu.one_run", name, "--model", str(model)]
    command += ["--scan", str(scan), "--out", str(folder / f"{name}.nii.gz")]
    command += ["--built", str(options.work.resolve() / "built")]
    if options.tensorrt_libraries:
        command += ["--tensorrt-libraries", str(options.tensorrt_libraries.resolve())]
    if folder.name != "trained":
        command += ["--unproven"]
    theirs = {f"nnUNet_{part}": str(folder) for part in ("raw", "preprocessed", "results")}
    sys.stderr.write(f"{folder.name}: {name}, run {repeat + 1}\n")
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | theirs, capture_output=True, text=True, check=False
    )
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no word"])[-1][:300]
    kept.write_text(done.stdout.strip().splitlines()[-1], encoding="utf-8")
    return ""


def _figures(name: str, folder: Path, trained: Path, repeats: int) -> "list[Run]":
    runs: list[Run] = [
        json.loads((folder / f"{name}-{repeat}.json").read_text(encoding="utf-8"))
        for repeat in range(repeats)
    ]
    if name == "nnunetv2":
        # It calls the network for each fold in turn; the node's graph is all folds at once.
        folds = len(list(trained.glob("fold_*")))
        runs = [run | {"network_calls": run["network_calls"] // folds} for run in runs]
    return runs


def _agrees(raced: "RacedOnGpu") -> bool:
    """Where labels mean anything: random weights leave most voxels between two of them."""
    from tests.benchmarks.nnunet_speed.page import LEAST_VOXELS

    return raced.kind != "trained" or all(
        voxels >= LEAST_VOXELS for voxels, _ in raced.gates.values()
    )


def _heading(gpu: Gpu, options: argparse.Namespace) -> str:
    return f"""# The node against nnunetv2's predictor on a GPU

`make bench-gpu`

{gpu.name}, driver {gpu.driver}. A synthetic CT of {options.slices} slices of {options.pixels} × {options.pixels}, from its file to a label map on disk: milliseconds of wall
time, medians of {options.repeats} fresh processes, the second labelling of each (the first, in a column of its own, pays for kernels that are chosen). No
mirroring. nnunetv2: autocast to float16, everything on the device. Ours: CUDA in TF32 and TensorRT in float16 where a comparison with the CPU allows it."""


if __name__ == "__main__":
    sys.exit(main())
