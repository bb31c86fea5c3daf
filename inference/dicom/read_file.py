"""One DICOM file: its header, and the whole of it; what is broken becomes our own error."""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, MediaStorageDirectoryStorage

from inference.dicom.header_values import text, whole_number
from inference.domain.errors import UnreadableInput

MAX_FILE_BYTES = 256 * 1024 * 1024
"""No single CT slice is larger."""
MAX_INFLATED_BYTES = 64 * 1024 * 1024
"""What a deflated slice may grow to; 4096 × 4096 pixels take half of it."""
_MARK = b"DICM"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourceFile:
    """A file whose header was read."""

    path: Path
    header: Dataset
    """Everything before the pixel data."""


def has_dicom_mark(path: Path) -> bool:
    """PS3.10 7.1: a 128 byte preamble, then DICM."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == _MARK
    except OSError:
        raise broken("a file that cannot be opened") from None


def is_directory(header: Dataset) -> bool:
    """Whether this is a DICOMDIR, which lists images and holds none."""
    stored_as = text(getattr(header, "file_meta", Dataset()), "MediaStorageSOPClassUID")
    return stored_as == MediaStorageDirectoryStorage or "DirectoryRecordSequence" in header


def read_header(path: Path) -> SourceFile:
    """The header of a file; raises UnreadableInput."""
    header = _read(path, pixels=False)
    if "SeriesInstanceUID" not in header and not is_directory(header):
        raise broken("a DICOM file that ends within its header")
    return SourceFile(path=path, header=header)


def read_image(file: SourceFile) -> Dataset:
    """The whole file, pixels included; raises UnreadableInput."""
    frames = max(1, whole_number(file.header, "NumberOfFrames") or 1)
    frame_bytes = 2 * (whole_number(file.header, "Rows") or 0) * (
        whole_number(file.header, "Columns") or 0
    )  # fmt: skip
    if file.path.stat().st_size > MAX_FILE_BYTES + (frames - 1) * frame_bytes:
        raise broken("a file larger than any CT slice")
    return _read(file.path, pixels=True)


def broken(found: str) -> UnreadableInput:
    """The error of a damaged file."""
    return UnreadableInput(
        found=found, wanted="intact DICOM files", advice="Send the series again."
    )


def _read(path: Path, *, pixels: bool) -> Dataset:
    try:
        with path.open("rb") as file:
            if _swells(file):
                raise broken("a deflated file that swells past any CT slice")
            file.seek(0)
            return dcmread(file, stop_before_pixels=not pixels)
    except UnreadableInput:
        raise
    except InvalidDicomError:
        raise broken("a file that is not DICOM") from None
    except OSError:
        raise broken("a file that cannot be opened") from None
    except Exception:  # noqa: BLE001 - a damaged file raises whatever its bytes lead to, a MemoryError for a length
        raise broken("a damaged DICOM file") from None


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
