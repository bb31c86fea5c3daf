"""The spool: results become durable as a whole, or not at all."""

from pathlib import Path

import pytest

from inference.domain.errors import InferenceFailed
from orthanc_plugin.node.delivery_journal import ResultFile
from orthanc_plugin.node.spool import Spool, WorkFolder
from tests.dicom_peers import ct_series
from tests.fakes import dicom_bytes

KEY = "a" * 32


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def work(spool: Spool) -> WorkFolder:
    return spool.open_work(KEY, 1)


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


def publish_report(
    spool: Spool, fence: int, text: str, encodings: tuple[str, ...] = ()
) -> list[ResultFile]:
    work = spool.open_work(KEY, fence)
    (work.out_folder / "report.json").write_text(text)
    return spool.publish(work, KEY, {"report": "report.json"}, encodings)


def test_what_was_published_first_stays(spool: Spool) -> None:
    first = publish_report(spool, 1, "first")

    second = publish_report(spool, 2, "second")

    assert second == first == spool.published(KEY)
    assert (spool.result_folder(KEY) / "report.json").read_text() == "first"


def test_published_results_that_are_not_whole_are_replaced(spool: Spool) -> None:
    publish_report(spool, 1, "first")
    (spool.result_folder(KEY) / "report.json").write_text("changed")
    broken = spool.published(KEY)

    publish_report(spool, 2, "second")

    assert broken is None
    assert (spool.result_folder(KEY) / "report.json").read_text() == "second"


def test_results_in_other_encodings_are_not_the_ones_wanted(spool: Spool) -> None:
    publish_report(spool, 1, "first", ("binary",))

    assert spool.published(KEY, ("binary", "labelmap")) is None
    assert spool.published(KEY, ("binary",)) is not None


@pytest.mark.parametrize("manifest", ["", "{}", "[]", '{"encodings": [], "results": [{}]}'])
def test_a_manifest_that_says_nothing_publishes_nothing(spool: Spool, manifest: str) -> None:
    publish_report(spool, 1, "first")
    (spool.result_folder(KEY) / "published.json").write_text(manifest)

    assert spool.published(KEY) is None


def test_a_worker_that_lost_a_job_leaves_the_folder_of_the_next_alone(spool: Spool) -> None:
    spool.open_work(KEY, 1)
    holder = spool.open_work(KEY, 2)
    holder.put_instance(0, b"pixels")

    spool.close_work(KEY, 1)

    assert (holder.series_folder / "00000.dcm").read_bytes() == b"pixels"


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
