"""A model folder made whole: checkpoint, ONNX, card, manifest; built aside, proven, then put in place at once."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from export_onnx.card import CARD_NAME, model_card
from export_onnx.export import INPUT_NAME, OPSET, OUTPUT_NAME, export, network_shapes
from export_onnx.orders import MANIFEST_NAME, Export, is_shipped
from export_onnx.parity import prove_parity
from inference.domain.errors import ConfigurationInvalid, ModelUnusable
from inference.domain.manifest import (
    SCHEMA_VERSION,
    InputSpec,
    ModelManifest,
    OutputSpec,
    Parity,
    load_manifest,
    manifest_to_json,
    sha256_of,
)
from inference.domain.volume import Volume
from training.checkpoint import Checkpoint, load_checkpoint
from training.networks.registry import count_parameters
from training.specification import CHECKPOINT_NAME

ONNX_NAME = "model.onnx"
LICENCE = "Apache-2.0"


def make_model(order: Export, slab: Volume) -> ModelManifest:
    """Export, prove parity, put the folder in place; whatever fails, nothing half-written stays."""
    checkpoint = load_checkpoint(order.checkpoint)
    if not checkpoint.config.specification.spacing_mm:
        raise ConfigurationInvalid(
            found=f"{checkpoint.config.name}, a network of {checkpoint.config.task}",
            wanted="a network that the node runs",
            advice="It is trained to be compared with; export a network with prompts or one of organs.",
        )
    require_gate(order, checkpoint)
    with built_aside(order.folder) as building:
        onnx_path = building / ONNX_NAME
        export(checkpoint, onnx_path)
        parity = prove_parity(checkpoint, onnx_path, slab)
        shutil.copyfile(order.checkpoint, building / CHECKPOINT_NAME)
        manifest = _manifest(order, checkpoint, building, parity)
        card = model_card(manifest, checkpoint.history, is_shipped=is_shipped(order.folder))
        (building / CARD_NAME).write_text(card, encoding="utf-8")
        (building / MANIFEST_NAME).write_text(manifest_to_json(manifest), encoding="utf-8")
        return load_manifest(building)


def require_gate(order: Export, checkpoint: Checkpoint) -> None:
    """Raises ModelUnusable where the configuration asks for better scores, unless the order waives it."""
    gate = checkpoint.config.gate
    if gate is None or order.may_miss_gate or gate.holds(checkpoint.history.metrics):
        return
    raise ModelUnusable(
        found=f"{checkpoint.config.name} with {gate.found_in(checkpoint.history.metrics)}",
        wanted=f"{gate}, the release gate of its configuration",
        advice="Train longer or on more cases, or mend release_gate where it names no score of the task; --below-gate exports it all the same, and its manifest and card say so.",
    )


def intended_use(checkpoint: Checkpoint) -> str:
    """Of the manifest and the card: whoever reads them learns of a gate that was missed."""
    gate, use = checkpoint.config.gate, checkpoint.config.specification.intended_use
    if gate is None or gate.holds(checkpoint.history.metrics):
        return use
    return (
        f"{use} BELOW ITS RELEASE GATE: {gate.found_in(checkpoint.history.metrics)}, wanted {gate}."
    )


def _manifest(
    order: Export, checkpoint: Checkpoint, building: Path, parity: Parity
) -> ModelManifest:
    config, spec = checkpoint.config, checkpoint.config.specification
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
        intended_use=intended_use(checkpoint),
        licence=LICENCE,
    )


@contextmanager
def built_aside(folder: Path) -> Iterator[Path]:
    """A folder beside the place that takes the place when the block succeeds and vanishes when it fails."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as aside:
        building, former = Path(aside) / "new", Path(aside) / "former"
        building.mkdir()
        yield building
        if folder.exists():
            folder.rename(former)
        building.rename(folder)
