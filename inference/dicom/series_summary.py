"""From the headers of one series to its summary: the facts that the choice between series rests on."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import UID

from inference.dicom.geometry import FARTHEST_MM, MIN_SLICES
from inference.dicom.header_values import number, numbers, text, whole_number
from inference.dicom.slice_steps import is_even, step_tolerance_mm, uneven_steps
from inference.dicom.source_frames import is_enhanced
from inference.dicom.suitability import unsuitable_because
from inference.domain.series_choice import SeriesSummary

NEEDED = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "PatientID",
    "Modality",
    "ImageType",
    "SamplesPerPixel",
    "SeriesDescription",
    "ProtocolName",
    "BodyPartExamined",
    "ConvolutionKernel",
    "ContrastBolusAgent",
    "ContrastBolusStartTime",
    "NumberOfFrames",
    "SliceThickness",
    "PixelSpacing",
    "Columns",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "Exposure",
    "ExposureTime",
    "XRayTubeCurrent",
    "RescaleType",
    "AcquisitionDate",
    "AcquisitionTime",
    "SeriesDate",
    "SeriesTime",
    "ContentDate",
    "ContentTime",
    "StudyDate",
    "StudyTime",
)
"""Keywords that a summary reads."""
REPEATED_MM = 0.05


def split_slices(headers: Sequence[Dataset]) -> tuple[list[int], tuple[str, ...]]:
    """Which of a series' images are slices, and why the others are not; all of them where none is a slice."""
    why = [unsuitable_because(header) for header in headers]
    slices = [index for index, reason in enumerate(why) if reason is None]
    if not slices:
        return list(range(len(headers))), ()
    return slices, tuple(sorted(reason for reason in why if reason is not None))


def summarise(
    headers: Sequence[Dataset], study_modalities: Sequence[str], left_out: tuple[str, ...] = ()
) -> SeriesSummary:
    """The summary of a series; damaged values count as absent."""
    # Files come in any order: what differs within a series must not depend on it.
    headers = sorted(headers, key=lambda header: text(header, "SOPInstanceUID"))
    first = headers[0]
    pixel_mm = _numbers(first, "PixelSpacing")
    columns = whole_number(first, "Columns")
    summary = SeriesSummary(
        series_uid=text(first, "SeriesInstanceUID"),
        study_uid=text(first, "StudyInstanceUID"),
        number=_in_range(whole_number(first, "SeriesNumber")),
        modality=text(first, "Modality"),
        image_class=_class_name(text(first, "SOPClassUID")),
        image_kinds=_image_kinds(headers),
        samples_per_pixel=max(whole_number(header, "SamplesPerPixel") or 1 for header in headers),
        description=text(first, "SeriesDescription"),
        protocol=text(first, "ProtocolName"),
        body_part=text(first, "BodyPartExamined"),
        kernel=_text(first, "ConvolutionKernel"),
        contrast_agent=_text(first, "ContrastBolusAgent"),
        contrast_delay_s=_contrast_delay_s(first),
        images=sum(_in_range(whole_number(h, "NumberOfFrames")) or 1 for h in headers),
        left_out=left_out,
        thickness_mm=_typical(
            abs(value) for h in headers if (value := _number(h, "SliceThickness"))
        ),
        field_of_view_mm=pixel_mm[1] * columns
        if pixel_mm and len(pixel_mm) == 2 and columns
        else None,
        exposure_mas=_typical(value for h in headers if (value := _exposure_mas(h))),
        rescale_type=text(first, "RescaleType").upper(),
        study_modalities=tuple(sorted(set(study_modalities))),
        acquired=max(_acquired(header) for header in headers),
    )
    return _with_geometry(summary, headers)


def header_from_texts(texts: Mapping[str, str]) -> Dataset:
    """A header from keywords and values as text (several joined by a backslash); what does not parse is absent."""
    header = Dataset()
    for keyword in NEEDED:
        value = texts.get(keyword)
        if not value:
            continue
        try:
            setattr(header, keyword, value)
        except Exception:  # noqa: BLE001, S112 - the library has an error of its own for every kind of damage
            continue
    return header


def _in_range(value: int | None) -> int | None:
    """None where no Integer String can hold it (PS3.5 6.2)."""
    return value if value is not None and abs(value) < 2**31 else None


def _class_name(uid: str) -> str:
    return UID(uid).name if uid else ""


def _image_kinds(headers: Sequence[Dataset]) -> tuple[str, ...]:
    joined = {text(header, "ImageType").upper() for header in headers}
    return tuple(sorted({kind.strip() for kinds in joined for kind in kinds.split("\\")} - {""}))


def _in_groups(header: Dataset, keyword: str) -> Dataset:
    """The data set that holds the keyword: the header, or an item of its first functional groups (PS3.3 C.7.6.16)."""
    if keyword in header:
        return header
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for groups in _groups(header, name)[:1]:
            for item in _macro_items(groups):
                if keyword in item:
                    return item
    return header


def _groups(header: Dataset, keyword: str) -> list[Dataset]:
    # A plain slice has none; thousands of items where it claims some would only cost the time to parse them.
    if not is_enhanced(header):
        return []
    try:
        return list(header.get(keyword) or [])
    except Exception:  # noqa: BLE001 - the library has an error of its own for every kind of damage
        return []


