"""Validators that others wrote, each as a function from files to the errors it found."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import highdicom as hd
from pydicom import DataElement, config, dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.uid import (
    Comprehensive3DSRStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pydicom.valuerep import VR

from inference.dicom.codes import PRIVATE_SCHEME

Validator = Callable[[Path], list[str]]

KINDS: Mapping[str, str] = {
    CTImageStorage: "CT",
    SegmentationStorage: "SEG",
    # Label Map Segmentation (Supplement 243), which pydicom 3.0 has no name for.
    "1.2.840.10008.5.1.4.1.1.66.7": "SEG LABELMAP",
    Comprehensive3DSRStorage: "SR",
    SecondaryCaptureImageStorage: "picture page",
    MultiFrameTrueColorSecondaryCaptureImageStorage: "picture page",
}
"""By SOP class."""

_TIMEOUT_S = 120.0


def dcmqi_tool(name: str) -> Path:
    """A program of the dcmqi wheel, which pip puts beside the interpreter."""
    return Path(sys.executable).parent / name


def run_tool(command: Sequence[str | Path]) -> tuple[str, str, int]:
    """Standard output, standard error and exit status."""
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=_TIMEOUT_S,
    )
    return done.stdout, done.stderr, done.returncode


def dciodvfy(path: Path) -> list[str]:
    """Errors and warnings, but for those about our private coding scheme; its exit status says nothing."""
    with _inflated([path]) as paths:
        _, report, _ = run_tool(["dciodvfy", "-new", *paths])
    lines = report.splitlines() or ["dciodvfy said nothing"]
    return [line for line in lines if _concerns_us(line)]


def dcentvfy(paths: Sequence[Path]) -> list[str]:
    """Attributes of patient, study, series or frame of reference that differ between files."""
    with _inflated(paths) as readable:
        _, report, _ = run_tool(["dcentvfy", *readable])
    return [line for line in report.splitlines() if _concerns_us(line)]


def is_warning(line: str) -> bool:
    """Whether a line of a validator is less than an error."""
    return "Warning - " in line


def _concerns_us(line: str) -> bool:
    """Not the name of the object alone, nor what a validator is known to say of any such object."""
    expected = (
        f"Unrecognized defined term = <{PRIVATE_SCHEME}>",
        # Attributes that belong to another entity in an SR than in a CT: no contradiction.
        "Different information entities for attribute",
    )
    is_object_name = line.isalnum()
    return not is_object_name and not any(text in line for text in expected)


@contextmanager
def _inflated(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """The files; in place of deflated ones, which Debian's dicom3tools cannot read, the same objects inflated."""
    with TemporaryDirectory(prefix="inflated-") as folder:
        readable = []
        for number, path in enumerate(paths):
            syntax = read_file_meta_info(path).get("TransferSyntaxUID")
            if syntax == DeflatedExplicitVRLittleEndian:
                dataset = dcmread(path)
                dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
                path = Path(folder) / f"{number}.dcm"
                dataset.save_as(path, enforce_file_format=True)
            readable.append(path)
        yield readable


def dsrdump(path: Path) -> list[str]:
    """Errors of DCMTK's SR reader, and a document it did not print."""
    printed, report, status = run_tool(["dsrdump", path])
    errors = [line for line in report.splitlines() if line.startswith(("E:", "F:"))]
    return errors or ([f"dsrdump ended with {status}"] if status or not printed else [])


def dcm2pnm(path: Path) -> list[str]:
    """Errors of DCMTK's image reader."""
    # The picture goes to /dev/null: only whether it can be made counts.
    _, report, status = run_tool(["dcm2pnm", path, "/dev/null"])
    errors = [line for line in report.splitlines() if line.startswith(("E:", "F:"))]
    return errors or ([f"dcm2pnm ended with {status}"] if status else [])


def pydicom_strict(path: Path) -> list[str]:
    """Every element of every sequence, with values that break their VR as errors."""
    with _raising():
        try:
            for element in dcmread(path).iterall():
                if element.VR != VR.SQ:
                    # What was read is checked for its characters only; what is built, for all of PS3.5 6.2.
                    DataElement(
                        element.tag, element.VR, element.value, validation_mode=config.RAISE
                    )
        except Exception as error:  # noqa: BLE001 - whatever it raises is the finding
            return [f"{type(error).__name__}: {error}"]
    return []


@contextmanager
def _raising() -> Iterator[None]:
    before = config.settings.reading_validation_mode
    config.settings.reading_validation_mode = config.RAISE
    try:
        yield
    finally:
        config.settings.reading_validation_mode = before


def highdicom_segread(path: Path) -> list[str]:
    """Whether highdicom takes the file for a Segmentation with segments 1..N."""
    try:
        segmentation = hd.seg.segread(path)
    except Exception as error:  # noqa: BLE001 - whatever it raises is the finding
        return [f"{type(error).__name__}: {error}"]
    numbers = [int(item.SegmentNumber) for item in segmentation.SegmentSequence]
    is_in_order = numbers == list(range(1, len(numbers) + 1))
    return [] if is_in_order else [f"segments {numbers}"]


VALIDATORS: Mapping[str, Mapping[str, Validator]] = {
    "CT": {"dciodvfy": dciodvfy, "pydicom": pydicom_strict},
    "SEG": {"dciodvfy": dciodvfy, "pydicom": pydicom_strict, "segread": highdicom_segread},
    # dciodvfy of 2022 does not know the class (Supplement 243, 2024).
    "SEG LABELMAP": {"pydicom": pydicom_strict, "segread": highdicom_segread},
    "SR": {"dciodvfy": dciodvfy, "pydicom": pydicom_strict, "dsrdump": dsrdump},
    # dciodvfy and DCMTK 3.6.7 take a segment number for an error where the class is not Segmentation Storage.
    "SR of LABELMAP": {"pydicom": pydicom_strict},
    "picture page": {"dciodvfy": dciodvfy, "pydicom": pydicom_strict, "dcm2pnm": dcm2pnm},
}
"""By kind of object."""


def kind_of(path: Path) -> str:
    """What an object is, by its SOP class; a class that is not listed here is an error of this table."""
    evidence = "CurrentRequestedProcedureEvidenceSequence"
    dataset = dcmread(path, specific_tags=["SOPClassUID", evidence])
    kind = KINDS[dataset.SOPClassUID]
    cited = {
        KINDS.get(item.ReferencedSOPClassUID)
        for study in dataset.get(evidence, [])
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    return "SR of LABELMAP" if kind == "SR" and "SEG LABELMAP" in cited else kind
