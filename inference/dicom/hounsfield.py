"""From the stored pixels of one slice to Hounsfield units: decoding, sign, padding, rescale."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from inference.dicom.header_values import number, raw_value, text, whole_number
from inference.domain.errors import UnreadableInput, UnsupportedGeometry

AIR_HU = -1024
"""What lies outside the reconstruction circle is set to; no material is below."""

_LOSSY_SYNTAXES = frozenset(
    {
        "1.2.840.10008.1.2.4.50",  # JPEG baseline
        "1.2.840.10008.1.2.4.51",  # JPEG extended
        "1.2.840.10008.1.2.4.81",  # JPEG-LS near-lossless
        "1.2.840.10008.1.2.4.203",  # HTJ2K
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFormat:
    """How stored values of one slice become Hounsfield units."""

    rows: int
    columns: int
    bits_allocated: int
    slope: float
    intercept: float
    padding: tuple[int, int] | None
    """Stored values from..to, both included, that are no tissue (PS3.3 C.7.5.1.1.2)."""

    @property
    def is_whole(self) -> bool:
        """Whether rescaled values are integers."""
        return self.slope == int(self.slope) and self.intercept == int(self.intercept)

    @property
    def frame_bytes(self) -> int:
        """Size of the decoded slice."""
        return self.rows * self.columns * self.bits_allocated // 8


def pixel_format(header: Dataset) -> PixelFormat:
    """The checked pixel format; raises UnsupportedGeometry (lossy, not-hu, pixel-format) or UnreadableInput."""
    _check_lossless(header)
    rows, columns, allocated, stored, sign = (
        _required(header, keyword)
        for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation")
    )
    is_known = (
        0 < rows <= 4096
        and 0 < columns <= 4096
        and allocated in (8, 16)
        and 0 < stored <= allocated
        and sign in (0, 1)
        and whole_number(header, "SamplesPerPixel") == 1
        and text(header, "PhotometricInterpretation") == "MONOCHROME2"
    )
    if not is_known:
        raise _refused(
            "pixel-format", "pixels of an unusual format", "one 8 or 16 bit MONOCHROME2 sample"
        )
    slope, intercept = _rescale(header)
    return PixelFormat(
        rows=rows,
        columns=columns,
        bits_allocated=allocated,
        slope=slope,
        intercept=intercept,
        padding=_padding(header),
    )


def hounsfield(image: Dataset, form: PixelFormat) -> npt.NDArray[np.float32]:
    """HU [row, column] of one slice, never below −1024; raises UnreadableInput or UnsupportedGeometry."""
    stored = _decoded(image, form)
    hu = stored.astype(np.float32) * np.float32(form.slope) + np.float32(form.intercept)
    if form.padding is not None:
        hu[(stored >= form.padding[0]) & (stored <= form.padding[1])] = AIR_HU
    np.maximum(hu, AIR_HU, out=hu)
    return hu


def _refused(reason: str, found: str, wanted: str) -> UnsupportedGeometry:
    return UnsupportedGeometry(
        found=found, wanted=wanted, advice="Send the original reconstruction.", reason=reason
    )


def _required(header: Dataset, keyword: str) -> int:
    value = whole_number(header, keyword)
    if value is None:
        raise UnreadableInput(
            found=f"a slice without {keyword}",
            wanted="a complete CT image",
            advice="Send the series again.",
        )
    return value


def _check_lossless(header: Dataset) -> None:
    is_lossy = text(header, "LossyImageCompression") == "01"
    if is_lossy or _transfer_syntax(header) in _LOSSY_SYNTAXES:
        raise _refused("lossy", "lossy compressed pixels", "pixels that were never lossy")


def _transfer_syntax(header: Dataset) -> UID:
    meta = getattr(header, "file_meta", Dataset())
    return UID(text(meta, "TransferSyntaxUID"))


def _rescale(header: Dataset) -> tuple[float, float]:
    slope, intercept = number(header, "RescaleSlope"), number(header, "RescaleIntercept")
    kind = text(header, "RescaleType").upper()
    is_hu = kind in ("", "HU") and slope is not None and intercept is not None
    if not is_hu or not slope or intercept is None or abs(slope) > 100 or abs(intercept) > 1e5:
        raise _refused(
            "not-hu",
            "a slice whose values are not Hounsfield units",
            "Rescale Slope and Intercept to HU",
        )
    return slope, intercept


def _padding(header: Dataset) -> tuple[int, int] | None:
    value = whole_number(header, "PixelPaddingValue")
    if value is None:
        return None
    limit = whole_number(header, "PixelPaddingRangeLimit")
    ends = (value, value if limit is None else limit)
    return min(ends), max(ends)


def _decoded(image: Dataset, form: PixelFormat) -> npt.NDArray[np.integer]:
    syntax = _transfer_syntax(image)
    if not syntax.is_transfer_syntax:
        raise UnreadableInput(
            found="a slice of an unknown transfer syntax",
            wanted="an intact CT image",
            advice="The file is broken; send the series again.",
        )
    data = raw_value(image, "PixelData")
    if not isinstance(data, bytes) or (not syntax.is_compressed and len(data) < form.frame_bytes):
        raise UnreadableInput(
            found="a slice with too little pixel data",
            wanted=f"{form.frame_bytes} bytes",
            advice="The file is truncated; send the series again.",
        )
    try:
        decoder = get_decoder(syntax)
        if not decoder.is_available:
            raise _refused("no-decoder", f"pixels coded as {syntax.name}", "a coding we decode")
        stored, _ = decoder.as_array(image, index=0)
    except (UnsupportedGeometry, KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001 - each library has its own; a panic of one in Rust is no Exception
        # Without its cause: a library's message may quote the header.
        raise UnreadableInput(
            found="pixel data that cannot be decoded",
            wanted="an intact CT image",
            advice="The file is broken; send the series again.",
        ) from None
    if stored.shape != (form.rows, form.columns):
        raise UnreadableInput(
            found=f"decoded pixels of shape {stored.shape}",
            wanted=f"({form.rows}, {form.columns})",
            advice="The file is broken; send the series again.",
        )
    return stored
