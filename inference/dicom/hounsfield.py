"""From the stored pixels of one slice to Hounsfield units: decoding, sign, padding, rescale."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from inference.dicom.header_values import number, text, whole_number
from inference.dicom.pixel_decoding import decoded_frame, is_lossy
from inference.domain.errors import UnreadableInput, UnsupportedGeometry

AIR_HU = -1024
"""What lies outside the reconstruction circle is set to; no material is below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFormat:
    """How stored values of one slice become Hounsfield units."""

    rows: int
    columns: int
    slope: float
    intercept: float
    padding: tuple[int, int] | None
    """Stored values from..to, both included, that are no tissue (PS3.3 C.7.5.1.1.2)."""
    is_lossy: bool
    """The pixels were compressed with loss once."""

    @property
    def is_whole(self) -> bool:
        """Whether rescaled values are integers."""
        return self.slope == int(self.slope) and self.intercept == int(self.intercept)


def pixel_format(header: Dataset) -> PixelFormat:
    """The checked pixel format; raises UnsupportedGeometry (not-hu, pixel-format) or UnreadableInput."""
    rows, columns, allocated, stored, sign = (
        _required(header, keyword)
        for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation")
    )
    # PS3.5 8.1.1: data shifted towards the highest bit, which no decoder shifts back.
    high = whole_number(header, "HighBit")
    is_known = (
        0 < rows <= 4096
        and 0 < columns <= 4096
        and allocated in (8, 16)
        and 0 < stored <= allocated
        and (high is None or high < stored)
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
        slope=slope,
        intercept=intercept,
        padding=_padding(header),
        is_lossy=is_lossy(header),
    )


def hounsfield(
    image: Dataset, form: PixelFormat, frame_index: int = 0
) -> npt.NDArray[np.int16] | npt.NDArray[np.float32]:
    """HU [row, column] of one frame, never below −1024; raises UnreadableInput or UnsupportedGeometry."""
    return rescaled(decoded_frame(image, (form.rows, form.columns), frame_index), form)


def rescaled(
    stored: npt.NDArray[np.integer], form: PixelFormat
) -> npt.NDArray[np.int16] | npt.NDArray[np.float32]:
    """HU of stored values, −1024 to 32767; padding becomes air."""
    whole = _shifted(stored, form)
    hu: npt.NDArray[np.int16] | npt.NDArray[np.float32] = (
        stored.astype(np.float32) * np.float32(form.slope) + np.float32(form.intercept)
        if whole is None
        else whole
    )
    if form.padding is not None:
        hu[_is_padding(stored, form.padding)] = AIR_HU
    np.clip(hu, AIR_HU, np.iinfo(np.int16).max, out=hu)
    return hu


def _is_padding(stored: npt.NDArray[np.integer], padding: tuple[int, int]) -> npt.NDArray[np.bool_]:
    low, high = padding
    if low == high and stored.dtype.itemsize == 2:
        # The element may have the other sign than the pixels: 63536 is −2000.
        return np.asarray(stored.view(np.uint16) == low % 65536)
    return (stored >= low) & (stored <= high)


def _shifted(stored: npt.NDArray[np.integer], form: PixelFormat) -> npt.NDArray[np.int16] | None:
    """The usual slope of 1 in 16 bit whole numbers; None where they do not fit."""
    limits = np.iinfo(np.int16)
    low, high = int(stored.min()), int(stored.max())
    ends = (low, high, form.intercept, low + form.intercept, high + form.intercept)
    if form.slope != 1 or not form.is_whole or min(ends) < limits.min or max(ends) > limits.max:
        return None
    return stored.astype(np.int16) + np.int16(form.intercept)


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


def _rescale(header: Dataset) -> tuple[float, float]:
    slope, intercept = number(header, "RescaleSlope"), number(header, "RescaleIntercept")
    kind = text(header, "RescaleType").upper()
    is_hu = kind in ("", "HU") and slope is not None and intercept is not None
    if (
        not is_hu
        or not slope
        or slope < 0
        or intercept is None
        or abs(slope) > 100
        or abs(intercept) > 1e5
    ):
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
