"""The pixels of slices, wherever they lie: native ones straight from the file, all others through the library."""

import struct

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from inference.dicom.header_values import whole_number
from inference.dicom.hounsfield import PixelFormat, hounsfield, rescaled
from inference.dicom.pixel_decoding import transfer_syntax
from inference.dicom.read_file import SourceFile, read_image
from inference.dicom.source_frames import SourceFrame

_PIXEL_DATA = b"\xe0\x7f\x10\x00"
_VALUE_AT = {ExplicitVRLittleEndian: 12, ImplicitVRLittleEndian: 8}
"""Bytes of the element before its value (PS3.5 7.1)."""
_UNDEFINED = 0xFFFFFFFF


class FramePixels:
    """Reads slice after slice; of a multi-frame file that must be decoded, all is read once."""

    def __init__(self) -> None:
        self._file: SourceFile | None = None
        self._image = Dataset()

    def hounsfield(self, frame: SourceFrame, form: PixelFormat) -> npt.NDArray[np.float32]:
        """HU [row, column] of one slice; raises UnreadableInput or UnsupportedGeometry."""
        stored = native_frame(frame.file, (form.rows, form.columns), frame.frame_index)
        if stored is not None:
            return rescaled(stored, form)
        if self._file is not frame.file:
            self._file, self._image = frame.file, read_image(frame.file)
        return hounsfield(self._image, form, frame.frame_index)


def native_frame(
    file: SourceFile, shape: tuple[int, int], frame_index: int
) -> npt.NDArray[np.integer] | None:
    """Stored values [row, column] of one frame, or None where the library has to look at the file."""
    value_at = _VALUE_AT.get(transfer_syntax(file.header))
    header = file.header
    stored_bits, high_bit, sign = (
        whole_number(header, keyword)
        for keyword in ("BitsStored", "HighBit", "PixelRepresentation")
    )
    is_plain = (
        value_at is not None
        and whole_number(header, "BitsAllocated") == 16
        and stored_bits is not None
        and high_bit == stored_bits - 1
        and sign in (0, 1)
    )
    if not is_plain or value_at is None or stored_bits is None:
        return None
    frames = whole_number(header, "NumberOfFrames") or 1
    count = shape[0] * shape[1]
    with file.path.open("rb") as opened:
        opened.seek(file.pixel_offset)
        start = opened.read(value_at)
        if len(start) < value_at or not start.startswith(_PIXEL_DATA):
            return None
        (length,) = struct.unpack_from("<I", start, value_at - 4)
        if length == _UNDEFINED or length < 2 * count * frames or not 0 <= frame_index < frames:
            return None
        opened.seek(2 * count * frame_index, 1)
        values = np.fromfile(opened, "<u2", count)
    if values.size < count:
        return None
    return _signed(values, stored_bits, is_signed=sign == 1).reshape(shape)


def _signed(
    values: npt.NDArray[np.uint16], stored_bits: int, *, is_signed: bool
) -> npt.NDArray[np.integer]:
    """Bits above those stored may hold anything (PS3.5 8.1.1): the sign is extended, or they are cleared."""
    spare = 16 - stored_bits
    if not is_signed:
        return values if spare == 0 else values & np.uint16((1 << stored_bits) - 1)
    whole = values.view("<i2")
    return whole if spare == 0 else (whole << spare) >> spare
