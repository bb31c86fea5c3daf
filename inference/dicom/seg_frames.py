"""Repeat the frames of a small model segmentation over all its segments, as bytes.

highdicom builds every attribute, once per slice; what it spends most time on, one nested item per segment and slice,
differs between segments in two numbers only and is made here by joining encoded elements.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element, write_dataset, write_file_meta_info
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

LabelPlane = npt.NDArray[np.uint8]
"""Segment numbers [row, column] of one slice."""

_FRAME_CONTENT = Tag("FrameContentSequence")
_SEGMENT_IDENTIFICATION = Tag("SegmentIdentificationSequence")
_PER_FRAME = Tag("PerFrameFunctionalGroupsSequence")
_PIXELS = Tag("PixelData")
_UTF_8 = "ISO_IR 192"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """All frames of a segmentation, encoded in Explicit VR Little Endian."""

    count: int
    groups: bytes
    """The items of the Per-Frame Functional Groups Sequence."""
    pixels: npt.NDArray[np.uint8]
    """The bytes of Pixel Data, not padded."""


def binary_frames(models: Sequence[Dataset], planes: Sequence[LabelPlane], segments: int) -> Frames:
    """One frame per segment and slice that has it, segment by segment.

    `models` are the functional groups of segment 1 on each slice, in the order of `planes`.
    """
    items = [_ModelItem.of(model) for model in models]
    used = [_UsedRows.of(plane, segments) for plane in planes]
    shown = [
        (number, item, rows)
        for number in range(1, segments + 1)
        for item, rows in zip(items, used, strict=True)
        if rows.has[number]
    ]
    # Frames follow each other without padding (PS3.5 8.1.1), so one may begin within a byte.
    packed = np.zeros(-(-len(shown) * planes[0].size // 8), np.uint8)
    for position, (number, _, rows) in enumerate(shown):
        first, skipped = divmod(position * planes[0].size + rows.start, 8)
        bits = np.packbits(np.pad(rows.pixels == number, (skipped, 0)), bitorder="little")
        packed[first : first + len(bits)] |= bits
    groups = b"".join(item.for_segment(number) for number, item, _ in shown)
    return Frames(count=len(shown), groups=groups, pixels=packed)


def label_frames(models: Sequence[Dataset], planes: Sequence[LabelPlane]) -> Frames:
    """One frame per slice, its values the segment numbers."""
    return Frames(
        count=len(planes),
        groups=b"".join(_item(b"".join(_elements(model).values())) for model in models),
        pixels=np.stack(planes).ravel(),
    )


def part10_of(header: Dataset, frames: Frames, *, is_deflated: bool) -> bytes:
    """A DICOM file of the header's attributes and these frames (the header's own frames are left out)."""
    described = Dataset()
    # Not by iterating over elements, which would decode texts that are kept as bytes.
    for tag in sorted(header.keys()):
        if tag < _PER_FRAME:
            described[tag] = header.get_item(tag)
        elif tag not in (_PER_FRAME, _PIXELS):
            raise ValueError("an attribute behind the frames, which highdicom 0.28 does not write")
    is_implicit, is_little_endian = header.original_encoding
    described.set_original_encoding(is_implicit, is_little_endian, header.original_character_set)
    described.NumberOfFrames = frames.count
    header.file_meta.TransferSyntaxUID = (
        DeflatedExplicitVRLittleEndian if is_deflated else ExplicitVRLittleEndian
    )
    start = _little_endian_buffer()
    start.write(b"\0" * 128 + b"DICM")
    write_file_meta_info(start, header.file_meta, enforce_standard=True)
    padding = b"\0" * (frames.pixels.size % 2)
    # PS3.5 A.2: OB where Bits Allocated is at most 8.
    body = (
        _encoded(described),
        _long_element(_PER_FRAME, b"SQ", len(frames.groups)),
        frames.groups,
        _long_element(_PIXELS, b"OB", frames.pixels.size + len(padding)),
        frames.pixels.data,
        padding,
    )
    return b"".join((start.getvalue(), *([_deflated(body)] if is_deflated else body)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _UsedRows:
    """The rows of a slice between the first and the last with any segment."""

    pixels: LabelPlane
    """Flat."""
    start: int
    """How many pixels of the slice come before."""
    has: npt.NDArray[np.bool_]
    """By segment number."""

    @classmethod
    def of(cls, plane: LabelPlane, segments: int) -> "_UsedRows":
        rows = np.flatnonzero(plane.any(axis=1))
        pixels = plane[rows[0] : rows[-1] + 1].ravel()
        return cls(
            pixels=pixels,
            start=int(rows[0]) * plane.shape[1],
            has=np.bincount(pixels, minlength=segments + 1) > 0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _ModelItem:
    """One slice's functional groups for segment 1, cut where another segment differs."""

    before: bytes
    """Up to the first Dimension Index Value."""
    between: bytes
    """From the second Dimension Index Value to the Referenced Segment Number."""
    is_identified: bool
    """A single segment is named in the shared groups instead."""

    @classmethod
    def of(cls, model: Dataset) -> "_ModelItem":
        elements = _elements(model)
        content = elements.pop(_FRAME_CONTENT)
        identification = elements.pop(_SEGMENT_IDENTIFICATION, b"")
        if (
            content[-8:-4] != struct.pack("<I", 1)
            or identification[-2:] not in (b"", struct.pack("<H", 1))
            or max(elements) > _SEGMENT_IDENTIFICATION
        ):
            raise ValueError("a model frame of another form than highdicom 0.28 gives it")
        first = b"".join(encoded for tag, encoded in elements.items() if tag < _FRAME_CONTENT)
        last = b"".join(encoded for tag, encoded in elements.items() if tag > _FRAME_CONTENT)
        return cls(
            before=first + content[:-8],
            between=content[-4:] + last + identification[:-2],
            is_identified=bool(identification),
        )

    def for_segment(self, number: int) -> bytes:
        """The item of another segment on the same slice."""
        end = struct.pack("<H", number) if self.is_identified else b""
        return _item(b"".join((self.before, struct.pack("<I", number), self.between, end)))


def _elements(item: Dataset) -> dict[int, bytes]:
    """Tag to encoded element, in tag order."""
    encoded: dict[int, bytes] = {}
    for element in item:
        buffer = _little_endian_buffer()
        write_data_element(buffer, element, [_UTF_8])
        encoded[element.tag] = buffer.getvalue()
    return encoded


def _encoded(dataset: Dataset) -> bytes:
    buffer = _little_endian_buffer()
    write_dataset(buffer, dataset, _UTF_8)
    return buffer.getvalue()


def _little_endian_buffer() -> DicomBytesIO:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    return buffer


def _item(content: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def _long_element(tag: int, vr: bytes, length: int) -> bytes:
    """What comes before the value of an element whose length has 32 bits (PS3.5 7.1.2)."""
    return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, length)


def _deflated(body: Sequence[bytes | memoryview]) -> bytes:
    """PS3.5 A.5: RFC 1951 without a header, padded to an even length."""
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    compressed = b"".join((*(deflate.compress(part) for part in body), deflate.flush()))
    return compressed + b"\0" * (len(compressed) % 2)
