"""DICOM files below a folder: every CT series that a Segmentation refers to."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
)

from inference.dicom.header_values import text
from inference.dicom.quiet import quietly
from inference.dicom.read_file import has_dicom_mark
from inference.domain.errors import HabitusError
from training.data.cases import FoundCases, LabelledCase
from training.data.dicom_source import DicomSeg
from training.data.layouts.layout import Layout
from training.data.problems import Problem
from training.real.reference_seg import SEGMENTATIONS

TITLE = "DICOM CT with DICOM Segmentations"
CT_CLASSES = (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
NEEDED = [
    "SOPClassUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "PatientID",
    "IssuerOfPatientID",
    "ReferencedSeriesSequence",
]
HASH_DIGITS = 12
SHARE_TESTED = 50
"""Files looked at to know the layout again."""


@dataclass(slots=True)
class _Series:
    """Files that share a Series Instance UID."""

    study: str
    frame: str
    patient: str
    paths: list[Path] = field(default_factory=list)


def hashed(*texts: str) -> str:
    """Of an identity, so that none is shown; the same everywhere, so that splits can be compared."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:HASH_DIGITS]


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _matches(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    return any(_is_dicom(path) for path in islice(_files(folder), SHARE_TESTED))


def _is_dicom(path: Path) -> bool:
    try:
        return has_dicom_mark(path)
    except HabitusError:
        return False


@quietly()
def _find(folder: Path) -> FoundCases:
    series: dict[str, _Series] = {}
    segmentations: list[tuple[Path, Dataset]] = []
    damaged = others = 0
    for path in _files(folder):
        if not _is_dicom(path):
            continue
        try:
            header = dcmread(path, stop_before_pixels=True, specific_tags=list(NEEDED))
        except Exception:  # noqa: BLE001 - the library has an error of its own for every kind of damage
            damaged += 1
            continue
        if text(header, "SOPClassUID") in SEGMENTATIONS:
            segmentations.append((path, header))
        elif text(header, "SOPClassUID") in CT_CLASSES:
            series.setdefault(text(header, "SeriesInstanceUID"), _series(header)).paths.append(path)
        else:
            others += 1
    referred, problems = _referred(series, segmentations)
    problems += _studies_without(series, referred)
    return FoundCases(
        layout="dicom",
        title=TITLE,
        cases=tuple(_case(uid, series[uid], paths) for uid, paths in sorted(referred.items())),
        problems=tuple(problems),
        notes=tuple(_notes(len(series) - len(referred), damaged, others)),
    )


def _series(header: Dataset) -> _Series:
    # Without an ID, two studies cannot be told to be of one person; the reader refuses such series anyway.
    person = text(header, "PatientID") or text(header, "StudyInstanceUID")
    return _Series(
        study=text(header, "StudyInstanceUID"),
        frame=text(header, "FrameOfReferenceUID"),
        patient=hashed("patient", person, text(header, "IssuerOfPatientID")),
    )


def _case(uid: str, series: _Series, segmentations: Iterable[Path]) -> LabelledCase:
    return LabelledCase(
        name=f"series-{hashed(uid)}",
        patient=f"patient-{series.patient}",
        source=DicomSeg(images=tuple(series.paths), segmentations=tuple(segmentations)),
    )


def _referred(
    series: dict[str, _Series], segmentations: Iterable[tuple[Path, Dataset]]
) -> tuple[dict[str, list[Path]], list[Problem]]:
    """Segmentations by the series they refer to (PS3.3 C.8.20.2), or else by the one series in their space."""
    found: defaultdict[str, list[Path]] = defaultdict(list)
    problems = []
    for path, header in segmentations:
        stated = {text(item, "SeriesInstanceUID") for item in _references(header)}
        known = sorted(stated & series.keys())
        if not stated:
            frame = text(header, "FrameOfReferenceUID")
            known = sorted(uid for uid, one in series.items() if frame and one.frame == frame)
        if len(known) == 1:
            found[known[0]].append(path)
        else:
            problems.append(_lonely(f"seg-{hashed(text(header, 'SeriesInstanceUID'))}", len(known)))
    return found, problems


def _references(header: Dataset) -> list[Dataset]:
    try:
        return list(header.get("ReferencedSeriesSequence") or [])
    except Exception:  # noqa: BLE001 - a damaged sequence says nothing
        return []


def _lonely(name: str, known: int) -> Problem:
    return Problem(
        case=name,
        where="image",
        found=f"a Segmentation of {known} series"
        if known
        else "a Segmentation without its CT series",
        wanted="the one series that it was drawn on",
        advice="Bring that series into the folder, or take the Segmentation out.",
    )


def _studies_without(series: dict[str, _Series], referred: dict[str, list[Path]]) -> list[Problem]:
    """A study has series that nobody labels; a study in which nothing is labelled is a mistake."""
    with_labels = {series[uid].study for uid in referred}
    studies = {one.study for one in series.values()} - with_labels
    return [
        Problem(
            case=f"study-{hashed(study)}",
            where="label",
            found="a study with CT and without a Segmentation of it",
            wanted="a label per study",
            advice="Bring the Segmentation, or take the study out.",
        )
        for study in sorted(studies)
    ]


def _notes(unlabelled: int, damaged: int, others: int) -> Iterator[str]:
    if unlabelled:
        yield f"{unlabelled} CT series without a Segmentation are left aside"
    if damaged:
        yield f"{damaged} damaged DICOM files are left aside"
    if others:
        yield f"{others} DICOM files that say of themselves neither CT nor Segmentation are left aside"


LAYOUT = Layout(
    name="dicom",
    title=TITLE,
    looks_like="DICOM files in any folders; python -m training data fetch brings them from an archive",
    source="PS3.3 A.51 and C.8.20; segments by their codes, or by names",
    matches=_matches,
    find=_find,
)
