"""CT series with Segmentations from a folder, and what is asked of an archive and what is not believed of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from pydicom import dcmread

from inference.dicom.read_series import load_series
from inference.dicom.write_seg import encode_seg
from inference.domain.errors import ConfigurationInvalid, UnreadableInput
from inference.domain.labelmap import LabelMap, Structure
from inference.domain.volume import Volume, affine_from_axes, axis_flips, flip
from tests.synthetic_series import AXIAL, result_identity, save_all
from tests.unit.training.data.tiny import BOXES, OURS, STEP_MM, ct, labels
from training.data import dicomweb
from training.data.checks import checked
from training.data.dicomweb import Archive, fetch
from training.data.layouts.registry import find_cases, guessed_layout
from training.data.problems import errors_of
from training.label_names import OUR_NUMBERS
from training.synthetic.series import SeriesHeader, build_datasets

ORGANS = (Structure.LIVER, Structure.SPLEEN, Structure.KIDNEY_RIGHT, Structure.KIDNEY_LEFT)
DRAWN = labels({s.value: OURS[s.value] for s in ORGANS})


def header_of(patient: str, number: int) -> SeriesHeader:
    return SeriesHeader(seed=sum(map(ord, patient)) * 100 + number, patient_id=patient)


def study_uid(patient: str, number: int = 1) -> str:
    return header_of(patient, number).study_uid


def write_study(
    folder: Path, patient: str = "P1", number: int = 1, *, with_seg: bool = True
) -> Path:
    """A CT series of the tiny body, and its Segmentation."""
    volume = Volume(hu=ct(number), affine_lps=affine_from_axes((-200, -150, 500), AXIAL, STEP_MM))
    paths = save_all(build_datasets(volume, header_of(patient, number)), folder / "ct")
    if with_seg:
        series = load_series(paths)
        label_map = LabelMap(
            labels=flip(DRAWN, axis_flips(series.volume.affine_lps)),
            affine_lps=series.volume.affine_lps,
            structures={OURS[s.value]: s for s in ORGANS},
        )
        seg = encode_seg(label_map, series, result_identity(f"{patient}-{number}"))
        (folder / "seg.dcm").write_bytes(seg)
    return folder


def test_a_series_with_its_segmentation_is_a_case(tmp_path: Path) -> None:
    write_study(tmp_path / "a")

    layout = guessed_layout(tmp_path)
    (case,) = find_cases(tmp_path, layout).cases
    read = case.read()

    assert layout.name == "dicom"
    assert read.names == {organ.value for organ in ORGANS}
    np.testing.assert_array_equal(read.volume.hu, ct(1))
    np.testing.assert_array_equal(read.labels, DRAWN)
    assert errors_of(checked(find_cases(tmp_path, layout)).problems) == []


def test_a_structure_in_two_segments_is_one(tmp_path: Path) -> None:
    path = write_study(tmp_path / "a") / "seg.dcm"
    seg = dcmread(path)
    liver, spleen = (
        next(s for s in seg.SegmentSequence if s.SegmentLabel == label)
        for label in ("Liver", "Spleen")
    )
    spleen.SegmentLabel = liver.SegmentLabel
    spleen.SegmentedPropertyTypeCodeSequence = liver.SegmentedPropertyTypeCodeSequence
    seg.save_as(path)

    read = find_cases(tmp_path, guessed_layout(tmp_path)).cases[0].read()

    assert (read.labels[BOXES["spleen"]] == OUR_NUMBERS["liver"]).all()
    assert (read.labels[BOXES["liver"]] == OUR_NUMBERS["liver"]).all()


def test_two_scans_of_one_patient_belong_together_and_nobody_is_named(tmp_path: Path) -> None:
    write_study(tmp_path / "a", "Doe-4711", 1)
    write_study(tmp_path / "b", "Doe-4711", 2)
    write_study(tmp_path / "c", "Roe-4712", 1)

    cases = find_cases(tmp_path, guessed_layout(tmp_path)).cases

    assert len(cases) == 3
    assert len({case.patient for case in cases}) == 2
    said = repr([(case.name, case.patient) for case in cases])
    assert "Doe" not in said
    assert "4711" not in said


def test_what_stands_alone_is_named_without_naming_anybody(tmp_path: Path) -> None:
    write_study(tmp_path / "a", "Doe", 1, with_seg=False)
    lonely = write_study(tmp_path / "b", "Doe", 2)
    for path in (lonely / "ct").iterdir():
        path.unlink()

    found = find_cases(tmp_path, guessed_layout(tmp_path))

    assert found.cases == ()
    assert sorted(p.found for p in found.problems) == [
        "a Segmentation without its CT series",
        "a study with CT and without a Segmentation of it",
    ]
    assert "Doe" not in repr(found.problems)


def test_a_series_that_the_node_would_refuse_is_an_error_of_its_case(tmp_path: Path) -> None:
    write_study(tmp_path / "a")
    (tmp_path / "a/ct/0006.dcm").unlink()

    (problem,) = errors_of(checked(find_cases(tmp_path, guessed_layout(tmp_path))).problems)

    assert problem.case.startswith("series-")


class FakeArchive:
    """Answers as dicomweb-client would, from files."""

    def __init__(self, folders: Sequence[Path], ignores_filters: bool = False) -> None:
        files = [path for folder in folders for path in sorted(folder.rglob("*.dcm"))]
        self.images = {str(image.SOPInstanceUID): image for image in map(dcmread, files)}
        self.ignores_filters = ignores_filters
        self.retrieved: list[str] = []
        self.answers_with: str | None = None

    def search_for_studies(
        self, search_filters: dict[str, str], fields: list[str], limit: int, offset: int
    ) -> list[dict[str, Any]]:
        rows = {str(i.StudyInstanceUID): str(i.PatientID) for i in self.images.values()}
        wanted = search_filters["PatientID"]
        return [
            {
                "0020000D": {"vr": "UI", "Value": [study]},
                "00100020": {"vr": "LO", "Value": [patient]},
            }
            for study, patient in rows.items()
            if self.ignores_filters or patient == wanted
        ][offset : offset + limit]

    def search_for_series(
        self, study: str, fields: list[str], limit: int, offset: int
    ) -> list[dict[str, Any]]:
        rows = {
            str(i.SeriesInstanceUID): str(i.Modality)
            for i in self.images.values()
            if i.StudyInstanceUID == study
        }
        return [
            {
                "0020000E": {"vr": "UI", "Value": [series]},
                "00080060": {"vr": "CS", "Value": [modality]},
            }
            for series, modality in rows.items()
        ][offset : offset + limit]

    def search_for_instances(
        self, study: str, series: str, limit: int, offset: int
    ) -> list[dict[str, Any]]:
        return [
            {"00080018": {"vr": "UI", "Value": [uid]}}
            for uid, i in self.images.items()
            if (i.StudyInstanceUID, i.SeriesInstanceUID) == (study, series)
        ][offset : offset + limit]

    def retrieve_instance(self, study: str, series: str, uid: str, media_types: object) -> Any:
        self.retrieved.append(uid)
        return self.images[self.answers_with or uid]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeArchive:
    write_study(tmp_path / "served/a", "Doe", 1)
    write_study(tmp_path / "served/b", "Roe", 1)
    archive = FakeArchive([tmp_path / "served"])
    monkeypatch.setattr(dicomweb, "_client", lambda _: archive)
    return archive


ARCHIVE = Archive(url="https://pacs.example/dicom-web")


def test_a_study_is_fetched_once(served: FakeArchive, tmp_path: Path) -> None:
    wanted = [study_uid("Doe")]

    first = fetch(ARCHIVE, wanted, tmp_path / "out")
    second = fetch(ARCHIVE, wanted, tmp_path / "out")

    assert (first.studies, first.files, first.missing) == (1, 15, [])
    assert second.files == 0
    assert len(served.retrieved) == 15
    (case,) = find_cases(tmp_path / "out", guessed_layout(tmp_path / "out")).cases
    assert case.read().names == {organ.value for organ in ORGANS}


def test_a_patient_is_fetched_by_id_and_no_path_names_him(
    served: FakeArchive, tmp_path: Path
) -> None:
    fetched = fetch(ARCHIVE, ["Roe", "Nobody"], tmp_path / "out", by_patient=True)

    assert fetched.studies == 1
    assert fetched.missing == ["line 2: no CT with a Segmentation"]
    assert not [path for path in (tmp_path / "out").rglob("*") if "Roe" in path.name]


def test_an_archive_that_ignores_the_filter_is_not_believed(
    served: FakeArchive, tmp_path: Path
) -> None:
    served.ignores_filters = True

    with pytest.raises(UnreadableInput, match="other patients"):
        fetch(ARCHIVE, ["Roe"], tmp_path / "out", by_patient=True)
    assert not served.retrieved


def test_another_image_than_the_one_asked_for_is_not_kept(
    served: FakeArchive, tmp_path: Path
) -> None:
    served.answers_with = next(iter(served.images))

    with pytest.raises(UnreadableInput, match="another image"):
        fetch(ARCHIVE, [study_uid("Roe")], tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.dcm"))


def test_an_id_with_a_wildcard_is_refused(served: FakeArchive, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="wildcard"):
        fetch(ARCHIVE, ["R*"], tmp_path / "out", by_patient=True)


def test_no_error_quotes_what_was_asked_for(
    served: FakeArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(**_: object) -> None:
        raise requests.ConnectionError("https://pacs/studies?PatientID=Roe")

    monkeypatch.setattr(served, "search_for_studies", away)

    with pytest.raises(UnreadableInput) as refused:
        fetch(ARCHIVE, ["Roe"], tmp_path / "out", by_patient=True)
    assert "Roe" not in str(refused.value)


@pytest.mark.parametrize("url", ["http://pacs.example/dicom-web", "http://10.0.0.7/"])
def test_a_password_never_goes_without_tls(url: str, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("x")

    with pytest.raises(ConfigurationInvalid, match="without TLS"):
        fetch(Archive(url=url, user="u", password_file=secret), ["1.2"], tmp_path / "out")


def test_numbers_of_a_segmentation_are_ours() -> None:
    assert OUR_NUMBERS["liver"] == 1
    assert OUR_NUMBERS["kidney_left"] == 13
