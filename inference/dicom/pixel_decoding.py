"""From the coded pixels of one frame to stored values, by a decoder chosen per transfer syntax."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from inference.dicom.codestream_size import codestream_size
from inference.dicom.header_values import raw_value, text, whole_number
from inference.domain.errors import UnreadableInput, UnsupportedGeometry

_PLUGINS: Mapping[str, str] = {
    JPEGBaseline8Bit: "pillow",
    JPEGExtended12Bit: "pillow",
    JPEGLossless: "gdcm",
    JPEGLosslessSV1: "gdcm",
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
    JPEG2000Lossless: "pylibjpeg",
    JPEG2000: "pylibjpeg",
    HTJ2KLossless: "pylibjpeg",
    HTJ2KLosslessRPCL: "pylibjpeg",
    HTJ2K: "pylibjpeg",
    RLELossless: "pylibjpeg",
}
"""One decoder each: pydicom would hand a codestream that broke the first to every other one installed."""
_ALWAYS_LOSSY = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless})
_EITHER = frozenset({JPEG2000, HTJ2K})
"""Lossy unless Lossy Image Compression says 00 (PS3.5 8.2.4)."""
_BROKEN = "The file is broken; send the series again."


def transfer_syntax(header: Dataset) -> UID:
    """Of the file the header came from; empty where it does not say."""
    meta = getattr(header, "file_meta", Dataset())
    return UID(text(meta, "TransferSyntaxUID"))


def is_lossy(header: Dataset) -> bool:
    """Whether the pixels lost something on their way, by any of the places that tell."""
    said = text(header, "LossyImageCompression")
    syntax = transfer_syntax(header)
    return said == "01" or syntax in _ALWAYS_LOSSY or (syntax in _EITHER and said != "00")


def decoded_frame(
    image: Dataset, shape: tuple[int, int], frame_index: int
) -> npt.NDArray[np.integer]:
    """Stored values [row, column] of one frame; raises UnreadableInput or UnsupportedGeometry (no-decoder)."""
    syntax = transfer_syntax(image)
    if not syntax.is_transfer_syntax:
        raise _unreadable("a slice of an unknown transfer syntax", "an intact CT image")
    _check_size(image, syntax, shape, frame_index)
    try:
        decoder = get_decoder(syntax)
        plugin = _PLUGINS.get(syntax, "")
        if syntax.is_encapsulated and plugin not in decoder.available_plugins:
            raise UnsupportedGeometry(
                found=f"pixels coded as {syntax.name}",
                wanted="a coding we decode",
                advice="Send the series uncompressed.",
                reason="no-decoder",
            )
        stored, _ = decoder.as_array(image, index=frame_index, decoding_plugin=plugin)
    except (UnsupportedGeometry, MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001 - each library has its own; a panic of one in Rust is no Exception
        # Without its cause: a library's message may quote the header.
        raise _unreadable("pixel data that cannot be decoded", "an intact CT image") from None
    if stored.shape != shape:
        raise _unreadable(f"decoded pixels of shape {stored.shape}", str(shape))
    return stored


def _check_size(image: Dataset, syntax: UID, shape: tuple[int, int], frame_index: int) -> None:
    """Enough bytes where they are native; no codestream of another size where they are not.

    A few hundred bytes can announce a picture of 2³² pixels, and decoders take memory by what is announced.
    """
    data = raw_value(image, "PixelData")
    frames = whole_number(image, "NumberOfFrames") or 1
    if not isinstance(data, bytes):
        raise _unreadable("a slice without pixel data", "an intact CT image")
    if not syntax.is_encapsulated:
        wanted = shape[0] * shape[1] * ((whole_number(image, "BitsAllocated") or 16) // 8) * frames
        if len(data) < wanted:
            raise _unreadable("a slice with too little pixel data", f"{wanted} bytes")
        return
    try:
        announced = codestream_size(get_frame(data, frame_index, number_of_frames=frames), syntax)
    except Exception:  # noqa: BLE001 - a damaged encapsulation raises whatever its bytes lead to
        raise _unreadable("pixel data that cannot be decoded", "an intact CT image") from None
    if announced is not None and announced != shape:
        raise _unreadable(f"coded pixels of shape {announced}", str(shape))


def _unreadable(found: str, wanted: str) -> UnreadableInput:
    return UnreadableInput(found=found, wanted=wanted, advice=_BROKEN)
