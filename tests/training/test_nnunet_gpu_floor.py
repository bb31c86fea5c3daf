"""Multiplications counted in a graph are those of its convolutions."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs PyTorch (make test-training)")

import onnx
from onnx import TensorProto, helper

from tests.benchmarks.nnunet_gpu.floor import multiplications


def graph(path: Path, batch: str | int = "batch") -> Path:
    """4 × 6 × 8: a convolution in groups with stride 2, a transposed one back, a sum that is not counted."""
    shape = [batch, 4, 4, 6, 8]
    weights = [
        helper.make_tensor("w", TensorProto.FLOAT, [10, 2, 3, 3, 3], [0.0] * 540),
        helper.make_tensor("u", TensorProto.FLOAT, [10, 4, 2, 2, 2], [0.0] * 320),
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["h"], strides=[2] * 3, pads=[1] * 6, group=2),
        helper.make_node("ConvTranspose", ["h", "u"], ["t"], strides=[2] * 3),
        helper.make_node("Add", ["t", "x"], ["y"]),
    ]
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        weights,
    )
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)]), str(path))
    return path


def test_each_weight_meets_each_place_once(tmp_path: Path) -> None:
    places = 2 * 3 * 4
    wanted = 10 * 2 * 27 * places + 10 * 4 * 8 * places

    assert multiplications(graph(tmp_path / "free.onnx")) == wanted
    assert multiplications(graph(tmp_path / "one.onnx", 1)) == wanted


def test_perfs_network_has_the_arithmetic_that_perf_states(tmp_path: Path) -> None:
    """The 16.6 M network of the benchmark: one patch of 64 × 128 × 128 is 237 GMAC."""
    import torch

    from export_onnx.export import write_onnx
    from tests.benchmarks.nnunet_speed.models import LABELS, PATCH, WIDTHS

    unet = pytest.importorskip("dynamic_network_architectures.architectures.unet")

    stages = len(WIDTHS["17M"])
    network = unet.PlainConvUNet(
        1, stages, WIDTHS["17M"], torch.nn.Conv3d, 3, [1] + [2] * (stages - 1), 2, LABELS, 2
    )
    example = torch.zeros((1, 1, *PATCH))
    path = tmp_path / "network.onnx"
    write_onnx(network.eval(), {"image": example}, ("logits",), path)

    assert multiplications(path) / 1e9 == pytest.approx(237, abs=1)
