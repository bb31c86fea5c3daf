"""How large a picture a codestream announces, read from its own header without decoding anything."""

import struct

from pydicom.uid import UID, JPEG2000TransferSyntaxes, RLELossless

_FRAME_MARKERS = frozenset(
    {*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7}
)
"""Start of Frame of JPEG (ITU-T T.81 B.1.1.3) and of JPEG-LS (T.87 C.1.1)."""
_ALONE = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})
"""Markers without a length."""
_HUFFMAN_FRAMES = frozenset({*range(0xC0, 0xC4), *range(0xC5, 0xC8)})
_HUFFMAN_TABLE = 0xC4
_SCAN = 0xDA
_JPEG_2000_SIZE = b"\xff\x4f\xff\x51"
"""Start of codestream, then its size segment (ITU-T T.800 A.5.1)."""


def codestream_size(frame: bytes, syntax: UID) -> tuple[int, int] | None:
    """Rows and columns as announced; None for RLE, which announces none. Raises ValueError where it is no codestream."""
    if syntax == RLELossless:
        return None
    if syntax in JPEG2000TransferSyntaxes:
        return _jpeg_2000_size(frame)
    return _jpeg_size(frame)


def _jpeg_2000_size(frame: bytes) -> tuple[int, int]:
    # Some encoders put the codestream into a JP2 box although PS3.5 8.2.4 forbids it, and decoders take it.
    start = frame.find(_JPEG_2000_SIZE, 0, 1024)
    if start < 0 or len(frame) < start + 24:
        raise ValueError("no JPEG 2000 codestream")
    right, bottom, left, top = struct.unpack_from(">4I", frame, start + 8)
    return bottom - top, right - left


def _jpeg_size(frame: bytes) -> tuple[int, int]:
    """Walks every marker segment up to the first scan: GDCM aborts its process where a Huffman table is missing."""
    at = 0
    size: tuple[int, int] | None = None
    markers: set[int] = set()
    while at + 9 <= len(frame):
        if frame[at] != 0xFF:
            raise ValueError("no JPEG marker")
        marker = frame[at + 1]
        if marker in _FRAME_MARKERS:
            size = struct.unpack_from(">2H", frame, at + 5)
        markers.add(marker)
        if marker == _SCAN:
            break
        if marker == 0xFF:
            at += 1
        elif marker in _ALONE:
            at += 2
        else:
            at += 2 + int(struct.unpack_from(">H", frame, at + 2)[0])
    if size is None:
        raise ValueError("no JPEG frame header")
    if markers & _HUFFMAN_FRAMES and _HUFFMAN_TABLE not in markers:
        raise ValueError("no Huffman table")
    return size
