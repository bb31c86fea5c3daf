"""Staged instance normalisations become one operation with the same numbers; nothing else does."""

from typing import Any

import numpy as np
import pytest

from inference.engine.model_store import SHIPPED_MODELS
from inference.engine.openvino_norms import join_norms

pytest.importorskip("openvino", reason="OpenVINO is not installed (make setup)")

SHAPE = (1, 3, 6, 8, 10)
EPSILON = 1e-5


def staged(
    axes: tuple[int, ...] = (4, 3, 2),
    squared_axes: tuple[int, ...] = (4, 3, 2),
    *,
    shared: bool = False,
    scales_centred: bool = True,
) -> Any:
    """A graph as the exporter leaves it, or one that only looks like it."""
    from openvino import Model
    from openvino import opset13 as op

    images = op.parameter(SHAPE, np.float32, name="image")

    def mean(node: Any, over: tuple[int, ...]) -> Any:
        for axis in over:
            node = op.reduce_mean(node, op.constant(np.array([axis])), keep_dims=True)
        return node

    centred = op.subtract(images, mean(images, axes))
    variance = mean(op.multiply(centred, centred), squared_axes)
    epsilon = op.constant(np.float32(EPSILON))
    deviation = op.sqrt(op.add(variance, epsilon))
    weight = op.constant(np.array([1.0, -2.0, 0.5], np.float32).reshape(1, 3, 1, 1, 1))
    share = op.divide(weight, deviation)
    result = op.add(
        op.multiply(centred if scales_centred else images, share), op.constant(np.float32(0.25))
    )
    results = [result, deviation] if shared else [result]
    return Model(results, [images], "norm")


def answer(model: Any, images: Any) -> Any:
    from openvino import Core

    compiled = Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled([images])[0])


def test_the_joined_graph_gives_the_same_numbers() -> None:
    rng = np.random.default_rng(4)
    images = (rng.normal(size=SHAPE) * [[[[[3.0]]], [[[1.0]]], [[[0.1]]]]] + 5).astype(np.float32)
    exact = images.astype(np.float64)
    spatial = (2, 3, 4)
    normal = (exact - exact.mean(spatial, keepdims=True)) / np.sqrt(
        exact.var(spatial, keepdims=True) + EPSILON
    )
    wanted = normal * np.array([1.0, -2.0, 0.5]).reshape(1, 3, 1, 1, 1) + 0.25

    model = staged()

    assert join_norms(model) == 1
    assert {node.get_type_name() for node in model.get_ordered_ops()}.isdisjoint(
        {"ReduceMean", "Sqrt", "Divide"}
    )
    np.testing.assert_allclose(answer(model, images), wanted, atol=1e-4)


@pytest.mark.parametrize(
    "other",
    [
        {"axes": (4, 3)},
        {"squared_axes": (4, 3)},
        {"axes": (4, 3, 2, 1), "squared_axes": (4, 3, 2, 1)},
        {"shared": True},
        {"scales_centred": False},
    ],
)
def test_what_only_looks_like_one_is_left_alone(other: Any) -> None:
    model = staged(**other)
    before = [node.get_type_name() for node in model.get_ordered_ops()]

    assert join_norms(model) == 0
    assert [node.get_type_name() for node in model.get_ordered_ops()] == before


def test_every_norm_of_the_organ_network_is_joined() -> None:
    from openvino import Core

    model = Core().read_model(str(SHIPPED_MODELS / "organs" / "model.onnx"))

    assert join_norms(model) == 12
    assert "Sqrt" not in {node.get_type_name() for node in model.get_ordered_ops()}
