"""Files that were cut off, made for something else or made to harm: one sentence, no file opened beside them, no endless memory."""

import pickle
import struct
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.domain.errors import ModelUnusable
from inference.domain.predictor import Predictor
from inference.engine.model_store import SHIPPED_MODELS, model_names, predictor_of
from inference.engine.onnx_file import MOST_ELEMENTS, require_plain_graph
from tests.unit.inference.engine.onnx_bytes import (
    INT64,
    model,
    nested,
    node,
    number,
    tensor,
    varint,
)
from tests.unit.inference.fake_predictors import make_manifest

WEIGHT = np.ones((3, 1, 1, 1, 1), np.float32).tobytes()
CONV = node("Conv", ["image", "w"], ["logits"])
SHAPE = struct.pack("<5q", 1, 3, 8, 8, 8)
HUGE = struct.pack("<5q", 1, 3, 8, 1024, 1024 * 128)
GOOD = model([CONV], [tensor("w", (3, 1, 1, 1, 1), WEIGHT)])
ENGINES = ("cpu", "openvino")


def constant(name: str, value: bytes) -> bytes:
    attribute = nested(1, "value") + nested(5, tensor("", (5,), value, INT64)) + number(20, 4)
    return node("Constant", [], [name], extra=nested(5, attribute))


def blown_up(kind: str, inputs: list[str], shape: bytes, *, by_node: bool = False) -> bytes:
    nodes = [node(kind, inputs, ["big"]), node("Add", ["image", "big"], ["logits"])]
    if by_node:
        return model([constant("shape", shape), *nodes])
    return model(nodes, [tensor("shape", (5,), shape, INT64)])


class Trap:
    """Runs a command when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (self.witness,))  # type: ignore[return-value]


def loaded(content: bytes, folder: Path, engine: str) -> Predictor:
    if engine == "openvino":
        pytest.importorskip("openvino", reason="OpenVINO is not installed (make setup)")
    path = folder / "model.onnx"
    path.write_bytes(content)
    return predictor_of(path, make_manifest(), (engine,))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_plain_network_is_loaded_and_runs(engine: str, tmp_path: Path) -> None:
    found = loaded(GOOD, tmp_path, engine).predict(np.full((1, 1, 8, 8, 8), 2, np.float32))

    np.testing.assert_array_equal(found, np.full((1, 3, 8, 8, 8), 2, np.float32))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(b"", "cannot be read", id="empty"),
        pytest.param(GOOD[: len(GOOD) // 2], "end missing", id="truncated"),
        pytest.param(varint(7 << 3 | 2), "end missing", id="no length"),
        pytest.param(b"\x80\x04\x95 no onnx at all", "no ONNX", id="other bytes"),
        pytest.param(number(1, 8) + nested(8, number(2, 17)), "no graph", id="no graph"),
        pytest.param(model([CONV], opset=999), "cannot load", id="too new operators"),
        pytest.param(
            model([CONV], [tensor("w", (3, 1, 1, 1, 1), external="../../../etc/passwd")]),
            "weights in another file",
            id="file outside",
        ),
        pytest.param(
            model([CONV], [tensor("w", (3, 1, 1, 1, 1), external="weights.bin")]),
            "weights in another file",
            id="file beside",
        ),
        pytest.param(
            model([CONV], [tensor("w", (2_684_354_560,), WEIGHT)]),
            "a tensor of 2684354560 numbers in 12 bytes",
            id="ten gigabytes claimed",
        ),
        pytest.param(
            model([CONV], [tensor("w", (2**62, 2**62, 2**62), WEIGHT)]),
            "numbers in 12 bytes",
            id="more than any address",
        ),
        pytest.param(
            blown_up("ConstantOfShape", ["shape"], HUGE), "blown up to 3221225472", id="ten gigabytes made"
        ),
        pytest.param(
            blown_up("ConstantOfShape", ["shape"], HUGE, by_node=True), "blown up", id="by a constant"
        ),
        pytest.param(blown_up("Expand", ["image", "shape"], HUGE), "blown up", id="expanded"),
        pytest.param(blown_up("Tile", ["image", "shape"], HUGE), "blown up", id="tiled"),
        pytest.param(
            model([node("Run", ["image"], ["logits"], domain="evil.example")]),
            r"another domain \(evil.example\)",
            id="foreign operator",
        ),
    ],
)  # fmt: skip
def test_anything_else_is_unusable_in_one_sentence(
    content: bytes, why: str, engine: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelUnusable, match=why):
        loaded(content, tmp_path, engine)


def test_a_format_newer_than_the_engine_is_unusable(tmp_path: Path) -> None:
    """OpenVINO reads what it knows of it."""
    newer = model([CONV], [tensor("w", (3, 1, 1, 1, 1), WEIGHT)], ir_version=99)

    with pytest.raises(ModelUnusable, match="ONNX Runtime cannot load"):
        loaded(newer, tmp_path, "cpu")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_pickle_is_no_model_and_is_not_run(engine: str, tmp_path: Path) -> None:
    witness = tmp_path / "was run"

    with pytest.raises(ModelUnusable):
        loaded(pickle.dumps(Trap(witness)), tmp_path, engine)

    assert not witness.exists()


def test_graphs_within_graphs_have_an_end(tmp_path: Path) -> None:
    graph = nested(2, "innermost")
    for _ in range(200):
        graph = nested(1, node("If", [], [], extra=nested(5, nested(1, "then") + nested(6, graph))))
    (tmp_path / "model.onnx").write_bytes(number(1, 8) + nested(7, graph))

    with pytest.raises(ModelUnusable, match="within each other"):
        require_plain_graph(tmp_path / "model.onnx", "ours")


@pytest.mark.parametrize("said", [nested(13, nested(1, "location")), number(14, 1)])
def test_either_word_of_another_file_is_enough(said: bytes, tmp_path: Path) -> None:
    whole = tensor("w", (3, 1, 1, 1, 1), WEIGHT) + said
    (tmp_path / "model.onnx").write_bytes(model([CONV], [whole]))

    with pytest.raises(ModelUnusable, match="another file"):
        require_plain_graph(tmp_path / "model.onnx", "ours")


def test_functions_of_a_model_are_looked_at_too(tmp_path: Path) -> None:
    function = nested(7, node("Run", ["x"], ["y"], domain="evil.example"))
    (tmp_path / "model.onnx").write_bytes(GOOD + nested(25, function))

    with pytest.raises(ModelUnusable, match="another domain"):
        require_plain_graph(tmp_path / "model.onnx", "ours")


def test_moderate_constants_pass(tmp_path: Path) -> None:
    assert np.prod(struct.unpack("<5q", SHAPE)) < MOST_ELEMENTS
    (tmp_path / "model.onnx").write_bytes(blown_up("ConstantOfShape", ["shape"], SHAPE))

    require_plain_graph(tmp_path / "model.onnx", "ours")


def test_a_number_without_an_end_is_no_onnx(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(varint(7 << 3 | 2) + b"\xff" * 12)

    with pytest.raises(ModelUnusable, match="no ONNX"):
        require_plain_graph(tmp_path / "model.onnx", "ours")


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_whatever_bytes_are_changed_the_look_ends_with_a_sentence(data: st.DataObject) -> None:
    content = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(GOOD) - 1))] = data.draw(st.integers(0, 255))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(content)
        with suppress(ModelUnusable):
            require_plain_graph(path, "ours")


@pytest.mark.parametrize("name", model_names())
def test_every_shipped_network_is_plain(name: str) -> None:
    require_plain_graph(SHIPPED_MODELS / name / "model.onnx", name)
