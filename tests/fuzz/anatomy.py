"""Where the elements of a DICOM file lie, and how to put a changed file together again."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import cast

from pydicom import dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

PIXEL_DATA = 0x7FE00010
UNDEFINED = 0xFFFFFFFF
LONG_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
"""Explicit VRs with a 32 bit length (PS3.5 7.1.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One element of the top level: tag, VR and length field from `start`, the value from `value` to `end`."""

    tag: int
    vr: str
    start: int
    value: int
    end: int

    @property
    def has_long_length(self) -> bool:
        """Whether its length field has 32 bits behind two reserved bytes."""
        return self.value - self.start == 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """A file taken apart: preamble and group 2, the data set (inflated where it was deflated), its elements."""

    meta: bytes
    body: bytes
    meta_elements: tuple[Element, ...]
    """Their places are those in `meta`."""
    elements: tuple[Element, ...]
    is_explicit: bool
    is_little: bool
    is_deflated: bool

    @property
    def header_end(self) -> int:
        """Where the pixel data element begins."""
        return next(
            (part.start for part in self.elements if part.tag == PIXEL_DATA), len(self.body)
        )

    @property
    def pixels(self) -> Element | None:
        """The pixel data element."""
        return next((part for part in self.elements if part.tag == PIXEL_DATA), None)

    @property
    def is_encapsulated(self) -> bool:
        """Whether the pixels lie in fragments."""
        pixels = self.pixels
        if pixels is None or not self.is_explicit:
            return False
        return self.body[pixels.value - 4 : pixels.value] == b"\xff" * 4

    def file(self, body: bytes, meta: bytes | None = None) -> bytes:
        """The bytes of a file with another data set."""
        return (self.meta if meta is None else meta) + (
            deflated(body) if self.is_deflated else body
        )

    def number(self, form: str, value: int) -> bytes:
        """An integer in the file's byte order, cut to the width of the struct letter."""
        width = struct.calcsize(form)
        return (value % (1 << (8 * width))).to_bytes(width, "little" if self.is_little else "big")

    def named(self, keyword: str) -> Element | None:
        """The element of a keyword, where the file has it."""
        tag = tag_for_keyword(keyword)
        return next((part for part in self.elements if part.tag == tag), None)

    def encoded(self, tag: int, vr: str, value: bytes, length: int | None = None) -> bytes:
        """An element's bytes; `length` lies about the value's."""
        size = len(value) if length is None else length
        start = self.number("H", tag >> 16) + self.number("H", tag & 0xFFFF)
        if not self.is_explicit:
            return start + self.number("I", size) + value
        if vr in LONG_VRS:
            return start + vr.encode() + b"\0\0" + self.number("I", size) + value
        return start + vr.encode() + self.number("H", size) + value

    def with_element(self, tag: int, vr: str, value: bytes, length: int | None = None) -> bytes:
        """The data set with this element in the place of its tag, in stead of the one that was there."""
        encoded = self.encoded(tag, vr, value, length)
        for part in self.elements:
            if part.tag == tag:
                return self.body[: part.start] + encoded + self.body[part.end :]
            if part.tag > tag:
                return self.body[: part.start] + encoded + self.body[part.start :]
        return self.body + encoded


def deflated(body: bytes) -> bytes:
    """As PS3.5 A.5 has it: a bare deflate stream."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


def take_apart(content: bytes) -> Anatomy:
    """The anatomy of an intact file."""
    dataset = dcmread(BytesIO(content))
    syntax = dataset.file_meta.TransferSyntaxUID
    meta_length = 144 + int(dataset.file_meta.FileMetaInformationGroupLength)
    meta, body = content[:meta_length], content[meta_length:]
    is_deflated = syntax == DeflatedExplicitVRLittleEndian
    if is_deflated:
        body = zlib.decompress(body, -zlib.MAX_WBITS)
    is_implicit, is_little = dataset.original_encoding
    shift = 0 if is_deflated else meta_length
    return Anatomy(
        meta=meta,
        body=body,
        meta_elements=_elements(dataset.file_meta, 0, meta_length, is_explicit=True),
        elements=_elements(dataset, shift, len(body), is_explicit=not is_implicit),
        is_explicit=not is_implicit,
        is_little=bool(is_little),
        is_deflated=is_deflated,
    )


def _elements(dataset: Dataset, shift: int, end: int, *, is_explicit: bool) -> tuple[Element, ...]:
    starts: list[tuple[int, str, int, int]] = []
    for tag in sorted(dataset.keys()):
        # Not dataset[tag], which would parse the value and forget where it lay.
        item = cast("DataElement | RawDataElement", dataset.get_item(tag))
        vr = str(item.VR or "UN")
        value = item.value_tell if isinstance(item, RawDataElement) else item.file_tell
        assert value is not None
        width = 12 if is_explicit and vr in LONG_VRS else 8
        starts.append((int(tag), vr, value - shift - width, value - shift))
    return _bordered(starts, end)


def _bordered(starts: Sequence[tuple[int, str, int, int]], end: int) -> tuple[Element, ...]:
    """Each element ends where the next one starts."""
    ends = [start for _, _, start, _ in starts[1:]] + [end]
    return tuple(
        Element(tag=tag, vr=vr, start=start, value=value, end=stop)
        for (tag, vr, start, value), stop in zip(starts, ends, strict=True)
    )
