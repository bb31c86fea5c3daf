"""References of a segmentation to single frames of a multi-frame image.

Our slices are shown to highdicom as images of their own, since it copies every frame of a multi-frame source. So a frame goes by a stand-in UID while a result is built, and
`name_frames` puts the image's UID and the frame's number in its place.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from inference.dicom.ct_series import CtSeries
from inference.dicom.header_values import text
from inference.dicom.identity import derive_uid
from inference.dicom.source_images import source_image


def frame_source(series: CtSeries, slice_index: int) -> Dataset:
    """The source image of a slice; a frame under its stand-in."""
    image = source_image(series, slice_index)
    if series.frame_number(slice_index) is not None:
        image.SOPInstanceUID = _reference_uid(series, slice_index)
        image.SOPClassUID = CTImageStorage
    return image


def _reference_uid(series: CtSeries, slice_index: int) -> str:
    uid = text(series.headers[slice_index], "SOPInstanceUID")
    frame_number = series.frame_number(slice_index)
    return uid if frame_number is None else derive_uid("frame", uid, str(frame_number))


def name_frames(result: Dataset, series: CtSeries) -> None:
    """Put image and frame number in place of every stand-in."""
    frames = {
        _reference_uid(series, index): _Frame(
            sop_class_uid=text(header, "SOPClassUID"),
            sop_instance_uid=text(header, "SOPInstanceUID"),
            number=frame_number,
        )
        for index, header in enumerate(series.headers)
        if (frame_number := series.frame_number(index)) is not None
    }
    if frames:
        _name_below(result, frames, is_list=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    sop_class_uid: str
    sop_instance_uid: str
    number: int


def _name_below(item: Dataset, frames: Mapping[str, _Frame], *, is_list: bool) -> None:
    frame = frames.get(str(item.get("ReferencedSOPInstanceUID", "")))
    if frame is not None:
        item.ReferencedSOPClassUID = frame.sop_class_uid
        item.ReferencedSOPInstanceUID = frame.sop_instance_uid
        if not is_list:
            item.ReferencedFrameNumber = frame.number
    for element in item:
        if element.VR != "SQ":
            continue
        is_series = element.keyword == "ReferencedSeriesSequence"
        for child in element.value:
            _name_below(child, frames, is_list=is_list or is_series)
        if is_list and element.keyword == "ReferencedInstanceSequence":
            once = {str(child.ReferencedSOPInstanceUID): child for child in element.value}
            element.value = list(once.values())
