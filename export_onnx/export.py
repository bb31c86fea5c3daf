"""Checkpoint → ONNX bytes through torch's dynamo exporter, one static shape with a free batch axis."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from export_onnx.wrappers import exportable
from training.checkpoint import Checkpoint
from training.specification import TaskSpecification

OPSET = 20
INPUT_NAME = "image"
OUTPUT_NAME = "logits"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkShapes:
    """Shapes of one example, batch axis first."""

    input: tuple[int, ...]
    output: tuple[int, ...]


def network_shapes(checkpoint: Checkpoint) -> NetworkShapes:
    """What goes in and what comes out; curves of landmarks run over rows only."""
    spec: TaskSpecification = checkpoint.config.specification
    image = checkpoint.config.input_shape
    out_axes = () if spec.gives_answers else image[:1] if spec.gives_curves else image
    return NetworkShapes(input=(1, spec.channels, *image), output=(1, len(spec.labels), *out_axes))


def export(checkpoint: Checkpoint, path: Path) -> None:
    """The network of a checkpoint."""
    export_network(checkpoint.network, network_shapes(checkpoint).input, path)


def export_network(network: nn.Module, input_shape: tuple[int, ...], path: Path) -> None:
    """A network of one image, its batch axis free."""
    # Two examples: with one, the exporter would take the batch axis for a constant.
    example = torch.zeros((2, *input_shape[1:]))
    batch = ({0: torch.export.Dim("batch", min=1, max=64)},)
    write_onnx(exportable(network), {INPUT_NAME: example}, (OUTPUT_NAME,), path, batch)


def write_onnx(
    network: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    path: Path,
    dynamic_shapes: tuple[Any, ...] | None = None,
) -> None:
    """Write the ONNX file of any network, weights inside, checked by ONNX's own checker; shapes are those of the named
    examples unless some are said to be dynamic."""
    # torchvision is not ours to miss.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # The exporter warns of its own deprecations; none is ours to act on.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            tuple(inputs.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=dynamic_shapes,
            external_data=False,
            verbose=False,
        )
    model = program.model_proto
    _forget_origins(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save_model(model, str(path))


def _forget_origins(model: onnx.ModelProto) -> None:
    """Drop the exporter's stack traces: they name the folders of the machine and differ between machines."""
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info):
        del part.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
