"""Intake: when a series counts as complete, and what a crash or a deletion does."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from orthanc_plugin.node.intake import CURSOR, Intake
from orthanc_plugin.node.job_states import JobState
from orthanc_plugin.node.journal import Journal
from orthanc_plugin.node.logs import StudyPseudonyms
from orthanc_plugin.node.pacs import PacsUnavailable
from tests.dicom_peers import ct_series
from tests.fakes import ENGINE, Clock, FakePacs, SilentLog, fill

QUIET_S = 5.0


@dataclass
class Scene:
    pacs: FakePacs
    journal: Journal
    clock: Clock

    def intake(self) -> Intake:
        """A fresh process on the same journal."""
        pseudonyms = StudyPseudonyms(b"secret")
        return Intake(self.pacs, self.journal, QUIET_S, pseudonyms, SilentLog(), clock=self.clock)

    def states(self) -> list[str]:
        rows = self.journal.connection.execute("SELECT state FROM jobs ORDER BY created_at, rowid")
        return [row["state"] for row in rows]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    clock = Clock()
    return Scene(FakePacs(), Journal(tmp_path / "journal.db", clock), clock)


def test_a_series_is_queued_once_it_is_quiet(scene: Scene) -> None:
    intake = scene.intake()
    fill(scene.pacs, ct_series(3))

    early = intake.step(ENGINE)
    scene.clock.pass_s(QUIET_S)
    late = intake.step(ENGINE)

    assert (early, late) == (0, 1)


def test_every_new_slice_starts_the_quiet_time_again(scene: Scene) -> None:
    intake = scene.intake()
    slices = ct_series(3)
    fill(scene.pacs, slices[:2])
    intake.step(ENGINE)
    scene.clock.pass_s(QUIET_S - 1)
    fill(scene.pacs, slices[2:])
    intake.step(ENGINE)
    scene.clock.pass_s(QUIET_S - 1)

    assert intake.step(ENGINE) == 0
    assert intake.moving == 1


def test_a_late_slice_makes_a_new_job_that_supersedes(scene: Scene) -> None:
    intake = scene.intake()
    slices = ct_series(3)
    fill(scene.pacs, slices[:2])
    intake.step(ENGINE)
    scene.clock.pass_s(QUIET_S)
    intake.step(ENGINE)
    fill(scene.pacs, slices[2:])
    intake.step(ENGINE)
    scene.clock.pass_s(QUIET_S)
    intake.step(ENGINE)

    assert scene.states() == [JobState.SUPERSEDED, JobState.QUEUED]


def test_a_crash_while_slices_arrive_loses_nothing(scene: Scene) -> None:
    first = scene.intake()
    slices = ct_series(4)
    fill(scene.pacs, slices[:2])
    first.step(ENGINE)
    fill(scene.pacs, slices[2:])

    second = scene.intake()
    second.step(ENGINE)
    scene.clock.pass_s(QUIET_S)
    second.step(ENGINE)

    (row,) = scene.journal.connection.execute("SELECT instance_count FROM jobs").fetchall()
    assert row["instance_count"] == 4


def test_the_cursor_stays_behind_a_series_that_is_still_moving(scene: Scene) -> None:
    intake = scene.intake()
    fill(scene.pacs, ct_series(2, seed="complete"))
    intake.step(ENGINE)
    scene.clock.pass_s(QUIET_S)
    fill(scene.pacs, ct_series(2, seed="moving"))
    intake.step(ENGINE)

    assert scene.journal.fact(CURSOR) == "2"


def test_the_cursor_passes_a_series_that_was_queued(scene: Scene) -> None:
    intake = scene.intake()
    fill(scene.pacs, ct_series(2))
    intake.step(ENGINE)
    scene.clock.pass_s(QUIET_S)
    intake.step(ENGINE)

    assert scene.journal.fact(CURSOR) == "2"


def test_reading_the_log_again_queues_nothing_twice(scene: Scene) -> None:
    fill(scene.pacs, ct_series(2))
    for _ in range(2):
        scene.journal.set_fact(CURSOR, "0")
        intake = scene.intake()
        intake.step(ENGINE)
        scene.clock.pass_s(QUIET_S)
        intake.step(ENGINE)

    assert scene.states() == [JobState.QUEUED]


def test_a_replaced_index_is_read_from_its_start(scene: Scene) -> None:
    scene.journal.set_fact(CURSOR, "100000")
    fill(scene.pacs, ct_series(2))
    intake = scene.intake()
    intake.step(ENGINE)
    scene.clock.pass_s(QUIET_S)

    assert intake.step(ENGINE) == 1


def _own(series: list[Dataset]) -> list[Dataset]:
    for image in series:
        image.Manufacturer = "Habitus"
    return series


@pytest.mark.parametrize(
    ("series", "reason"),
    [
        (ct_series(1, modality="MR"), "not-ct"),
        (ct_series(1, modality="SEG"), "result-object"),
        (ct_series(1, modality="SR"), "result-object"),
        (_own(ct_series(1)), "own-result"),
    ],
)
def test_what_is_not_for_us_is_skipped_with_a_reason(
    scene: Scene, series: list[Dataset], reason: str
) -> None:
    intake = scene.intake()
    fill(scene.pacs, series)
    intake.step(ENGINE)
    scene.clock.pass_s(QUIET_S)
    intake.step(ENGINE)

    (row,) = scene.journal.connection.execute("SELECT reason FROM skipped").fetchall()
    assert row["reason"] == reason
    assert scene.states() == []


def test_a_series_deleted_while_it_arrived_is_dropped(scene: Scene) -> None:
    intake = scene.intake()
    ids = fill(scene.pacs, ct_series(2))
    intake.step(ENGINE)
    for orthanc_id in ids:
        scene.pacs.forget(orthanc_id)
    scene.clock.pass_s(QUIET_S)

    assert intake.step(ENGINE) == 0
    assert intake.moving == 0


def test_an_orthanc_that_is_away_changes_nothing(scene: Scene) -> None:
    intake = scene.intake()
    fill(scene.pacs, ct_series(2))
    intake.step(ENGINE)
    scene.clock.pass_s(QUIET_S)
    scene.pacs.is_away = True

    with pytest.raises(PacsUnavailable):
        intake.step(ENGINE)

    scene.pacs.is_away = False
    assert intake.step(ENGINE) == 1


def test_the_marker_names_the_job(scene: Scene) -> None:
    intake = scene.intake()
    fill(scene.pacs, ct_series(2))
    intake.step(ENGINE)
    scene.clock.pass_s(QUIET_S)
    intake.step(ENGINE)

    (job,) = scene.journal.connection.execute("SELECT key FROM jobs").fetchall()
    (marker,) = scene.pacs.markers.values()
    assert job["key"] in marker


def test_a_series_that_orthanc_cannot_show_waits_and_the_others_go_on(scene: Scene) -> None:
    intake = scene.intake()
    (first,) = fill(scene.pacs, ct_series(1, seed="broken"))
    fill(scene.pacs, ct_series(1, seed="whole"))
    scene.pacs.refuses.add(scene.pacs.instances[first].series_id)
    intake.step(ENGINE)
    scene.clock.pass_s(QUIET_S)
    while_refused = intake.step(ENGINE)
    scene.pacs.refuses.clear()
    scene.clock.pass_s(QUIET_S)

    assert while_refused == 1
    assert intake.step(ENGINE) == 1
