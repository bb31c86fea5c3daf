"""What a network's arithmetic takes at the least: multiplications counted in its ONNX graph, and what a GPU is said to do of them."""

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

DENSE_FP16_TFLOPS = {
    "H200": 989.0,
    "H100 PCIe": 756.0,
    "H100": 989.0,
    "A100": 312.0,
    "L40S": 362.0,
    "L4": 121.0,
    "A10": 125.0,
    "T4": 65.0,
}
"""NVIDIA's data sheets, tensor cores, float16 without sparsity; the first name that a GPU's contains. An assumption, and printed as one."""
REACHED = 0.35
"""Of these, by 3D convolutions: an assumption of ours."""


def multiplications(path: Path) -> int:
    """Of convolutions and transposed ones for one example; all else of such a network is little beside it."""
    import onnx

    model = onnx.load(str(path))
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    graph = inferred.graph
    shapes = {
        one.name: [d.dim_value for d in one.type.tensor_type.shape.dim]
        for one in (*graph.input, *graph.value_info, *graph.output)
    }
    weights = {one.name: list(one.dims) for one in graph.initializer}
    return sum(
        _of_node(node, shapes, weights[node.input[1]])
        for node in graph.node
        if node.op_type in ("Conv", "ConvTranspose")
    )


def _of_node(node: "onnx.NodeProto", shapes: dict[str, list[int]], weight: list[int]) -> int:
    """Each weight meets each place of the output (Conv) or of the input (ConvTranspose) once; groups are in the weight's shape."""
    met = node.output[0] if node.op_type == "Conv" else node.input[0]
    places = shapes[met][2:]
    if not places or not all(places):
        raise ValueError(f"{node.name}: no static shape")
    return prod(weight) * prod(places)


def tflops_of(gpu: str) -> float | None:
    """What the data sheet says; None for a GPU that is not in the table."""
    return next((value for name, value in DENSE_FP16_TFLOPS.items() if name in gpu), None)


def floor_ms(multiplications_each: int, calls: int, tflops: float) -> float:
    """A multiplication and an addition are two operations."""
    return 2 * multiplications_each * calls / (tflops * REACHED * 1e12) * 1e3
