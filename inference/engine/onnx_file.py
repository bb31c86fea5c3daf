"""An ONNX file looked through before an engine sees it: all of it lies in the file, and nothing in it asks for endless memory.

Engines follow references to files beside a model and reserve what a tensor claims to be; both are up to whoever wrote the file. Only
the protobuf wire format is read here (protobuf.dev, "Encoding"; field numbers of onnx.proto3), which costs some milliseconds.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from inference.domain.errors import ModelUnusable

MOST_ELEMENTS = 2**28
"""That a constant may be blown up to: a gigabyte of float32, tens of times what any network here makes."""
DEEPEST = 8
"""Graphs within graphs."""
STANDARD = frozenset({b"", b"ai.onnx"})
SHAPE_INPUT = {b"ConstantOfShape": 0, b"Expand": 1, b"Tile": 1}
"""Operators whose result is as large as one of their inputs says."""
SMALL = 64
"""Elements; longer constants are no shapes."""
INT64 = 7

_MODEL_GRAPH, _MODEL_FUNCTION = 7, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_INPUT, _NODE_OUTPUT, _NODE_KIND, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 4, 5, 7
_FUNCTION_NODE = 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_TENSOR_DIMS, _TENSOR_KIND, _TENSOR_INT64, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 7, 8, 9
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14
_TENSOR_VALUES = frozenset({4, 5, 6, _TENSOR_INT64, _TENSOR_RAW, 10, 11})


class Field(NamedTuple):
    """One of a message: a number, or the bytes of a text or of a message within."""

    number: int
    value: int
    content: memoryview


class _Unfit(Exception):
    """Why a file is refused."""


def require_plain_graph(path: Path, name: str) -> None:
    """Raises ModelUnusable."""
    try:
        with path.open("rb") as file:
            # Not closed by hand: parts of it are still held where the look ends early.
            _look_through(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
    except (OSError, ValueError) as problem:
        raise _unusable(name, path, "a file that cannot be read") from problem
    except _Unfit as problem:
        raise _unusable(name, path, str(problem)) from None


def _unusable(name: str, path: Path, why: str) -> ModelUnusable:
    return ModelUnusable(
        found=f"{name}: {path.name} with {why}",
        wanted="an ONNX network that is all in its file",
        advice="Do not use this file unless you know who made it; export the model again.",
    )


def _look_through(whole: memoryview) -> None:
    model = list(_fields(whole))
    graphs = _parts(model, _MODEL_GRAPH)
    if not graphs:
        raise _Unfit("no graph in it: it is no ONNX, or cut off")
    for graph in graphs:
        _look_at_graph(graph, 0)
    for function in _parts(model, _MODEL_FUNCTION):
        _look_at_nodes(_parts(list(_fields(function)), _FUNCTION_NODE), {}, 0)


def _parts(fields: list[Field], number: int) -> list[memoryview]:
    return [field.content for field in fields if field.number == number]


def _look_at_graph(graph: memoryview, depth: int) -> None:
    if depth > DEEPEST:
        raise _Unfit(f"more than {DEEPEST} graphs within each other")
    fields = list(_fields(graph))
    if _parts(fields, _GRAPH_SPARSE):
        raise _Unfit("sparse weights")
    shapes = dict(_look_at_tensor(tensor) for tensor in _parts(fields, _GRAPH_INITIALIZER))
    _look_at_nodes(_parts(fields, _GRAPH_NODE), shapes, depth)


def _look_at_nodes(nodes: list[memoryview], shapes: dict[bytes, list[int]], depth: int) -> None:
    for node in nodes:
        fields = list(_fields(node))
        domain = b"".join(_parts(fields, _NODE_DOMAIN))
        if domain not in STANDARD:
            raise _Unfit(f"operators of another domain ({domain.decode(errors='replace'):.40})")
        for attribute in _parts(fields, _NODE_ATTRIBUTE):
            if constant := _look_at_attribute(attribute, depth):
                shapes |= {bytes(name): constant for name in _parts(fields, _NODE_OUTPUT)}
        place = SHAPE_INPUT.get(b"".join(_parts(fields, _NODE_KIND)))
        inputs = _parts(fields, _NODE_INPUT)
        if place is not None and place < len(inputs):
            _require_moderate(shapes.get(bytes(inputs[place]), []))


def _look_at_attribute(attribute: memoryview, depth: int) -> list[int]:
    """What a constant holds, where it may be a shape."""
    numbers: list[int] = []
    for field in _fields(attribute):
        if field.number in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
            _, numbers = _look_at_tensor(field.content)
        elif field.number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
            _look_at_graph(field.content, depth + 1)
    return numbers


def _look_at_tensor(tensor: memoryview) -> tuple[bytes, list[int]]:
    """Its name, and its numbers where it may be a shape."""
    elements, stored, kind, name = 1, 0, 0, b""
    numbers: list[int] = []
    for field in _fields(tensor):
        if field.number == _TENSOR_DIMS:
            for size in _integers(field):
                elements *= size
        elif field.number == _TENSOR_KIND:
            kind = field.value
        elif field.number == _TENSOR_NAME:
            name = bytes(field.content)
        elif field.number == _TENSOR_EXTERNAL or (field.number == _TENSOR_LOCATION and field.value):
            raise _Unfit("weights in another file")
        elif field.number in _TENSOR_VALUES:
            # One that is not packed is a number of at least a byte.
            stored += max(1, len(field.content))
            if kind == INT64 and stored <= 8 * SMALL:
                numbers += _shape_numbers(field)
    # Four-bit numbers are two to a byte; everything else takes more.
    if elements > 2 * stored:
        raise _Unfit(f"a tensor of {elements} numbers in {stored} bytes")
    return name, numbers


def _shape_numbers(field: Field) -> list[int]:
    if field.number == _TENSOR_RAW:
        content = field.content[: len(field.content) // 8 * 8]
        return [int.from_bytes(content[k : k + 8], "little") for k in range(0, len(content), 8)]
    return list(_integers(field)) if field.number == _TENSOR_INT64 else []


def _require_moderate(shape: list[int]) -> None:
    elements = 1
    for size in shape:
        elements *= max(1, size)
    if elements > MOST_ELEMENTS:
        raise _Unfit(f"a constant blown up to {elements} numbers")


def _integers(field: Field) -> Iterator[int]:
    """Of a repeated field: packed, or one at a time."""
    if not len(field.content):
        yield field.value
        return
    place = 0
    while place < len(field.content):
        value, place = _varint(field.content, place)
        yield value


def _fields(message: memoryview) -> Iterator[Field]:
    place, nothing = 0, message[:0]
    while place < len(message):
        tag, place = _varint(message, place)
        number, wire = tag >> 3, tag & 7
        value, content = 0, nothing
        if wire == 0:
            value, place = _varint(message, place)
        elif wire in (1, 5):
            place += 8 if wire == 1 else 4
        elif wire == 2:
            length, place = _varint(message, place)
            content = message[place : place + length]
            place += length
        else:
            raise _Unfit("bytes that are no ONNX")
        if number == 0 or place > len(message):
            raise _Unfit("bytes that are no ONNX, or its end missing")
        yield Field(number, value, content)


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise _Unfit("its end missing")
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise _Unfit("bytes that are no ONNX")
