"""Slices that came twice: used once where they are identical, refused where they contradict each other."""

from collections.abc import Callable, Sequence

import numpy as np

from inference.dicom.frame_pixels import FramePixels
from inference.dicom.geometry import DUPLICATE_MM, MIN_SLICES, Plane
from inference.dicom.header_values import text
from inference.dicom.hounsfield import PixelFormat
from inference.dicom.source_frames import SourceFrame
from inference.domain.errors import UnsupportedGeometry

_MADE_ANEW = (
    "SeriesNumber",
    "AcquisitionNumber",
    "AcquisitionTime",
    "ImageType",
    "ConvolutionKernel",
    "SliceThickness",
    "KVP",
    "ContrastBolusAgent",
)
"""What a copy keeps, and another acquisition or reconstruction hardly does."""
_SEND_ONCE = "Send every slice of one reconstruction once."


Comparison = Callable[[Sequence[SourceFrame], Sequence[PixelFormat]], str]
"""What contradicts between images at one position, in words; empty where nothing does."""


def distinct_slices(
    frames: Sequence[SourceFrame],
    planes: Sequence[Plane],
    forms: Sequence[PixelFormat],
    contradiction: Comparison,
) -> list[int]:
    """Indices of the slices to use: one of each position; raises UnsupportedGeometry (duplicate-position)."""
    groups = _at_one_place(planes)
    if MIN_SLICES <= len(groups) < len(frames):
        for group in groups:
            if len(group) > 1 and (
                found := contradiction([frames[i] for i in group], [forms[i] for i in group])
            ):
                raise _contradicting(found)
    # The one with the lowest UID, so that the order of arrival changes nothing.
    kept = sorted(min(group, key=lambda index: _sop_uid(frames[index])) for group in groups)
    single = [_sop_uid(frames[index]) for index in kept if not frames[index].is_of_many]
    if len(set(single)) < len(single):
        raise _contradicting("the same SOP Instance UID on different slices")
    return kept


def in_pixels() -> Comparison:
    """Images at one position differ where their Hounsfield units do."""
    pixels = FramePixels()

    def contradiction(frames: Sequence[SourceFrame], forms: Sequence[PixelFormat]) -> str:
        values = [pixels.hounsfield(frame, form) for frame, form in zip(frames, forms, strict=True)]
        differing = sum(not np.array_equal(values[0], other) for other in values[1:])
        return f"{differing + 1} different images at one position" if differing else ""

    return contradiction


def in_headers(frames: Sequence[SourceFrame], forms: Sequence[PixelFormat]) -> str:
    """Images at one position differ where their headers name another acquisition or reconstruction."""
    if len(set(forms)) > 1:
        return "images of several pixel formats at one position"
    for keyword in _MADE_ANEW:
        if len({text(frame.header, keyword) for frame in frames}) > 1:
            return f"images at one position that differ in {keyword}"
    return ""


def _at_one_place(planes: Sequence[Plane]) -> list[list[int]]:
    """Indices in groups of planes at the same position, in order along the normal of the first."""
    along_mm = np.array([plane.position_mm for plane in planes]) @ planes[0].normal
    groups: list[list[int]] = []
    for index in (int(index) for index in np.argsort(along_mm, kind="stable")):
        previous = planes[groups[-1][0]] if groups else None
        if previous is not None and _is_same(planes[index], previous):
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def _is_same(one: Plane, other: Plane) -> bool:
    apart_mm = float(np.linalg.norm(one.position_mm - other.position_mm))
    return apart_mm < DUPLICATE_MM and np.allclose(one.normal, other.normal, atol=1e-3)


def _sop_uid(frame: SourceFrame) -> str:
    return text(frame.header, "SOPInstanceUID")


def _contradicting(found: str) -> UnsupportedGeometry:
    return UnsupportedGeometry(
        found=found,
        wanted="one image per position",
        advice=_SEND_ONCE,
        reason="duplicate-position",
    )