def _macro_items(groups: Dataset) -> Iterator[Dataset]:
    for tag in list(groups.keys()):
        try:
            element = groups[tag]
        except Exception:  # noqa: BLE001, S112 - as above
            continue
        if element.VR == "SQ" and element.value:
            yield element.value[0]


def _text(header: Dataset, keyword: str) -> str:
    return text(_in_groups(header, keyword), keyword)


def _number(header: Dataset, keyword: str) -> float | None:
    return number(_in_groups(header, keyword), keyword)


def _numbers(header: Dataset, keyword: str) -> tuple[float, ...] | None:
    return numbers(_in_groups(header, keyword), keyword)


def _typical(values: Iterator[float]) -> float | None:
    known = list(values)
    return float(np.median(known)) if known else None


def _exposure_mas(header: Dataset) -> float | None:
    stated = _number(header, "Exposure")
    if stated:
        return stated
    current_ma, time_ms = _number(header, "XRayTubeCurrent"), _number(header, "ExposureTime")
    return current_ma * time_ms / 1000 if current_ma and time_ms else None


def _acquired(header: Dataset) -> str:
    """The most precise moment there is, as 14 digits."""
    for kind in ("Acquisition", "Content", "Series", "Study"):
        day = re.sub(r"\D", "", text(header, f"{kind}Date"))[:8]
        if len(day) == 8:
            return day + re.sub(r"\D", "", text(header, f"{kind}Time"))[:6].ljust(6, "0")
    return ""


def _contrast_delay_s(header: Dataset) -> float | None:
    start = _seconds(_text(header, "ContrastBolusStartTime"))
    acquired = _seconds(text(header, "AcquisitionTime"))
    if start is None or acquired is None or acquired < start:
        return None
    return acquired - start


def _seconds(value: str) -> float | None:
    """Of the day (PS3.5 6.2, TM)."""
    try:
        moment = datetime.strptime(value.split(".")[0][:6], "%H%M%S")
    except ValueError:
        return None
    return float(moment.hour * 3600 + moment.minute * 60 + moment.second)


_Plane = tuple[tuple[float, ...], tuple[float, ...], float | None]
"""Position, orientation and thickness."""


def _planes(headers: Sequence[Dataset]) -> Iterator[_Plane]:
    """Of every slice or frame that has position and orientation."""
    for header in headers:
        shared = _numbers(header, "ImageOrientationPatient")
        shared_mm = _number(header, "SliceThickness")
        frames = _groups(header, "PerFrameFunctionalGroupsSequence")
        for plane in frames or [header]:
            position = numbers(_in_frame(plane, "ImagePositionPatient"), "ImagePositionPatient")
            own = numbers(_in_frame(plane, "ImageOrientationPatient"), "ImageOrientationPatient")
            orientation = own or shared
            if not position or not orientation or (len(position), len(orientation)) != (3, 6):
                continue
            if max(map(abs, (*position, *orientation))) < FARTHEST_MM:
                own_mm = number(_in_frame(plane, "SliceThickness"), "SliceThickness")
                yield position, orientation, own_mm or shared_mm


def _in_frame(plane: Dataset, keyword: str) -> Dataset:
    if keyword in plane:
        return plane
    return next((item for item in _macro_items(plane) if keyword in item), plane)


def _with_geometry(summary: SeriesSummary, headers: Sequence[Dataset]) -> SeriesSummary:
    planes = list(_planes(headers))
    if not planes:
        return summary
    positions = np.array([position for position, _, _ in planes])
    axes = np.median(np.array([orientation for _, orientation, _ in planes]), axis=0)
    normal = np.cross(axes[:3], axes[3:])
    length = float(np.linalg.norm(normal))
    if not 0.5 < length < 2:
        return summary
    normal /= length
    along_mm = positions @ normal
    order = np.argsort(along_mm)
    steps = np.diff(along_mm[order])
    apart = steps[steps >= REPEATED_MM]
    summary = replace(
        summary,
        oblique_degrees=_degrees(abs(float(normal[2]))),
        repeated_positions=len(steps) - len(apart),
    )
    if not len(apart):
        return summary
    advance = positions[order[-1]] - positions[order[0]]
    step_mm = float(np.median(apart))
    kept = order[np.concatenate(([True], steps >= REPEATED_MM))]
    missing, uneven = _gaps(along_mm[kept], [planes[index][2] for index in kept])
    return replace(
        summary,
        coverage_mm=float(along_mm[order[-1]] - along_mm[order[0]]),
        step_mm=step_mm,
        tilt_degrees=_degrees(float(advance @ normal / np.linalg.norm(advance))),
        missing_slices=missing,
        uneven_steps=uneven,
    )


def _gaps(along_mm: npt.NDArray[np.float64], thickness_mm: list[float | None]) -> tuple[int, int]:
    """About how many slices are missing, or else how many steps are of another width than the finest."""
    steps = np.diff(along_mm)
    lost = int(np.maximum(np.rint(steps / np.median(steps)) - 1, 0).sum())
    if len(along_mm) < MIN_SLICES:
        return lost, 0
    if is_even(along_mm):
        return 0, 0
    found = uneven_steps(along_mm, thickness_mm)
    if found.doubt:
        return max(lost, 1), 0
    tolerance = step_tolerance_mm(found.step_mm)
    return 0, int((np.abs(steps - found.step_mm) > tolerance).sum())


def _degrees(cosine: float) -> float:
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
