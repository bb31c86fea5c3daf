"""The Pacs port's contract, kept by the fake of the unit tests and by a real Orthanc alike."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import requests

from inference.dicom.survey import summary_from_texts
from orthanc_plugin.node.delivery_journal import ObjectUids
from orthanc_plugin.node.destinations import Destination
from orthanc_plugin.node.orthanc_pacs import OrthancPacs
from orthanc_plugin.node.pacs import (
    CommitmentState,
    DestinationUnknown,
    Pacs,
    PacsUnavailable,
    QueryRefused,
    ResourceGone,
    SendState,
)
from tests.dicom_peers import ct_series, receiver
from tests.fakes import FakePacs, Remote, dicom_bytes
from tests.orthanc_process import OrthancProcess, orthanc, private_network, wait_for, why_not

PACS = Destination(name="pacs")
FAKE = "fake"
REAL = pytest.param(
    "real",
    marks=[pytest.mark.orthanc, pytest.mark.skipif(bool(why_not()), reason=why_not())],
)


@dataclass
class Scene:
    pacs: Pacs
    process: OrthancProcess | None = None
    remote: Remote = field(default_factory=Remote)

    def peer(self, *, answers_queries: bool = True) -> AbstractContextManager[object]:
        """A PACS named "pacs" while the context lasts."""
        if self.process is not None:
            return receiver(answers_queries=answers_queries)
        self.remote.is_away = False
        self.remote.answers_queries = answers_queries
        return nullcontext()

    def marker(self, series: str) -> str:
        """As people see it."""
        if self.process is None:
            assert isinstance(self.pacs, FakePacs)
            return self.pacs.markers[series]
        url = f"{self.process.url}/series/{series}/metadata/habitus"
        return str(self.process.session.get(url, timeout=5).text)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancProcess]:
    # No node: it would make results of what is stored here.
    with (
        private_network(),
        orthanc(tmp_path_factory.mktemp("contract"), node="standalone") as process,
    ):
        yield process


@pytest.fixture(params=[FAKE, REAL])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    with _scene(request) as one:
        yield one


@contextmanager
def _scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    if request.param == FAKE:
        remote = Remote(is_away=True)
        yield Scene(FakePacs(pacs=remote), remote=remote)
        return
    process: OrthancProcess = request.getfixturevalue("real")
    for path in process.get("/patients"):
        process.session.delete(f"{process.url}/patients/{path}", timeout=5)
    password = process.files.password.read_text().strip()
    with OrthancPacs(process.url, ("habitus", password), 20.0) as pacs:
        yield Scene(pacs, process)


IMAGE, OTHER = ct_series(2)
UIDS = ObjectUids(
    study_uid=str(IMAGE.StudyInstanceUID),
    series_uid=str(IMAGE.SeriesInstanceUID),
    sop_uid=str(IMAGE.SOPInstanceUID),
)


def settled(scene: Scene, job_id: str) -> SendState:
    """How a send ended."""
    wait_for(lambda: scene.pacs.job_state(job_id) is not SendState.RUNNING, 15.0, "the send")
    return scene.pacs.job_state(job_id)


def test_a_new_instance_is_a_change(scene: Scene) -> None:
    before = scene.pacs.last_change()
    orthanc_id = scene.pacs.store_instance(dicom_bytes(IMAGE))

    page = scene.pacs.changes(before, 100)

    assert ("NewInstance", orthanc_id) in [(row.kind, row.orthanc_id) for row in page.changes]
    assert page.is_done
    assert page.last == scene.pacs.last_change()


def test_a_study_is_known_by_when_its_newest_image_came_and_can_be_deleted(scene: Scene) -> None:
    first = scene.pacs.store_instance(dicom_bytes(IMAGE))
    (study,) = scene.pacs.studies()
    series = (scene.pacs.series_of_instance(first),)
    before = scene.pacs.study_facts(study)
    # Orthanc counts whole seconds.
    time.sleep(1.1)
    scene.pacs.store_instance(dicom_bytes(OTHER))
    after = scene.pacs.study_facts(study)
    scene.pacs.delete_study(study)

    assert abs(before.changed_at - time.time()) < 30
    assert after.changed_at > before.changed_at
    assert after.series == series
    assert after.patient_orthanc_id == before.patient_orthanc_id
    assert scene.pacs.studies() == ()
    for gone in (
        lambda: scene.pacs.study_facts(study),
        lambda: scene.pacs.delete_study(study),
        lambda: scene.pacs.series_of_instance(first),
    ):
        with pytest.raises(ResourceGone):
            gone()


def test_changes_come_in_pages(scene: Scene) -> None:
    before = scene.pacs.last_change()
    scene.pacs.store_instance(dicom_bytes(IMAGE))
    scene.pacs.store_instance(dicom_bytes(OTHER))

    first = scene.pacs.changes(before, 1)
    rest = scene.pacs.changes(first.last, 100)

    assert len(first.changes) == 1
    assert not first.is_done
    assert first.last == first.changes[0].sequence
    assert all(row.sequence > first.last for row in rest.changes)


def test_after_the_last_change_there_is_nothing(scene: Scene) -> None:
    scene.pacs.store_instance(dicom_bytes(IMAGE))
    last = scene.pacs.last_change()

    page = scene.pacs.changes(last, 100)

    assert page.changes == ()
    assert page.last == last
    assert page.is_done


def test_storing_twice_gives_the_same_id_and_no_change(scene: Scene) -> None:
    first = scene.pacs.store_instance(dicom_bytes(IMAGE))
    last = scene.pacs.last_change()

    second = scene.pacs.store_instance(dicom_bytes(IMAGE))

    assert second == first
    assert scene.pacs.last_change() == last


def test_a_series_knows_its_instances(scene: Scene) -> None:
    ids = [scene.pacs.store_instance(dicom_bytes(image)) for image in (IMAGE, OTHER)]

    series_id = scene.pacs.series_of_instance(ids[0])
    facts = scene.pacs.series_facts(series_id)

    glance = scene.pacs.glance(series_id)

    assert glance.instances == set(ids)
    assert (glance.modality, glance.manufacturer) == ("CT", "Maker")
    assert facts.sop_uids == dict(
        zip(ids, [str(IMAGE.SOPInstanceUID), str(OTHER.SOPInstanceUID)], strict=True)
    )
    assert (facts.series_uid, facts.modality, facts.manufacturer) == (
        UIDS.series_uid,
        "CT",
        "Maker",
    )


def test_a_study_knows_its_series(scene: Scene) -> None:
    instance = scene.pacs.store_instance(dicom_bytes(IMAGE))

    series = scene.pacs.series_of_instance(instance)
    study = scene.pacs.glance(series).study_orthanc_id

    assert scene.pacs.series_of_study(study) == (series,)
    assert scene.pacs.series_facts(series).study_orthanc_id == study


def test_headers_of_a_series_come_as_texts_by_keyword(scene: Scene) -> None:
    ids = [scene.pacs.store_instance(dicom_bytes(image)) for image in (IMAGE, OTHER)]

    texts = scene.pacs.image_texts(scene.pacs.series_of_instance(ids[0]))

    assert {one["SOPInstanceUID"] for one in texts} == {IMAGE.SOPInstanceUID, OTHER.SOPInstanceUID}
    assert {(one["Modality"], one["Rows"]) for one in texts} == {("CT", "16")}
    assert summary_from_texts(texts, ["CT"]) == replace(
        summary_from_texts(texts[::-1], ["CT"]), step_mm=5.0, coverage_mm=5.0
    )


def test_an_instance_that_came_by_http_has_no_sender_and_its_headers_texts(scene: Scene) -> None:
    stored = scene.pacs.store_instance(dicom_bytes(ct_series(1)[0]))

    origin = scene.pacs.origin(stored)

    assert (origin.calling, origin.called) == ("", "")
    assert origin.texts["Modality"] == "CT"
    assert origin.texts["PixelSpacing"] == "1.0\\1.0"


def test_a_file_comes_back_as_it_was_stored(scene: Scene) -> None:
    content = dicom_bytes(IMAGE)
    orthanc_id = scene.pacs.store_instance(content)

    assert scene.pacs.fetch_instance_file(orthanc_id) == content


def test_what_is_not_there_is_gone(scene: Scene) -> None:
    with pytest.raises(ResourceGone):
        scene.pacs.series_of_instance("no-such-id")
    with pytest.raises(ResourceGone):
        scene.pacs.series_facts("no-such-id")
    with pytest.raises(ResourceGone):
        scene.pacs.glance("no-such-id")
    with pytest.raises(ResourceGone):
        scene.pacs.series_of_study("no-such-id")
    with pytest.raises(ResourceGone):
        scene.pacs.image_texts("no-such-id")
    with pytest.raises(ResourceGone):
        scene.pacs.fetch_instance_file("no-such-id")
    with pytest.raises(ResourceGone):
        scene.pacs.set_marker("no-such-id", "x")
    with pytest.raises(ResourceGone):
        scene.pacs.send(PACS, "no-such-id")


def test_a_deleted_instance_is_gone_and_the_others_stay(scene: Scene) -> None:
    deleted, kept = (scene.pacs.store_instance(dicom_bytes(one)) for one in (IMAGE, OTHER))

    scene.pacs.delete_instance(deleted)

    assert scene.pacs.fetch_instance_file(kept)
    with pytest.raises(ResourceGone):
        scene.pacs.fetch_instance_file(deleted)
    with pytest.raises(ResourceGone):
        scene.pacs.delete_instance(deleted)


def test_a_sent_object_is_found_at_the_peer(scene: Scene) -> None:
    orthanc_id = scene.pacs.store_instance(dicom_bytes(IMAGE))
    with scene.peer():
        before = scene.pacs.found_at(PACS, UIDS)
        state = settled(scene, scene.pacs.send(PACS, orthanc_id))
        after = scene.pacs.found_at(PACS, UIDS)

    assert (before, state, after) == (False, SendState.SUCCESS, True)


def test_a_send_to_a_peer_that_is_away_fails(scene: Scene) -> None:
    orthanc_id = scene.pacs.store_instance(dicom_bytes(IMAGE))

    assert settled(scene, scene.pacs.send(PACS, orthanc_id)) is SendState.FAILURE


def test_a_peer_that_answers_no_query_refuses(scene: Scene) -> None:
    with scene.peer(answers_queries=False), pytest.raises(QueryRefused):
        scene.pacs.found_at(PACS, UIDS)


def test_a_peer_that_offers_no_commitment_refuses(scene: Scene) -> None:
    uids = replace(UIDS, sop_class_uid="1.2.840.10008.5.1.4.1.1.88.33")
    with scene.peer(), pytest.raises(QueryRefused):
        scene.pacs.request_commitment(PACS, uids)


def test_a_commitment_nobody_remembers_is_unknown(scene: Scene) -> None:
    assert scene.pacs.commitment_state("0") is CommitmentState.UNKNOWN


def test_an_unknown_modality_is_told_from_an_instance_that_is_gone(scene: Scene) -> None:
    orthanc_id = scene.pacs.store_instance(dicom_bytes(IMAGE))

    with pytest.raises(DestinationUnknown):
        scene.pacs.send(Destination(name="nowhere"), orthanc_id)


def test_a_send_nobody_remembers_is_unknown(scene: Scene) -> None:
    job_id = "00000000-0000-0000-0000-000000000000"

    assert scene.pacs.job_state(job_id) is SendState.UNKNOWN


def test_a_patient_is_protected_and_free_again(scene: Scene) -> None:
    orthanc_id = scene.pacs.store_instance(dicom_bytes(IMAGE))
    series = scene.pacs.series_of_instance(orthanc_id)
    patient = scene.pacs.patient_of_study(scene.pacs.glance(series).study_orthanc_id)
    seen = [scene.pacs.is_protected(patient)]
    for wanted in (True, True, False):
        scene.pacs.protect(patient, is_protected=wanted)
        seen.append(scene.pacs.is_protected(patient))

    assert seen == [False, True, True, False]
    with pytest.raises(ResourceGone):
        scene.pacs.protect("0" * 40, is_protected=True)


def test_a_marker_can_be_set_and_set_again(scene: Scene) -> None:
    orthanc_id = scene.pacs.store_instance(dicom_bytes(IMAGE))
    series_id = scene.pacs.series_of_instance(orthanc_id)

    scene.pacs.set_marker(series_id, "one")
    scene.pacs.set_marker(series_id, "two")

    assert scene.marker(series_id) == "two"


@pytest.mark.orthanc
@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_a_wrong_password_is_an_orthanc_that_is_not_available(real: OrthancProcess) -> None:
    with (
        OrthancPacs(real.url, ("habitus", "wrong"), 5.0) as pacs,
        pytest.raises(PacsUnavailable, match="401"),
    ):
        pacs.last_change()


def test_no_answer_at_all_is_an_orthanc_that_is_not_available() -> None:
    with OrthancPacs("http://127.0.0.1:9", None, 1.0) as pacs, pytest.raises(PacsUnavailable) as e:
        pacs.last_change()

    assert isinstance(e.value.__cause__, requests.RequestException)
    assert "127.0.0.1" not in str(e.value)


@pytest.mark.orthanc
@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_orthancs_own_files_are_private(real: OrthancProcess) -> None:
    paths: list[Path] = [real.files.configuration, real.files.password]

    assert [path.stat().st_mode & 0o077 for path in paths] == [0, 0]
