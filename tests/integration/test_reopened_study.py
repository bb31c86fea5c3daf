"""Studies that change after they were measured, in a real Orthanc with the fake analyser."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from inference.dicom.read_series import load_series
from inference.dicom.write_page import encode_page
from inference.dicom.write_seg import encode_seg
from inference.dicom.write_sr import encode_sr
from inference.domain.labelmap import TISSUES
from tests.dicom_peers import PATIENT_NAME, ct_series, receiver, send
from tests.orthanc_process import (
    SETTINGS,
    OrthancProcess,
    orthanc,
    private_network,
    wait_for,
    why_not,
)
from tests.synthetic_series import result_identity, save_all, small_datasets, small_labels
from tests.synthetic_study import SEVEN_PORTAL, plain_series, study_of_seven
from tests.unit.inference.dicom.full_report import full_report

pytestmark = [pytest.mark.orthanc, pytest.mark.skipif(bool(why_not()), reason=why_not())]

CORRECTED = "Corrected^Melchior"


@pytest.fixture(autouse=True)
def _network() -> Iterator[None]:
    with private_network():
        yield


@pytest.fixture
def node(tmp_path: Path) -> Iterator[OrthancProcess]:
    with orthanc(tmp_path) as running:
        wait_for(lambda: bool(running.get("/habitus/status")["engine"]), 20.0, "the engine")
        yield running


def replaced_by(report: Dataset) -> list[str]:
    """SOP Instance UIDs that a report names as earlier."""
    return [
        str(reference.ReferencedSOPInstanceUID)
        for study in report.get("PredecessorDocumentsSequence", [])
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    ]


def superseded_pair(node: OrthancProcess) -> tuple[dict[str, Any], dict[str, Any]]:
    """The old job and the new one, once the new one is done."""
    new, old = node.wait_for_jobs(["done", "superseded"], 60.0)
    assert (old["state"], new["state"]) == ("superseded", "done")
    assert old["superseded_by"] == new["key"]
    return old, new


def names_one_of(received: Sequence[Dataset], earlier: Sequence[Dataset]) -> None:
    """Of the later objects exactly the report names one earlier object, and that one was received."""
    before = {str(one.SOPInstanceUID) for one in earlier}
    named = [uid for one in received[len(earlier) :] for uid in replaced_by(one)]
    assert len(named) == 1
    assert set(named) <= before
    assert not any(replaced_by(one) for one in earlier)


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)], ids=["head first", "feet"])
def test_a_second_half_after_the_result_gives_a_newer_one_that_names_it(
    node: OrthancProcess, order: slice
) -> None:
    slices = ct_series(8)[order]
    with receiver() as pacs:
        send(slices[:4])
        node.wait_for_jobs(["done"])
        earlier = list(pacs.received)
        send(slices[4:])
        old, new = superseded_pair(node)

    assert (old["instance_count"], new["instance_count"]) == (4, 8)
    assert len(pacs.received) == 4
    names_one_of(pacs.received, earlier)


def test_a_second_half_within_the_quiet_time_gives_one_job(tmp_path: Path) -> None:
    with orthanc(tmp_path, settings=SETTINGS.replace("quiet_s = 0.6", "quiet_s = 4")) as node:
        slices = ct_series(8)
        with receiver() as pacs:
            send(slices[4:])
            send(slices[:4])
            (job,) = node.wait_for_jobs(["done"])

    assert job["instance_count"] == 8
    assert len(pacs.received) == 2


def test_a_better_series_after_the_result_takes_its_place(node: OrthancProcess) -> None:
    study = study_of_seven()
    with receiver() as pacs:
        send(study["thick soft"][::3])
        node.wait_for_jobs(["done"])
        earlier = list(pacs.received)
        send(study["portal"][::3])
        old, new = superseded_pair(node)

    assert (old["choice"]["series_number"], new["choice"]["series_number"]) == (3, SEVEN_PORTAL)
    names_one_of(pacs.received, earlier)


def test_a_patient_corrected_in_orthanc_gives_results_of_that_name(node: OrthancProcess) -> None:
    with receiver() as pacs:
        send(ct_series(4))
        (job,) = node.wait_for_jobs(["done"])
        earlier = list(pacs.received)
        correction = {
            "Replace": {"PatientName": CORRECTED},
            "Keep": ["StudyInstanceUID", "SeriesInstanceUID"],
            "KeepSource": False,
            "Force": True,
        }
        path = f"{node.url}/studies/{job['study_orthanc_id']}/modify"
        answer = node.session.post(path, data=json.dumps(correction), timeout=30)
        superseded_pair(node)

    assert answer.ok
    assert {str(one.PatientName) for one in earlier} == {PATIENT_NAME}
    assert {str(one.PatientName) for one in pacs.received[2:]} == {CORRECTED}
    names_one_of(pacs.received, earlier)


def overwriting(node: OrthancProcess) -> None:
    """Restart Orthanc so that what is sent again takes the place of the first copy."""
    options = json.loads(node.files.configuration.read_text())
    node.files.configuration.write_text(json.dumps({**options, "OverwriteInstances": True}))
    node.stop()
    node.start()


def test_a_patient_corrected_by_sending_the_same_images_again(node: OrthancProcess) -> None:
    overwriting(node)
    slices = ct_series(4)
    with receiver() as pacs:
        send(slices)
        node.wait_for_jobs(["done"])
        earlier = list(pacs.received)
        for image in slices:
            image.PatientName = CORRECTED
        send(slices)
        superseded_pair(node)

    assert {str(one.PatientName) for one in pacs.received[2:]} == {CORRECTED}
    names_one_of(pacs.received, earlier)


def test_orthanc_killed_between_the_halves_changes_nothing(node: OrthancProcess) -> None:
    slices = ct_series(8)
    with receiver() as pacs:
        send(slices[:4])
        node.wait_for_jobs(["done"])
        earlier = list(pacs.received)
        send(slices[4:])
        node.kill()
        node.start()
        _, new = superseded_pair(node)

    assert new["instance_count"] == 8
    names_one_of(pacs.received, earlier)


def test_orthanc_killed_while_the_newer_result_is_made_changes_nothing(
    node: OrthancProcess,
) -> None:
    slices = ct_series(8)
    with receiver() as pacs:
        send(slices[:4])
        node.wait_for_jobs(["done"])
        earlier = list(pacs.received)
        node.behaviour.write_text("slow")
        send(slices[4:])
        wait_for(lambda: "running" in {j["state"] for j in node.jobs()}, 20.0, "the newer job")
        node.kill()
        node.start()
        superseded_pair(node)

    assert len(set(pacs.sop_uids)) == 4
    names_one_of(pacs.received, earlier)


def test_a_gap_is_waited_for_and_said(node: OrthancProcess) -> None:
    whole = plain_series(3, "Abdomen 5.0", slices=14)
    with receiver():
        send([*whole[:6], *whole[8:]])
        wait_for(
            lambda: [row["reason"] for row in node.get("/habitus/not-taken")] == ["awaits-slices"],
            20.0,
            "the note",
        )
        before = node.jobs()
        send(whole[6:8])
        (job,) = node.wait_for_jobs(["done"])

    assert before == []
    assert job["instance_count"] == 14
    assert job["not_taken"] == []


def test_a_gap_that_stays_is_taken_after_the_wait(tmp_path: Path) -> None:
    settings = SETTINGS.replace("quiet_s = 0.6", "quiet_s = 0.6\nincomplete_wait_s = 1.5")
    whole = plain_series(3, "Abdomen 5.0", slices=14)
    with orthanc(tmp_path, settings=settings) as node, receiver():
        send([*whole[:6], *whole[8:]])
        (job,) = node.wait_for_jobs(["done"])

    assert job["instance_count"] == 12


def test_replaced_results_are_deleted_here_and_kept_at_the_pacs(tmp_path: Path) -> None:
    settings = SETTINGS + '\n[results]\nsuperseded = "delete-here"\n'
    slices = ct_series(8)
    with orthanc(tmp_path, settings=settings) as node, receiver() as pacs:
        send(slices[:4])
        node.wait_for_jobs(["done"])
        send(slices[4:])
        superseded_pair(node)
        wait_for(lambda: len(node.get("/instances")) == 10, 15.0, "the deletion")

    assert len(pacs.received) == 4


def test_results_of_another_node_start_no_job(node: OrthancProcess, tmp_path: Path) -> None:
    series = load_series(save_all(small_datasets(), tmp_path / "source"))
    labels = small_labels(series.volume.affine_lps, series.volume.shape, TISSUES)
    picture = np.full((32, 32, 3), 90, np.uint8)
    objects = [
        encode_seg(labels, series, result_identity("seg")),
        encode_sr(full_report(), series, [], result_identity("sr")),
        encode_page(picture, series, 3, result_identity("page")),
    ]
    for content in objects:
        assert node.session.post(f"{node.url}/instances", data=content, timeout=10).ok
    wait_for(
        lambda: node.get("/habitus/status")["skipped_series"] == {"own-result": 3},
        20.0,
        "all three seen and skipped",
    )

    assert node.jobs() == []
