"""A folder of DICOM files, headers only: which series lie in it, and which files tell nothing."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom.dataset import Dataset

from inference.dicom.header_values import text
from inference.dicom.quiet import quietly
from inference.dicom.read_file import has_dicom_mark, is_directory, read_header
from inference.dicom.series_summary import header_from_texts, split_slices, summarise
from inference.domain.errors import NoSuitableSeries, StudyRejected, UnreadableInput
from inference.domain.series_choice import SeriesSummary

_A_FOLDER = "a folder with a CT series"
_CHECK_PATH = "Check the path."


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyedSeries:
    """One series of a folder."""

    summary: SeriesSummary
    paths: tuple[Path, ...]
    """Of its slices, or of all its images where none is a slice."""
    patient_ids: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Everything that lies in a folder."""

    series: tuple[SurveyedSeries, ...]
    files: int
    """DICOM files and others."""
    unreadable: tuple[int, ...]
    """Places (from 1, files sorted by path) of damaged DICOM files, whose series nobody knows."""
    unreadable_paths: tuple[Path, ...] = ()
    """The same files; a name may name a patient, so it is for the operator's own screen only."""

    @property
    def summaries(self) -> tuple[SeriesSummary, ...]:
        """For the choice."""
        return tuple(series.summary for series in self.series)

    def of(self, series_uid: str) -> SurveyedSeries:
        """The series of that UID."""
        return next(s for s in self.series if s.summary.series_uid == series_uid)

    def require_one_patient(self, series_uids: Iterable[str]) -> None:
        """Raise StudyRejected where these series are of several patients."""
        patients = frozenset[str]().union(*(self.of(uid).patient_ids for uid in series_uids))
        if len(patients) > 1:
            raise StudyRejected(
                found=f"CT series of {len(patients)} patients in one folder",
                wanted="one patient's study",
                advice="Put each patient's files into a folder of their own.",
                reason="several-patients",
            )

    @property
    def damage(self) -> str:
        """What cannot be read, in words; empty where everything can."""
        if not self.unreadable:
            return ""
        shown = ", ".join(str(place) for place in self.unreadable[:5])
        more = ", …" if len(self.unreadable) > 5 else ""
        return (
            f"{len(self.unreadable)} of {self.files} files cannot be read"
            f" (number {shown}{more} by name), so what series they belong to is unknown"
        )


@quietly()
def survey_folder(folder: Path) -> Survey:
    """All series of a folder tree; raises UnreadableInput or NoSuitableSeries where there is none."""
    if not folder.is_dir():
        what = "a file in place of a folder" if folder.is_file() else "no such folder"
        raise UnreadableInput(found=what, wanted=_A_FOLDER, advice=_CHECK_PATH)
    candidates = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    if not candidates:
        raise UnreadableInput(found="an empty folder", wanted=_A_FOLDER, advice=_CHECK_PATH)
    series: defaultdict[str, list[tuple[Path, Dataset]]] = defaultdict(list)
    damaged: list[int] = []
    is_any_dicom = False
    for place, path in enumerate(candidates, start=1):
        try:
            if not has_dicom_mark(path):
                continue
            is_any_dicom = True
            header = read_header(path).header
        except UnreadableInput:
            is_any_dicom = True
            damaged.append(place)
            continue
        if not is_directory(header):
            series[text(header, "SeriesInstanceUID")].append((path, header))
    if not is_any_dicom:
        raise UnreadableInput(
            found=f"{len(candidates)} files, none of them DICOM",
            wanted=_A_FOLDER,
            advice="Export the series as DICOM files (PS3.10); a NIfTI file is named itself, not its folder.",
        )
    if not series:
        _raise_nothing_to_choose(len(damaged))
    modalities = [text(images[0][1], "Modality") for images in series.values()]
    found = [_surveyed(series[uid], modalities) for uid in sorted(series)]
    unreadable = tuple(candidates[place - 1] for place in damaged)
    if len(found) == 1:
        # A damaged file beside a single series is one of its slices: the reader shall say so.
        found = [replace(found[0], paths=found[0].paths + unreadable)]
    return Survey(
        series=tuple(found),
        files=len(candidates),
        unreadable=tuple(damaged),
        unreadable_paths=unreadable,
    )


@quietly()
def summary_from_texts(
    images: Sequence[Mapping[str, str]], study_modalities: Sequence[str]
) -> SeriesSummary:
    """The summary of a series from its images' values by keyword, as an archive tells them."""
    headers = [header_from_texts(image) for image in images]
    slices, left_out = split_slices(headers)
    return summarise([headers[index] for index in slices], study_modalities, left_out)


def _surveyed(images: Sequence[tuple[Path, Dataset]], modalities: Sequence[str]) -> SurveyedSeries:
    headers = [header for _, header in images]
    slices, left_out = split_slices(headers)
    kept = [headers[index] for index in slices]
    return SurveyedSeries(
        summary=summarise(kept, modalities, left_out),
        paths=tuple(images[index][0] for index in slices),
        patient_ids=frozenset(text(header, "PatientID") for header in kept),
    )


def _raise_nothing_to_choose(damaged: int) -> None:
    if damaged:
        raise UnreadableInput(
            found=f"{damaged} damaged DICOM files and no intact one",
            wanted=_A_FOLDER,
            advice="Send the series again.",
        )
    raise NoSuitableSeries(
        found="a DICOMDIR and no image",
        wanted="one axial CT series",
        advice="Name the folder that holds the images.",
    )
