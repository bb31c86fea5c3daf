"""habitus models"""

import argparse
import sys
from pathlib import Path


def add_options(models: argparse.ArgumentParser) -> None:
    """Arguments."""
    models.add_argument("--models", type=Path, help="another models folder")


def list_models(options: argparse.Namespace) -> int:
    """habitus models"""
    from inference.domain.errors import ModelUnusable
    from inference.engine.model_store import SHIPPED_MODELS, model_names, verified_manifest

    folder = options.models or SHIPPED_MODELS
    earlier = " Started from the weights"
    status = 0
    for name in model_names(folder):
        try:
            manifest = verified_manifest(name, folder)
        except ModelUnusable as error:
            sys.stdout.write(f"{name:12} UNUSABLE: {error}\n")
            status = error.exit_status
            continue
        sys.stdout.write(
            f"{name:12} {manifest.version:8} {manifest.task:10} {manifest.parameters / 1e6:.2f} M parameters  "
            f"sha256 {manifest.onnx_sha256[:12]}  "
            f"trained on: {manifest.training_data.partition(earlier)[0]}\n"
        )
    status = max(status, _list_refiners(folder), _list_calibrations(folder))
    if not model_names(folder):
        raise ModelUnusable(found=f"no model in {folder}", wanted="models", advice="Run make onnx.")
    return status


def _list_refiners(folder: Path) -> int:
    """Networks that redraw organs slice by slice."""
    from inference.domain.errors import ModelUnusable
    from inference.engine.model_store import refiner_names, verified_refiner

    status = 0
    for name in refiner_names(folder):
        try:
            manifest = verified_refiner(name, folder)
        except ModelUnusable as error:
            sys.stdout.write(f"{name:12} UNUSABLE: {error}\n")
            status = error.exit_status
            continue
        sys.stdout.write(
            f"{name:12} {manifest.version:8} {manifest.task:10} {manifest.parameters / 1e6:.2f} M parameters  "
            f"sha256 {manifest.sha256[:12]}  trained on: {manifest.training_data}\n"
        )
    return status


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
