"""Labelled CT by DICOMweb from a real archive, checked, split and read: nothing replaced."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from tests.orthanc_process import private_network, why_not
from tests.second_orthanc import DICOMWEB_LIBRARY, PASSWORD, USER, Archive, archive
from tests.unit.training.data.test_dicom import DRAWN, ORGANS, study_uid, write_study
from tests.unit.training.data.tiny import ct
from training.__main__ import main
from training.data.layouts.registry import find_cases, guessed_layout

REASON = why_not() or ("" if DICOMWEB_LIBRARY.exists() else "needs orthanc-dicomweb")
pytestmark = [pytest.mark.orthanc, pytest.mark.skipif(bool(REASON), reason=REASON)]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Archive]:
    """With two patients who have a Segmentation, one of them twice, and one who has none."""
    with private_network(), archive(tmp_path / "archive") as started:
        write_study(tmp_path / "sent/a", "DOE-1", 1)
        write_study(tmp_path / "sent/b", "DOE-1", 2)
        write_study(tmp_path / "sent/c", "ROE-2", 3)
        write_study(tmp_path / "sent/d", "POE-3", 4, with_seg=False)
        for path in sorted((tmp_path / "sent").rglob("*.dcm")):
            answer = started.session.post(
                f"{started.url}/instances", data=path.read_bytes(), timeout=10
            )
            answer.raise_for_status()
        yield started


def call(archive: Archive, folder: Path, wanted: list[str], *, by_patient: bool = False) -> int:
    (folder / "password").write_text(PASSWORD + "\n")
    (folder / "wanted.txt").write_text("\n".join(wanted) + "\n")
    return main(
        [
            "data", "fetch", f"{archive.url}/dicom-web/",
            "--patients" if by_patient else "--studies", str(folder / "wanted.txt"),
            "--out", str(folder / "ours"),
            "--user", USER, "--password-file", str(folder / "password"),
        ]
    )  # fmt: skip


def test_studies_come_with_their_segmentations(running: Archive, tmp_path: Path) -> None:
    assert call(running, tmp_path, [study_uid("ROE-2", 3)]) == 0

    folder = tmp_path / "ours"
    layout = guessed_layout(folder)
    (case,) = find_cases(folder, layout).cases
    read = case.read()

    assert layout.name == "dicom"
    np.testing.assert_array_equal(read.volume.hu, ct(3))
    np.testing.assert_array_equal(read.labels, DRAWN)
    assert read.names == {organ.value for organ in ORGANS}
    assert main(["data", "check", str(folder)]) == 0


def test_all_scans_of_a_patient_come_and_stay_together(
    running: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(running, tmp_path, ["DOE-1", "ROE-2"], by_patient=True) == 0
    split = tmp_path / "split.json"

    status = main(["data", "split", str(tmp_path / "ours"), "--folds", "2", "--out", str(split)])

    assert status == 0
    assert "fold-0 2, fold-1 1 (2 patients" in capsys.readouterr().out
    assert "DOE" not in split.read_text()
    assert not [path for path in (tmp_path / "ours").rglob("*") if "DOE" in path.name]


def test_what_came_is_not_asked_for_again_and_a_study_without_labels_is_told(
    running: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = [study_uid("ROE-2", 3), study_uid("POE-3", 4)]

    assert call(running, tmp_path, wanted) == 1
    assert "line 2: no CT with a Segmentation" in capsys.readouterr().out
    assert call(running, tmp_path, wanted) == 1
    assert "1 studies, 0 new files" in capsys.readouterr().out


def test_images_come_as_they_are_stored(running: Archive, tmp_path: Path) -> None:
    call(running, tmp_path, [study_uid("ROE-2", 3)])

    sent = {
        image.SOPInstanceUID: image for image in map(dcmread, (tmp_path / "sent/c").rglob("*.dcm"))
    }
    came = [dcmread(path) for path in (tmp_path / "ours").rglob("*.dcm")]

    assert len(came) == len(sent) == 15
    for image in came:
        assert image.PixelData == sent[image.SOPInstanceUID].PixelData


def test_a_wrong_password_is_said(
    running: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wrong").write_text("wrong")
    (tmp_path / "wanted.txt").write_text("1.2.3\n")

    status = main(
        [
            "data", "fetch", f"{running.url}/dicom-web", "--studies", str(tmp_path / "wanted.txt"),
            "--out", str(tmp_path / "ours"), "--user", USER, "--password-file", str(tmp_path / "wrong"),
        ]
    )  # fmt: skip

    assert status == 2
    assert "refuses us (HTTP 401)" in capsys.readouterr().err
