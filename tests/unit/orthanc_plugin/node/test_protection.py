"""Patients with open jobs are protected from Orthanc's recycling, and only as long as they have any."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from orthanc_plugin.node.job_states import JobState
from orthanc_plugin.node.journal import Job, Journal, Verdict
from orthanc_plugin.node.pacs import PacsUnavailable
from orthanc_plugin.node.protection import ArrivingStudies, Protector
from orthanc_plugin.node.submissions import submission_of
from tests.dicom_peers import PATIENT_ID, ct_series
from tests.fakes import ENGINE, FakePacs, fill

PATIENT = f"patient-{PATIENT_ID}"


@dataclass
class Scene:
    pacs: FakePacs
    journal: Journal

    def queue(self, seed: str) -> None:
        ids = fill(self.pacs, ct_series(2, seed=seed))
        facts = self.pacs.series_facts(self.pacs.series_of_instance(ids[0]))
        assert self.journal.submit(submission_of(facts, ENGINE))

    def step(self) -> set[str]:
        """As after a restart."""
        Protector(self.pacs, self.journal).step()
        return set(self.pacs.protected)

    def take(self) -> Job:
        job = self.journal.take(60.0)
        assert job is not None
        return job

    def end(self) -> None:
        self.journal.end(self.take(), JobState.REJECTED, Verdict(reason="no-l3"))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(FakePacs(), Journal(tmp_path / "journal.db"))


def test_a_patient_is_protected_until_the_last_open_job_has_ended(scene: Scene) -> None:
    seen = [scene.step()]
    for seed in ("one", "two"):
        scene.queue(seed)
    seen.append(scene.step())
    for _ in range(2):
        scene.end()
        seen.append(scene.step())

    assert seen == [set(), {PATIENT}, {PATIENT}, set()]


def test_what_somebody_else_protected_stays_so(scene: Scene) -> None:
    scene.queue("one")
    scene.pacs.protected.add(PATIENT)
    scene.step()
    scene.end()

    assert scene.step() == {PATIENT}


def test_a_patient_deleted_meanwhile_stops_nothing(scene: Scene) -> None:
    scene.queue("one")
    scene.step()
    scene.pacs.instances.clear()
    scene.end()
    scene.queue("two")
    scene.pacs.instances.clear()

    scene.step()

    rows = scene.journal.connection.execute("SELECT * FROM protected_studies").fetchall()
    assert rows == []


def test_a_refusal_is_asked_for_again(scene: Scene) -> None:
    scene.queue("one")
    scene.pacs.refuses.add(PATIENT)
    refused = scene.step()
    scene.pacs.refuses.clear()
    after = scene.step()
    scene.pacs.refuses.add(PATIENT)
    scene.end()
    still = scene.step()
    scene.pacs.refuses.clear()

    assert (refused, after, still) == (set(), {PATIENT}, {PATIENT})
    assert scene.step() == set()


def test_an_orthanc_that_is_away_is_waited_for(scene: Scene) -> None:
    scene.queue("one")
    scene.pacs.is_away = True

    with pytest.raises(PacsUnavailable):
        scene.step()


def test_a_patient_is_protected_from_the_first_slice_on(scene: Scene) -> None:
    ids = fill(scene.pacs, ct_series(2, seed="one"))
    study = scene.pacs.glance(scene.pacs.series_of_instance(ids[0])).study_orthanc_id
    arriving = ArrivingStudies(scene.journal)
    arriving.keep(frozenset({study}))
    seen = [scene.step()]
    scene.queue("one")
    arriving.keep(frozenset())
    seen.append(scene.step())
    scene.end()
    seen.append(scene.step())

    assert seen == [{PATIENT}, {PATIENT}, set()]


def test_a_study_that_came_to_rest_without_a_job_is_free_again_also_after_a_crash(
    scene: Scene,
) -> None:
    ids = fill(scene.pacs, ct_series(2, seed="one"))
    study = scene.pacs.glance(scene.pacs.series_of_instance(ids[0])).study_orthanc_id
    ArrivingStudies(scene.journal).keep(frozenset({study}))
    scene.step()
    # A fresh process, which finds that nothing moves.
    ArrivingStudies(scene.journal).keep(frozenset())

    assert scene.step() == set()
