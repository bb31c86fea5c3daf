"""What a run writes: each encoding is a family of objects of its own, whose report refers to its own segmentations."""

from datetime import datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import Comprehensive3DSRStorage

from inference.dicom.identity import derive_uid
from inference.dicom.read_series import load_series
from inference.domain.earlier_document import EarlierDocument
from inference.domain.labelmap import FLARE22_ORGANS, TISSUES
from inference.domain.outcome import Analysis
from inference.domain.seg_encoding import SegEncoding
from inference.pipeline import RunIdentity, Stopwatch, silent, write_results
from tests.synthetic_series import save_all, small_datasets, small_labels
from tests.unit.inference.dicom.full_report import full_report

KINDS = ("seg-tissues", "seg-organs", "sr")
LABELMAP_CLASS = "1.2.840.10008.5.1.4.1.1.66.7"


def earlier(role: str) -> EarlierDocument:
    """A result of a run before."""
    return EarlierDocument(
        role=role,
        study_uid="1.2",
        series_uid="1.2.3",
        sop_uid=derive_uid("earlier", role),
        sop_class_uid=Comprehensive3DSRStorage,
    )


EARLIER = tuple(earlier(role) for role in ("seg-tissues", "sr", "sr@labelmap"))


def written(folder: Path, *encodings: SegEncoding) -> dict[str, Path]:
    """A run's files, by role."""
    series = load_series(save_all(small_datasets(), folder / "ct"))
    grid = (series.volume.affine_lps, series.volume.shape)
    analysis = Analysis(
        report=full_report(),
        tissues=small_labels(*grid, TISSUES),
        organs=small_labels(*grid, FLARE22_ORGANS),
    )
    identity = RunIdentity(
        job_key="job",
        created=datetime(2026, 1, 1),
        encodings=encodings,
        predecessors=EARLIER,
    )
    return dict(write_results(series, analysis, identity, folder / "out", Stopwatch(silent)).files)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return written(tmp_path_factory.mktemp("both"), *SegEncoding)


@pytest.mark.parametrize("suffix", ["", "@binary-deflated", "@labelmap"])
def test_a_report_refers_to_the_segmentations_of_its_own_encoding(
    suffix: str, files: dict[str, Path]
) -> None:
    *segs, report = (dcmread(files[kind + suffix]) for kind in KINDS)

    referred = {
        reference.ReferencedSOPInstanceUID
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for referred_series in study.ReferencedSeriesSequence
        for reference in referred_series.ReferencedSOPSequence
    }
    assert {seg.SOPInstanceUID for seg in segs} == referred & {
        dcmread(path).SOPInstanceUID for role, path in files.items() if role.startswith("seg-")
    }


@pytest.mark.parametrize("suffix", ["", "@labelmap"])
def test_a_report_names_the_earlier_one_of_its_own_encoding(
    suffix: str, files: dict[str, Path]
) -> None:
    (study,) = dcmread(files["sr" + suffix]).PredecessorDocumentsSequence
    (replaced,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence

    assert replaced.ReferencedSOPInstanceUID == earlier("sr" + suffix).sop_uid


def test_no_two_objects_share_a_uid(files: dict[str, Path]) -> None:
    objects = [dcmread(path) for path in files.values() if path.suffix == ".dcm"]

    # Three of each encoding, and the picture page, which has none.
    assert len(objects) == 10
    assert len({each.SOPInstanceUID for each in objects}) == 10
    assert len({each.SeriesInstanceUID for each in objects}) == 10


def test_further_encodings_change_nothing_of_the_first(
    files: dict[str, Path], tmp_path: Path
) -> None:
    alone = written(tmp_path, SegEncoding.BINARY)

    assert [alone[kind].read_bytes() == files[kind].read_bytes() for kind in KINDS] == [True] * 3


def test_the_first_encoding_has_the_plain_roles(tmp_path: Path) -> None:
    files = written(tmp_path, SegEncoding.LABELMAP)

    assert set(KINDS) <= set(files)
    assert not [role for role in files if "@" in role]
    assert dcmread(files["seg-organs"]).SOPClassUID == LABELMAP_CLASS
