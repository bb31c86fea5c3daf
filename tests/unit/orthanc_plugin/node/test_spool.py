"""The spool: results become durable as a whole, or not at all."""

from pathlib import Path

import pytest

from inference.domain.errors import InferenceFailed
from orthanc_plugin.node.spool import Spool, WorkFolder
from tests.dicom_peers import ct_series
from tests.fakes import dicom_bytes

KEY = "a" * 32


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def work(spool: Spool) -> WorkFolder:
    return spool.open_work(KEY)


def test_published_bytes_are_read_back(spool: Spool, work: WorkFolder) -> None:
    (work.out_folder / "report.json").write_text("{}")

    (result,) = spool.publish(work, KEY, {"report": "report.json"})

    assert spool.read_result(KEY, result.file_name, result.sha256) == b"{}"
    assert (result.size_bytes, result.uids) == (2, None)


def test_a_dicom_result_is_known_by_its_uids(spool: Spool, work: WorkFolder) -> None:
    image = ct_series(1)[0]
    (work.out_folder / "sr.dcm").write_bytes(dicom_bytes(image))

    (result,) = spool.publish(work, KEY, {"sr": "sr.dcm"})

    assert result.uids is not None
    assert result.uids.sop_uid == image.SOPInstanceUID
    assert result.uids.study_uid == image.StudyInstanceUID


@pytest.mark.parametrize("content", [b"", b"not DICOM at all", b"\0" * 200])
def test_a_result_that_is_not_dicom_is_a_failure(
    spool: Spool, work: WorkFolder, content: bytes
) -> None:
    (work.out_folder / "sr.dcm").write_bytes(content)

    with pytest.raises(InferenceFailed):
        spool.publish(work, KEY, {"sr": "sr.dcm"})


def test_a_missing_result_publishes_nothing(spool: Spool, work: WorkFolder) -> None:
    (work.out_folder / "report.json").write_text("{}")

    with pytest.raises(InferenceFailed):
        spool.publish(work, KEY, {"report": "report.json", "sr": "sr.dcm"})

    assert not spool.result_folder(KEY).exists()


def test_a_link_out_of_the_folder_is_not_a_result(spool: Spool, work: WorkFolder) -> None:
    (work.out_folder / "report.json").symlink_to("/etc/hostname")

    with pytest.raises(InferenceFailed):
        spool.publish(work, KEY, {"report": "report.json"})


def test_leftovers_of_a_crash_before_the_journal_are_replaced(
    spool: Spool, work: WorkFolder
) -> None:
    (work.out_folder / "report.json").write_text("first")
    spool.publish(work, KEY, {"report": "report.json"})
    again = spool.open_work(KEY)
    (again.out_folder / "report.json").write_text("second")

    spool.publish(again, KEY, {"report": "report.json"})

    assert (spool.result_folder(KEY) / "report.json").read_text() == "second"


def test_changed_bytes_are_refused(spool: Spool, work: WorkFolder) -> None:
    (work.out_folder / "report.json").write_text("{}")
    (result,) = spool.publish(work, KEY, {"report": "report.json"})
    (spool.result_folder(KEY) / "report.json").write_text("[]")

    with pytest.raises(InferenceFailed, match="changed"):
        spool.read_result(KEY, result.file_name, result.sha256)


def test_work_of_a_dead_node_is_emptied(spool: Spool, work: WorkFolder) -> None:
    work.put_instance(0, b"pixels")

    spool.clean_work()

    assert not work.path.exists()


def test_only_the_owner_may_look_in(spool: Spool, work: WorkFolder) -> None:
    folders = [work.path, work.series_folder, work.path.parent, work.path.parent.parent]

    assert [folder.stat().st_mode & 0o077 for folder in folders] == [0, 0, 0, 0]
