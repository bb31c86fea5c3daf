"""Finds model folders and loads what is in them, verified."""

from collections.abc import Sequence
from pathlib import Path

from inference.domain.analysis_profile import Profile
from inference.domain.errors import ManifestInvalid, ModelUnusable
from inference.domain.level_calibration import (
    CALIBRATION_NAME,
    LevelCalibration,
    calibration_for,
)
from inference.domain.manifest import NAME_PATTERN, ModelManifest, load_manifest
from inference.engine.onnx_predictor import OnnxPredictor

SHIPPED_MODELS = Path(__file__).parent.parent.parent / "models"


def model_names(folder: Path = SHIPPED_MODELS) -> tuple[str, ...]:
    """Names of the model folders that have a manifest."""
    return tuple(sorted(path.parent.name for path in folder.glob("*/manifest.json")))


def verified_manifest(name: str, folder: Path = SHIPPED_MODELS) -> ModelManifest:
    """The manifest of a model, its file's hash checked; raises ModelUnusable."""
    if not NAME_PATTERN.fullmatch(name) or name not in model_names(folder):
        raise ModelUnusable(
            found=f"no model {name!r:.70}",
            wanted=f"one of {', '.join(model_names(folder)) or 'none installed'}",
            advice="Run `habitus models`, or export the model with make onnx.",
        )
    manifest = load_manifest(folder / name)
    if manifest.name != name:
        # Results name their model: it must be the one that the profile asked for.
        raise ManifestInvalid(
            found=f"the manifest of {manifest.name} in {name}",
            wanted="a folder of its name",
            advice="Restore the model folder, or export the model again with make onnx.",
        )
    return manifest


def verified_calibration(profile: Profile, folder: Path = SHIPPED_MODELS) -> LevelCalibration:
    """That of the profile's level networks; raises ModelUnusable or ConfigurationInvalid."""
    level, spine = profile.level_model, profile.spine_model
    return calibration_for(
        folder / level / CALIBRATION_NAME,
        verified_manifest(level, folder).onnx_sha256,
        verified_manifest(spine, folder).onnx_sha256 if spine else None,
    )


def load_predictor(
    name: str, task: str, folder: Path = SHIPPED_MODELS, providers: Sequence[str] = ("cpu",)
) -> OnnxPredictor:
    """A model ready to run; raises ModelUnusable when it is broken or made for another task."""
    manifest = verified_manifest(name, folder)
    if manifest.task != task:
        raise ModelUnusable(
            found=f"{name} made for {manifest.task}",
            wanted=f"a model for {task}",
            advice="Name another model in the profile, or restore the models folder.",
        )
    return OnnxPredictor(folder / name / "model.onnx", manifest, providers)
