"""Instance normalisation as one operation of OpenVINO, where an exported graph has it in stages.

The stages keep ONNX Runtime exact (export_onnx/wrappers.py). OpenVINO runs each as a pass over the whole image: its own operation
takes a fifth off a small network's time and is nearer to double precision, on noise and on air.
"""

from typing import Any, NamedTuple

import numpy as np


class StagedNorm(NamedTuple):
    """(images - mean) · (weight / √(mean of squares + epsilon)); nodes and outputs of OpenVINO have no types of their own."""

    images: Any
    epsilon: float
    weight: Any
    product: Any


def join_norms(model: Any) -> int:
    """Replace every staged instance normalisation of an openvino.Model; how many there were."""
    from openvino import opset13

    roots = [node for node in model.get_ordered_ops() if _is_a(node, "Sqrt")]
    norms = [norm for norm in map(_staged_norm, roots) if norm is not None]
    for norm in norms:
        axes = opset13.constant(np.array(_spatial_axes(norm.images), np.int64))
        normal = opset13.mvn(norm.images, axes, True, norm.epsilon, "INSIDE_SQRT")
        scaled = opset13.multiply(normal, norm.weight)
        norm.product.output(0).replace(scaled.output(0))
    return len(norms)


def _staged_norm(root: Any) -> StagedNorm | None:
    """The one whose deviation this square root is; None where it belongs to anything else."""
    (plus,) = _sources(root)
    if not _is_a(plus, "Add") or not _is_a(_sources(plus)[1], "Constant"):
        return None
    squares, squared_axes = _before_means(_sources(plus)[0])
    if not _is_a(squares, "Multiply") or not _is_one(*_sources(squares)):
        return None
    centred = _sources(squares)[0]
    if not _is_a(centred, "Subtract"):
        return None
    images = centred.input_value(0)
    averaged, averaged_axes = _before_means(_sources(centred)[1])
    if not _is_one(averaged, images.get_node()):
        return None
    if not squared_axes == averaged_axes == _spatial_axes(images):
        return None
    share = _only_user(root)
    product = _only_user(share)
    if not _is_a(share, "Divide") or not _is_a(product, "Multiply"):
        return None
    if not _is_one(_sources(share)[1], root):
        return None
    if not any(_is_one(centred, factor) for factor in _sources(product)):
        return None
    epsilon = float(np.ravel(_sources(plus)[1].get_data())[0])
    return StagedNorm(images, epsilon, share.input_value(0), product)


def _spatial_axes(images: Any) -> list[int]:
    return list(range(2, len(images.get_partial_shape())))


def _before_means(node: Any) -> tuple[Any, list[int]]:
    """What the first of a chain of means is taken of, and over which axes they go."""
    axes: list[int] = []
    while _is_a(node, "ReduceMean"):
        node, over = _sources(node)
        if not _is_a(over, "Constant"):
            return node, []
        axes += [int(axis) for axis in np.ravel(over.get_data())]
    return node, sorted(axes)


def _only_user(node: Any) -> Any:
    users = [] if node is None else [one.get_node() for one in node.output(0).get_target_inputs()]
    return users[0] if len(users) == 1 else None


def _sources(node: Any) -> list[Any]:
    return [one.get_node() for one in node.input_values()]


def _is_a(node: Any, kind: str) -> bool:
    return node is not None and node.get_type_name() == kind


def _is_one(node: Any, other: Any) -> bool:
    """By name: == of two nodes is a node that compares their values."""
    return bool(node.get_name() == other.get_name())
