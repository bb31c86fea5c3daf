"""Read a CT series from files: find it in a folder, check it, stack it into Hounsfield units."""

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, MediaStorageDirectoryStorage

from inference.dicom.ct_series import CtSeries
from inference.dicom.geometry import Plane, Stack, checked_plane, stack_planes
from inference.dicom.header_values import number, numbers, text
from inference.dicom.hounsfield import PixelFormat, hounsfield, pixel_format
from inference.dicom.patient import patient_from_header
from inference.dicom.quiet import quietly
from inference.dicom.suitability import unsuitable_because
from inference.domain.errors import NoSuitableSeries, UnreadableInput, UnsupportedGeometry
from inference.domain.volume import Volume

MAX_VOXELS = 1_500_000_000
"""4096 slices of 512 × 512 fit; 3 GB as int16."""
MAX_FILE_BYTES = 256 * 1024 * 1024
"""No single CT slice is larger."""
MAX_INFLATED_BYTES = 64 * 1024 * 1024
"""What a deflated slice may grow to; 4096 × 4096 pixels take half of it."""

_UIDS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_SAME_FOR_ALL = ("SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "PatientID")
_A_FOLDER = "a folder with a CT series"
_CHECK_PATH = "Check the path."
_SEND_AGAIN = "Send the series again."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _File:
    path: Path
    header: Dataset


@quietly()
def load_series(paths: Sequence[Path]) -> CtSeries:
    """The series made of exactly these files, in any order.

    Raises UnreadableInput, NoSuitableSeries or UnsupportedGeometry.
    """
    if not paths:
        raise UnreadableInput(
            found="no files", wanted="the files of one CT series", advice=_SEND_AGAIN
        )
    files = [_File(path=path, header=_read_header(path)) for path in paths]
    for file in files:
        if why := unsuitable_because(file.header):
            raise _no_series(Counter([why]))
    return _load(files)


@quietly()
def find_series(folder: Path) -> CtSeries:
    """The axial CT series of a folder tree that covers most of the body and can be measured.

    Raises UnreadableInput, NoSuitableSeries or UnsupportedGeometry.
    """
    files = list(_dicom_files(folder))
    unsuitable: Counter[str] = Counter()
    series: defaultdict[str, list[_File]] = defaultdict(list)
    for file in files:
        if why := unsuitable_because(file.header):
            unsuitable[why] += 1
        else:
            series[text(file.header, "SeriesInstanceUID")].append(file)
    if not series:
        raise _no_series(unsuitable)
    refusals: list[UnsupportedGeometry] = []
    for uid in sorted(series, key=lambda uid: (*_coverage(series[uid]), uid), reverse=True):
        try:
            return _load(series[uid])
        except UnsupportedGeometry as refusal:
            refusals.append(refusal)
    raise refusals[0]


def _no_series(unsuitable: Counter[str]) -> NoSuitableSeries:
    kinds = ", ".join(f"{count} × {why}" for why, count in unsuitable.most_common(5)) or "none"
    return NoSuitableSeries(
        found=f"no axial CT image (of others: {kinds})",
        wanted="one axial CT series",
        advice="Send the axial reconstruction of the abdomen.",
    )


def _dicom_files(folder: Path) -> Iterator[_File]:
    if not folder.is_dir():
        raise UnreadableInput(found="no such folder", wanted=_A_FOLDER, advice=_CHECK_PATH)
    candidates = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    if not candidates:
        raise UnreadableInput(found="an empty folder", wanted=_A_FOLDER, advice=_CHECK_PATH)
    found_any = False
    for path in candidates:
        if not _has_dicom_mark(path):
            continue
        found_any = True
        header = _read_header(path)
        if not _is_directory(header):
            yield _File(path=path, header=header)
    if not found_any:
        raise UnreadableInput(
            found=f"{len(candidates)} files, none of them DICOM",
            wanted=_A_FOLDER,
            advice="Export the series as DICOM files (PS3.10).",
        )


def _has_dicom_mark(path: Path) -> bool:
    """PS3.10 7.1: a 128 byte preamble, then DICM."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        raise _broken("a file that cannot be opened") from None


def _is_directory(header: Dataset) -> bool:
    stored_as = text(getattr(header, "file_meta", Dataset()), "MediaStorageSOPClassUID")
    return stored_as == MediaStorageDirectoryStorage or "DirectoryRecordSequence" in header


def _broken(found: str) -> UnreadableInput:
    return UnreadableInput(found=found, wanted="intact DICOM files", advice=_SEND_AGAIN)


def _read_header(path: Path) -> Dataset:
    header = _read(path, pixels=False)
    if "SeriesInstanceUID" not in header and not _is_directory(header):
        raise _broken("a DICOM file that ends within its header")
    return header


def _read(path: Path, *, pixels: bool) -> Dataset:
    try:
        with path.open("rb") as file:
            if _swells(file):
                raise _broken("a deflated file that swells past any CT slice")
            file.seek(0)
            return dcmread(file, stop_before_pixels=not pixels)
    except UnreadableInput:
        raise
    except InvalidDicomError:
        raise _broken("a file that is not DICOM") from None
    except OSError:
        raise _broken("a file that cannot be opened") from None
    except Exception:  # noqa: BLE001 - a damaged file raises whatever its bytes happen to lead to
        raise _broken("a damaged DICOM file") from None


def _swells(file: BinaryIO) -> bool:
    """Whether a deflated data set is larger than any slice: the library would inflate all of it at once."""
    file.seek(132)
    # The library goes by the groups, not by the stated length of group 2, and so must this.
    meta = read_dataset(file, False, True, stop_when=lambda tag, *_: tag.group != 2)
    if text(meta, "TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return False
    inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while size <= MAX_INFLATED_BYTES and (packed := inflater.unconsumed_tail or file.read(65536)):
        size += len(inflater.decompress(packed, 1 << 20))
    return size > MAX_INFLATED_BYTES


def _coverage(files: Sequence[_File]) -> tuple[float, int]:
    heights = [
        position[2]
        for file in files
        if (position := numbers(file.header, "ImagePositionPatient")) and len(position) == 3
    ]
    return (max(heights) - min(heights) if heights else 0.0), len(files)


def _load(files: Sequence[_File]) -> CtSeries:
    headers = [file.header for file in files]
    _check_uids(headers)
    forms = [pixel_format(header) for header in headers]
    stack = stack_planes(
        [_plane(header, form) for header, form in zip(headers, forms, strict=True)]
    )
    volume = _volume(files, forms, stack)
    ordered = tuple(headers[index] for index in stack.order)
    first = ordered[0]
    thickness_mm = number(first, "SliceThickness")
    return CtSeries(
        volume=volume,
        headers=ordered,
        patient=patient_from_header(first),
        study_uid=text(first, "StudyInstanceUID"),
        series_uid=text(first, "SeriesInstanceUID"),
        frame_of_reference_uid=text(first, "FrameOfReferenceUID"),
        sop_uids=tuple(sorted(text(header, "SOPInstanceUID") for header in ordered)),
        slice_thickness_mm=thickness_mm if thickness_mm else volume.spacing_mm[0],
        contrast=text(first, "ContrastBolusAgent") or "unknown",
        kvp=number(first, "KVP"),
        kernel=text(first, "ConvolutionKernel") or None,
    )


def _check_uids(headers: Sequence[Dataset]) -> None:
    for keyword in (*_UIDS, "FrameOfReferenceUID"):
        if not all(_is_uid(text(header, keyword)) for header in headers):
            raise UnsupportedGeometry(
                found=f"a slice without a usable {keyword}",
                wanted="UIDs that a result can refer to",
                advice="Send the series as the scanner made it.",
                reason="empty-uids",
            )
    for keyword in _SAME_FOR_ALL:
        if len({text(header, keyword) for header in headers}) > 1:
            raise UnsupportedGeometry(
                found=f"slices that differ in {keyword}",
                wanted="one series of one patient",
                advice="Send one series at a time.",
                reason="mixed-geometry",
            )
    if len({text(header, "SOPInstanceUID") for header in headers}) < len(headers):
        raise UnsupportedGeometry(
            found="the same SOP Instance UID in two files",
            wanted="each slice once",
            advice=_SEND_AGAIN,
            reason="duplicate-position",
        )


def _is_uid(value: str) -> bool:
    return 0 < len(value) <= 64 and set(value) <= set("0123456789.")


def _plane(header: Dataset, form: PixelFormat) -> Plane:
    return checked_plane(
        numbers(header, "ImagePositionPatient"),
        numbers(header, "ImageOrientationPatient"),
        numbers(header, "PixelSpacing"),
        (form.rows, form.columns),
    )


def _volume(files: Sequence[_File], forms: Sequence[PixelFormat], stack: Stack) -> Volume:
    shape = (len(files), forms[0].rows, forms[0].columns)
    if np.prod(shape, dtype=float) > MAX_VOXELS:
        raise UnsupportedGeometry(
            found=f"{shape[0]} slices of {shape[1]} × {shape[2]}",
            wanted=f"at most {MAX_VOXELS} voxels",
            advice="Send a thicker reconstruction.",
            reason="too-large",
        )
    is_whole = all(form.is_whole for form in forms)
    hu = np.empty(shape, np.int16 if is_whole else np.float32)
    for slice_index, file_index in enumerate(stack.order):
        path = files[file_index].path
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _broken("a file larger than any CT slice")
        values = hounsfield(_read(path, pixels=True), forms[file_index])
        hu[slice_index] = np.minimum(values, np.iinfo(np.int16).max)
    return Volume(hu=hu, affine_lps=stack.affine_lps)
