"""Finds model folders and loads what is in them, verified."""

from collections.abc import Sequence
from pathlib import Path

from inference.domain.analysis_profile import Profile, Refinement
from inference.domain.errors import (
    ConfigurationInvalid,
    ManifestInvalid,
    ModelUnusable,
    ProviderUnavailable,
)
from inference.domain.level_calibration import (
    CALIBRATION_NAME,
    LevelCalibration,
    calibration_for,
)
from inference.domain.manifest import NAME_PATTERN, ModelManifest, load_manifest
from inference.domain.predictor import Predictor
from inference.domain.refiner import (
    DECODER_NAME,
    ENCODER_NAME,
    REFINER_NAME,
    RefinerManifest,
    load_refiner_manifest,
)
from inference.engine.acceleration import PLAIN, Acceleration
from inference.engine.onnx_file import require_plain_graph
from inference.engine.onnx_predictor import OnnxPredictor
from inference.engine.onnx_refiner import OnnxRefiner
from inference.engine.onnx_session import available_providers
from inference.engine.openvino_predictor import OpenVinoPredictor
from inference.engine.providers import (
    DEFAULT_PROVIDERS,
    OPENVINO,
    choose_providers,
    prefers_openvino,
    require_first,
    without_openvino,
)

SHIPPED_MODELS = Path(__file__).parent.parent.parent / "models"


def model_names(folder: Path = SHIPPED_MODELS) -> tuple[str, ...]:
    """Names of the model folders that have a manifest."""
    return tuple(sorted(path.parent.name for path in folder.glob("*/manifest.json")))


def verified_manifest(name: str, folder: Path = SHIPPED_MODELS) -> ModelManifest:
    """The manifest of a model, its file's hash checked and its graph looked through; raises ModelUnusable."""
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
    require_plain_graph(folder / name / "model.onnx", name)
    return manifest


def verified_calibration(profile: Profile, folder: Path = SHIPPED_MODELS) -> LevelCalibration:
    """That of the profile's level networks; raises ModelUnusable or ConfigurationInvalid."""
    level, spine = profile.level_model, profile.spine_model
    return calibration_for(
        folder / level / CALIBRATION_NAME,
        verified_manifest(level, folder).onnx_sha256,
        verified_manifest(spine, folder).onnx_sha256 if spine else None,
    )


def level_task(profile: Profile, folder: Path = SHIPPED_MODELS) -> str:
    """What the profile's level model is made for; raises ModelUnusable, or ConfigurationInvalid for two that do not go together."""
    task = verified_manifest(profile.level_model, folder).task
    if task == "l3-slice" and profile.spine_model:
        raise ConfigurationInvalid(
            found=f"{profile.name}: spine_model beside {profile.level_model}, which looks at single slices",
            wanted="a network of landmarks beside another one, or a slice network alone",
            advice="Take spine_model out of the profile, or name an l3-level model.",
        )
    return task if task == "l3-slice" else "l3-level"


def load_predictor(
    name: str,
    task: str,
    folder: Path = SHIPPED_MODELS,
    providers: Sequence[str] = DEFAULT_PROVIDERS,
    acceleration: Acceleration = PLAIN,
) -> Predictor:
    """A model ready to run; raises ModelUnusable when it is broken or made for another task, or ProviderUnavailable."""
    manifest = verified_manifest(name, folder)
    if manifest.task != task:
        raise ModelUnusable(
            found=f"{name} made for {manifest.task}",
            wanted=f"a model for {task}",
            advice="Name another model in the profile, or restore the models folder.",
        )
    predictor = predictor_of(folder / name / "model.onnx", manifest, providers, acceleration)
    require_first(name, providers, predictor.provider, acceleration.downgrade)
    return predictor


def predictor_of(
    path: Path,
    manifest: ModelManifest,
    providers: Sequence[str],
    acceleration: Acceleration = PLAIN,
) -> Predictor:
    """By the engine that is asked for first and is there; raises ModelUnusable or ProviderUnavailable."""
    require_plain_graph(path, manifest.name)
    chosen = choose_providers(providers, available_providers())
    if not prefers_openvino(chosen):
        predictor = OnnxPredictor(path, manifest, providers, acceleration)
        if not prefers_openvino(chosen, predictor.provider):
            return predictor
    try:
        return OpenVinoPredictor(path, manifest)
    except (ProviderUnavailable, ModelUnusable):
        if set(chosen) == {OPENVINO}:
            raise
    # Whether the file is at fault ONNX Runtime says; results say that OpenVINO did not compute.
    return OnnxPredictor(path, manifest, without_openvino(providers), acceleration)


def refiner_names(folder: Path = SHIPPED_MODELS) -> tuple[str, ...]:
    """Names of the model folders with a network that redraws organs; none is shipped."""
    return tuple(sorted(path.parent.name for path in folder.glob(f"*/{REFINER_NAME}")))


def verified_refiner(name: str, folder: Path = SHIPPED_MODELS) -> RefinerManifest:
    """The manifest of a network that redraws organs, its files' hashes checked; raises ModelUnusable."""
    if not NAME_PATTERN.fullmatch(name) or name not in refiner_names(folder):
        raise ModelUnusable(
            found=f"no model {name!r:.70} that redraws organs",
            wanted=f"one of {', '.join(refiner_names(folder)) or 'none installed'}",
            advice="Run `habitus models`, or make one: python -m training sam, then python -m export_onnx.",
        )
    manifest = load_refiner_manifest(folder / name)
    if manifest.name != name:
        raise ManifestInvalid(
            found=f"the manifest of {manifest.name} in {name}",
            wanted="a folder of its name",
            advice="Restore the model folder, or export the model again.",
        )
    return manifest


def load_refiner(
    refinement: Refinement,
    folder: Path = SHIPPED_MODELS,
    providers: Sequence[str] = DEFAULT_PROVIDERS,
    acceleration: Acceleration = PLAIN,
) -> OnnxRefiner:
    """Ready to redraw the profile's organs; raises ModelUnusable, also where it never learned one of them, or ProviderUnavailable."""
    manifest = verified_refiner(refinement.model, folder)
    if unknown := sorted(set(refinement.organs) - set(manifest.structures)):
        raise ModelUnusable(
            found=f"{manifest.name}, which was not taught {', '.join(unknown)}",
            wanted=f"organs of {', '.join(manifest.structures)}",
            advice="Name others in [refine] of the profile, or train on them.",
        )
    providers = without_openvino(providers)
    for part in (ENCODER_NAME, DECODER_NAME):
        require_plain_graph(folder / refinement.model / part, manifest.name)
    refiner = OnnxRefiner(folder / refinement.model, manifest, providers, acceleration)
    require_first(manifest.name, providers, refiner.provider, acceleration.downgrade)
    return refiner
