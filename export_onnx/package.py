"""A model folder made whole: checkpoint, ONNX, card, manifest; built aside, proven, then put in place at once."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from export_onnx.card import model_card
from export_onnx.export import INPUT_NAME, OPSET, OUTPUT_NAME, export, network_shapes
from export_onnx.parity import prove_parity
from inference.domain.errors import ChecksumMismatch, ConfigurationInvalid
from inference.domain.manifest import (
    NAME_PATTERN,
    SCHEMA_VERSION,
    InputSpec,
    ModelManifest,
    OutputSpec,
    Parity,
    load_manifest,
    manifest_from_json,
    manifest_to_json,
    sha256_of,
)
from inference.domain.volume import Volume
from training.checkpoint import CHECKPOINT_NAME, Checkpoint, load_checkpoint
from training.networks import count_parameters
from training.specification import specification

MANIFEST_NAME = "manifest.json"
ONNX_NAME = "model.onnx"
CARD_NAME = "MODEL_CARD.md"
LICENCE = "Apache-2.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One model to make."""

    name: str
    version: str
    checkpoint: Path
    folder: Path
    """Where it goes; replaced as a whole."""


def known_export(folder: Path) -> Export:
    """The order to make a shipped model again; raises ModelUnusable unless its checkpoint is the recorded one."""
    manifest_path, checkpoint = folder / MANIFEST_NAME, folder / CHECKPOINT_NAME
    if not manifest_path.is_file() or not checkpoint.is_file():
        raise ConfigurationInvalid(
            found=f"models/{folder.name} without {CHECKPOINT_NAME} and {MANIFEST_NAME}",
            wanted="a model folder of this repository",
            advice=f"Restore it with git checkout -- models/{folder.name}, or export your own "
            f"checkpoint: make onnx MODEL={folder.name} CHECKPOINT=path.",
        )
    manifest = manifest_from_json(manifest_path.read_text(encoding="utf-8"))
    found = sha256_of(checkpoint)
    if found != manifest.checkpoint_sha256:
        raise ChecksumMismatch(
            found=f"{CHECKPOINT_NAME} {found[:16]}… in models/{folder.name}",
            wanted=f"sha256 {manifest.checkpoint_sha256[:16]}…, the checkpoint of its manifest",
            advice=f"The file has changed. Restore it with git checkout -- models/{folder.name}, or, "
            f"if you trained it, export it under a name: make onnx MODEL=name CHECKPOINT=path.",
        )
    return Export(name=folder.name, version=manifest.version, checkpoint=checkpoint, folder=folder)


def new_export(name: str, version: str, checkpoint: Path, models: Path) -> Export:
    """The order to export a checkpoint under a name that is free; raises ConfigurationInvalid."""
    if not NAME_PATTERN.fullmatch(name):
        raise ConfigurationInvalid(
            found=f"model name {name!r:.80}", wanted="lower case letters, digits, '.', '_', '-'"
        )
    if (models / name).exists():
        raise ConfigurationInvalid(
            found=f"models/{name}, which exists",
            wanted="a free name",
            advice="Choose another name, or replace it on purpose with --replace.",
        )
    return replacing_export(name, version, checkpoint, models)


def replacing_export(name: str, version: str, checkpoint: Path, models: Path) -> Export:
    """The order to export a checkpoint whatever stands under that name."""
    return Export(name=name, version=version, checkpoint=checkpoint, folder=models / name)


def make_model(order: Export, slab: Volume) -> ModelManifest:
    """Export, prove parity, put the folder in place; whatever fails, nothing half-written stays."""
    checkpoint = load_checkpoint(order.checkpoint)
    with _built_aside(order.folder) as building:
        onnx_path = building / ONNX_NAME
        export(checkpoint, onnx_path)
        parity = prove_parity(checkpoint, onnx_path, slab)
        shutil.copyfile(order.checkpoint, building / CHECKPOINT_NAME)
        manifest = _manifest(order, checkpoint, building, parity)
        (building / CARD_NAME).write_text(_card(order, checkpoint, manifest), encoding="utf-8")
        (building / MANIFEST_NAME).write_text(manifest_to_json(manifest), encoding="utf-8")
        return load_manifest(building)


def _manifest(
    order: Export, checkpoint: Checkpoint, building: Path, parity: Parity
) -> ModelManifest:
    config, spec = checkpoint.config, specification(checkpoint.config.task)
    shapes = network_shapes(checkpoint)
    low, high = config.hu_window
    return ModelManifest(
        schema_version=SCHEMA_VERSION,
        name=order.name,
        version=order.version,
        task=spec.task,
        onnx_sha256=sha256_of(building / ONNX_NAME),
        checkpoint_sha256=sha256_of(building / CHECKPOINT_NAME),
        input=InputSpec(
            name=INPUT_NAME,
            dtype="float32",
            layout=spec.layout,
            shape=shapes.input,
            spacing_mm=spec.spacing_mm,
            hu_window=(low, high),
            mean=config.mean,
            sd=config.sd,
        ),
        output=OutputSpec(name=OUTPUT_NAME, shape=shapes.output, labels=spec.labels),
        opset=OPSET,
        parity=parity,
        parameters=count_parameters(checkpoint.network),
        training_data=checkpoint.history.training_data,
        code_revision=checkpoint.history.code_revision,
        intended_use=spec.intended_use,
        licence=LICENCE,
    )


def _card(order: Export, checkpoint: Checkpoint, manifest: ModelManifest) -> str:
    """The card that stands there while the checkpoint is the same (people add to it), else a new one."""
    existing, old = order.folder / CARD_NAME, order.folder / CHECKPOINT_NAME
    if existing.is_file() and old.is_file() and sha256_of(old) == manifest.checkpoint_sha256:
        return existing.read_text(encoding="utf-8")
    return model_card(manifest, checkpoint.history)


@contextmanager
def _built_aside(folder: Path) -> Iterator[Path]:
    """A folder beside the place that takes the place when the block succeeds and vanishes when it fails."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as aside:
        building, former = Path(aside) / "new", Path(aside) / "former"
        building.mkdir()
        yield building
        if folder.exists():
            folder.rename(former)
        building.rename(folder)
