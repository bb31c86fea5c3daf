"""habitus models"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inference.domain.manifest import ModelManifest
    from inference.domain.refiner import RefinerManifest

EARLIER = " Started from the weights"
"""What follows of a training's history is on the model's card."""
AVERAGED_RUN = re.compile(r"(?=\(\d+\) \d+ steps: )")


def add_options(models: argparse.ArgumentParser) -> None:
    """Arguments."""
    models.add_argument("--models", type=Path, help="another models folder")


def list_models(options: argparse.Namespace) -> int:
    """habitus models"""
    from inference.domain.errors import ModelUnusable
    from inference.engine import model_store as store

    folder = options.models or store.SHIPPED_MODELS
    names = store.model_names(folder)
    status = max(
        _listed(names, lambda name: _line(store.verified_manifest(name, folder))),
        _listed(
            store.refiner_names(folder),
            lambda name: _refiner_line(store.verified_refiner(name, folder)),
        ),
        _list_calibrations(folder),
    )
    if not names:
        raise ModelUnusable(found=f"no model in {folder}", wanted="models", advice="Run make onnx.")
    return status


def _listed(names: Iterable[str], line_of: Callable[[str], str]) -> int:
    """A line for each; the exit status of the last that is broken, or 0."""
    from inference.domain.errors import ModelUnusable

    status = 0
    for name in names:
        try:
            line = line_of(name)
        except ModelUnusable as error:
            line, status = f"UNUSABLE: {error}", error.exit_status
        sys.stdout.write(f"{name:12} {line}\n")
    return status


def _line(manifest: "ModelManifest") -> str:
    return _in_words(manifest, manifest.onnx_sha256)


def _refiner_line(manifest: "RefinerManifest") -> str:
    return _in_words(manifest, manifest.sha256)


def _in_words(manifest: "ModelManifest | RefinerManifest", sha256: str) -> str:
    return (
        f"{manifest.version:8} {manifest.task:10} {manifest.parameters / 1e6:.2f} M parameters  "
        f"sha256 {sha256[:12]}  trained on: {_last_runs(manifest.training_data)}"
    )


def _last_runs(training_data: str) -> str:
    """Without what the run, or each one of a mean, began with."""
    runs = AVERAGED_RUN.split(training_data)
    return " ".join(run.partition(EARLIER)[0].strip() for run in runs)


def _list_calibrations(folder: Path) -> int:
    """Those that the node would refuse; 0 where there is none."""
    from inference.domain.analysis_profile import profile_names
    from orthanc_plugin.doctor.engine import calibrations

    ill = [
        finding for finding in calibrations(folder, profile_names(folder)) if not finding.is_well
    ]
    for finding in ill:
        sys.stdout.write(f"{finding.subject} UNUSABLE: {finding.text}. {finding.advice}\n")
    return 5 if ill else 0
