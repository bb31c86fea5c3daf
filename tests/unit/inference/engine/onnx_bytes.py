"""ONNX files byte by byte, also those that no exporter would write (protobuf wire format, onnx.proto3)."""

from collections.abc import Sequence

FLOAT, INT64 = 1, 7
SIDE = 8


def varint(value: int) -> bytes:
    """Seven bits a byte, the last one first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def nested(field: int, content: bytes | str) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(data)) + data


def tensor(
    name: str,
    dims: Sequence[int],
    raw: bytes = b"",
    kind: int = FLOAT,
    external: str = "",
) -> bytes:
    """An initializer; with `external`, its weights are said to lie in that file."""
    head = b"".join(number(1, size) for size in dims) + number(2, kind) + nested(8, name)
    if not external:
        return head + nested(9, raw)
    entry = nested(1, "location") + nested(2, external)
    return head + nested(13, entry) + number(14, 1)


def node(
    kind: str, inputs: Sequence[str], outputs: Sequence[str], domain: str = "", extra: bytes = b""
) -> bytes:
    names = b"".join(nested(1, each) for each in inputs)
    names += b"".join(nested(2, each) for each in outputs)
    return names + nested(4, kind) + extra + (nested(7, domain) if domain else b"")


def value_info(name: str, channels: int) -> bytes:
    """float32 [1, channels, 8, 8, 8]"""
    sizes = (1, channels, SIDE, SIDE, SIDE)
    shape = b"".join(nested(1, number(1, size)) for size in sizes)
    return nested(1, name) + nested(2, nested(1, number(1, FLOAT) + nested(2, shape)))


def model(
    nodes: Sequence[bytes], tensors: Sequence[bytes] = (), opset: int = 17, ir_version: int = 8
) -> bytes:
    """image [1, 1, 8, 8, 8] → logits [1, 3, 8, 8, 8]"""
    graph = b"".join(nested(1, each) for each in nodes) + nested(2, "g")
    graph += b"".join(nested(5, each) for each in tensors)
    graph += nested(11, value_info("image", 1)) + nested(12, value_info("logits", 3))
    return number(1, ir_version) + nested(7, graph) + nested(8, number(2, opset))
