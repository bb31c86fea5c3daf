"""Intake after the choice: late slices, better series, corrected patients, gaps, and an Orthanc that refuses."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from orthanc_plugin.node.arrivals import CURSOR
from orthanc_plugin.node.destinations import Destination
from orthanc_plugin.node.intake import LONGEST_PAUSE_S, NEXT_BEST_TRIES
from orthanc_plugin.node.job_states import JobState
from orthanc_plugin.node.journal import Journal
from orthanc_plugin.node.settings import LatePolicy
from orthanc_plugin.node.superseding import predecessors
from tests.dicom_peers import ct_series
from tests.fakes import ENGINE, Clock, FakePacs, fill
from tests.intake_scene import QUIET_S, SETTINGS, WAIT_S, Scene, settle
from tests.synthetic_study import SEVEN_PORTAL, plain_series, study_of_seven

PACS = Destination(name="pacs")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    clock = Clock()
    return Scene(FakePacs(), Journal(tmp_path / "journal.db", clock), clock)


def noting(scene: Scene) -> Scene:
    """The same site, where results stay as they are."""
    return replace(scene, settings=replace(SETTINGS, late=LatePolicy.NOTE))


def named(series: Sequence[Dataset], **values: str) -> list[Dataset]:
    """The same images with other header values."""
    copies = [image.copy() for image in series]
    for image in copies:
        for keyword, value in values.items():
            setattr(image, keyword, value)
    return copies


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)], ids=["head first", "feet"])
def test_a_series_in_two_halves_within_the_quiet_time_is_one_job(
    scene: Scene, order: slice
) -> None:
    intake, slices = scene.intake(), ct_series(8)[order]
    fill(scene.pacs, slices[:4])
    intake.step(ENGINE)
    scene.clock.pass_s(QUIET_S - 1)
    fill(scene.pacs, slices[4:])
    settle(scene, intake)

    (row,) = scene.journal.connection.execute("SELECT instance_count FROM jobs").fetchall()
    assert row["instance_count"] == 8


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)], ids=["head first", "feet"])
def test_a_second_half_after_the_result_supersedes_it_and_names_it(
    scene: Scene, order: slice
) -> None:
    intake, slices = scene.intake(), ct_series(8)[order]
    fill(scene.pacs, slices[:4])
    settle(scene, intake)
    half = scene.finish_next([PACS])
    fill(scene.pacs, slices[4:])
    settle(scene, intake)

    assert scene.states() == [JobState.SUPERSEDED, JobState.QUEUED]
    whole = scene.take()
    assert whole.submission.instance_count == 8
    (earlier,) = predecessors(scene.journal.connection, whole.key)
    assert (earlier.role, earlier.sop_uid) == ("sr", f"1.2.{int(half.key, 16)}.2")
    rows = scene.journal.connection.execute("SELECT state FROM deliveries").fetchall()
    assert [row["state"] for row in rows] == ["cancelled"]


def test_a_result_that_never_left_the_spool_is_no_predecessor_but_the_one_before_it_is(
    scene: Scene,
) -> None:
    intake, slices = scene.intake(), ct_series(9)
    fill(scene.pacs, slices[:3])
    settle(scene, intake)
    first = scene.finish_next()
    fill(scene.pacs, slices[3:6])
    settle(scene, intake)
    second = scene.finish_next()
    scene.journal.connection.execute(
        "UPDATE results SET orthanc_id = NULL WHERE key = ?", (second.key,)
    )
    fill(scene.pacs, slices[6:])
    settle(scene, intake)

    third = scene.take()
    (earlier,) = predecessors(scene.journal.connection, third.key)
    assert earlier.sop_uid == f"1.2.{int(first.key, 16)}.2"
    rows = scene.journal.connection.execute(
        "SELECT key, superseded_by FROM jobs WHERE state = 'superseded'"
    ).fetchall()
    assert {tuple(row) for row in rows} == {(first.key, third.key), (second.key, third.key)}


def test_where_the_site_says_note_late_images_start_no_job(scene: Scene) -> None:
    site = noting(scene)
    intake, slices = site.intake(), ct_series(8)
    fill(scene.pacs, slices[:4])
    settle(site, intake)
    site.finish_next()
    fill(scene.pacs, slices[4:])

    assert settle(site, intake) == 0
    assert site.states() == [JobState.DONE]
    assert list(site.notes().values()) == ["late-images"]


def test_where_the_site_says_note_late_images_still_join_a_job_without_result(
    scene: Scene,
) -> None:
    site = noting(scene)
    intake, slices = site.intake(), ct_series(8)
    fill(scene.pacs, slices[:4])
    settle(site, intake)
    fill(scene.pacs, slices[4:])
    settle(site, intake)

    assert site.states() == [JobState.SUPERSEDED, JobState.QUEUED]


def test_a_better_series_takes_the_place_of_the_one_that_was_measured(scene: Scene) -> None:
    intake, study = scene.intake(), study_of_seven()
    fill(scene.pacs, study["thick soft"])
    settle(scene, intake)
    before = scene.finish_next()
    fill(scene.pacs, study["portal"])
    settle(scene, intake)

    assert scene.queued_numbers() == [3, SEVEN_PORTAL]
    assert scene.states() == [JobState.SUPERSEDED, JobState.QUEUED]
    (earlier,) = predecessors(scene.journal.connection, scene.take().key)
    assert earlier.sop_uid == f"1.2.{int(before.key, 16)}.2"


def test_a_better_series_is_noted_where_the_site_says_so(scene: Scene) -> None:
    site = noting(scene)
    intake, study = site.intake(), study_of_seven()
    fill(scene.pacs, study["thick soft"])
    settle(site, intake)
    site.finish_next()
    fill(scene.pacs, study["portal"])
    settle(site, intake)

    assert site.queued_numbers() == [3]
    assert site.notes() == {SEVEN_PORTAL: "came-later"}


def test_a_series_that_suits_as_well_does_not_take_the_place(scene: Scene) -> None:
    intake, study = scene.intake(), study_of_seven()
    fill(scene.pacs, study["portal"])
    settle(scene, intake)
    later = plain_series(
        8,
        "Abdomen portalvenös 3.0 B30f",
        slice_thickness_mm=3.0,
        contrast_agent="Ultravist",
        study_time="235959",
    )
    fill(scene.pacs, later)
    settle(scene, intake)

    assert scene.queued_numbers() == [SEVEN_PORTAL]


def test_a_worse_series_does_not_replace_a_result_whose_images_are_gone(scene: Scene) -> None:
    intake, study = scene.intake(), study_of_seven()
    ids = fill(scene.pacs, study["portal"])
    settle(scene, intake)
    scene.finish_next()
    for orthanc_id in ids:
        scene.pacs.forget(orthanc_id)
    fill(scene.pacs, study["thick soft"])
    settle(scene, intake)

    assert scene.queued_numbers() == [SEVEN_PORTAL]
    assert scene.notes() == {3: "came-later"}


def test_where_the_better_series_is_rejected_the_first_one_is_measured_again(
    scene: Scene,
) -> None:
    intake, study = scene.intake(), study_of_seven()
    fill(scene.pacs, study["thick soft"])
    settle(scene, intake)
    first = scene.finish_next()
    fill(scene.pacs, study["portal"])
    settle(scene, intake)
    scene.reject_next()
    intake.step(ENGINE)

    assert scene.queued_numbers() == [3, SEVEN_PORTAL, 3]
    assert scene.states() == [JobState.SUPERSEDED, JobState.REJECTED, JobState.QUEUED]
    (earlier,) = predecessors(scene.journal.connection, scene.take().key)
    assert earlier.sop_uid == f"1.2.{int(first.key, 16)}.2"


@pytest.mark.parametrize("late", list(LatePolicy))
@pytest.mark.parametrize("keyword", ["PatientName", "PatientBirthDate", "AccessionNumber"])
def test_a_corrected_patient_gives_a_new_result_whatever_the_site_says_of_late_images(
    scene: Scene, late: LatePolicy, keyword: str
) -> None:
    site = replace(scene, settings=replace(SETTINGS, late=late))
    site.pacs.overwrites = True
    intake, slices = site.intake(), ct_series(4)
    fill(site.pacs, slices)
    settle(site, intake)
    wrong = site.finish_next()
    fill(site.pacs, named(slices, **{keyword: "19700101"}))

    assert settle(site, intake) == 1
    assert site.states() == [JobState.SUPERSEDED, JobState.QUEUED]
    assert len(predecessors(site.journal.connection, site.take().key)) == 1
    assert wrong.submission.demographics


def test_another_patient_id_is_another_study_of_orthanc_and_supersedes_all_the_same(
    scene: Scene,
) -> None:
    intake, slices = scene.intake(), ct_series(4)
    ids = fill(scene.pacs, slices)
    settle(scene, intake)
    scene.finish_next()
    for orthanc_id in ids:
        scene.pacs.forget(orthanc_id)
    fill(scene.pacs, named(slices, PatientID="MERGED"))
    settle(scene, intake)

    assert scene.states() == [JobState.SUPERSEDED, JobState.QUEUED]


def test_the_same_images_sent_again_over_themselves_start_nothing(scene: Scene) -> None:
    scene.pacs.overwrites = True
    intake, slices = scene.intake(), ct_series(4)
    fill(scene.pacs, slices)
    settle(scene, intake)
    scene.finish_next()
    fill(scene.pacs, slices)

    assert settle(scene, intake) == 0
    assert scene.states() == [JobState.DONE]


def test_no_name_can_be_read_or_tried_from_the_seal(scene: Scene) -> None:
    intake = scene.intake()
    fill(scene.pacs, ct_series(2))
    settle(scene, intake)

    assert re.fullmatch("[0-9a-f]{32}", scene.take().submission.demographics)
    assert "CANARY" not in "".join(scene.journal.connection.iterdump()).upper()


def gapped() -> tuple[list[Dataset], list[Dataset]]:
    """The portal series without two slices, and those two."""
    whole = study_of_seven()["portal"]
    return [*whole[:10], *whole[12:]], whole[10:12]


def test_a_series_with_a_gap_waits_and_is_taken_whole_when_the_slices_come(scene: Scene) -> None:
    intake = scene.intake()
    most, rest = gapped()
    fill(scene.pacs, most)
    early = settle(scene, intake)
    cursor = scene.journal.fact(CURSOR)
    fill(scene.pacs, rest)
    late = settle(scene, intake)

    assert (early, late, cursor) == (0, 1, "0")
    assert scene.take().submission.instance_count == 32
    assert scene.notes() == {}


def test_a_series_whose_gap_stays_is_taken_as_it_is_after_the_wait(scene: Scene) -> None:
    intake = scene.intake()
    fill(scene.pacs, gapped()[0])
    at_rest = settle(scene, intake)
    told = scene.notes()
    asked = scene.pacs.texts_asked
    scene.clock.pass_s(WAIT_S - 1)
    before = intake.step(ENGINE)
    asked_while_waiting = scene.pacs.texts_asked - asked
    scene.clock.pass_s(1)

    assert (at_rest, before, intake.step(ENGINE)) == (0, 0, 1)
    assert told == {SEVEN_PORTAL: "awaits-slices"}
    assert asked_while_waiting == 0
    assert scene.notes() == {}


def test_where_a_gap_makes_the_better_series_lose_it_is_waited_for(scene: Scene) -> None:
    intake = scene.intake()
    fill(scene.pacs, study_of_seven()["thick soft"])
    fill(scene.pacs, gapped()[0])
    early = settle(scene, intake)
    fill(scene.pacs, gapped()[1])
    settle(scene, intake)

    assert early == 0
    assert scene.queued_numbers() == [SEVEN_PORTAL]


def test_a_gap_in_a_series_that_would_not_be_taken_anyhow_delays_nothing(scene: Scene) -> None:
    intake = scene.intake()
    lung = study_of_seven()["thin lung"]
    fill(scene.pacs, study_of_seven()["portal"])
    fill(scene.pacs, [*lung[:10], *lung[12:]])

    assert settle(scene, intake) == 1


def test_a_site_that_waits_for_nothing_takes_the_gap_at_once(scene: Scene) -> None:
    site = replace(scene, settings=replace(SETTINGS, incomplete_wait_s=0.0))
    fill(scene.pacs, gapped()[0])

    assert settle(site, site.intake()) == 1


def test_a_measured_series_with_a_gap_does_not_wait_again_when_a_scout_comes(
    scene: Scene,
) -> None:
    intake = scene.intake()
    fill(scene.pacs, gapped()[0])
    settle(scene, intake)
    scene.clock.pass_s(WAIT_S)
    intake.step(ENGINE)
    scene.finish_next()
    fill(scene.pacs, study_of_seven()["scout"])
    settle(scene, intake)

    assert intake.moving == 0


def refused_at(scene: Scene, intake_steps: int, study: str) -> list[float]:
    """Moments at which Orthanc was asked for a study that it refuses to show, one step a second."""
    intake = scene.intake()
    scene.pacs.refuses.add(study)
    moments = []
    for _ in range(intake_steps):
        before = len(scene.log.events)
        intake.step(ENGINE)
        if "series-not-read" in scene.log.events[before:]:
            moments.append(scene.clock.now_s - 1000.0)
        scene.clock.pass_s(1.0)
    return moments


def test_an_orthanc_that_keeps_refusing_a_study_is_asked_less_and_less(scene: Scene) -> None:
    (first, *_) = fill(scene.pacs, ct_series(2))

    moments = refused_at(scene, 200, scene.pacs.instances[first].study_id)

    assert moments == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0]
    scene.pacs.refuses.clear()
    scene.clock.pass_s(LONGEST_PAUSE_S)
    assert settle(scene, scene.intake()) == 1


def test_a_next_best_series_that_orthanc_keeps_refusing_is_given_up_with_a_reason(
    scene: Scene,
) -> None:
    intake, study = scene.intake(), study_of_seven()
    fill(scene.pacs, study["portal"])
    (other, *_) = fill(scene.pacs, study["arterial"])
    settle(scene, intake)
    scene.reject_next()
    scene.pacs.refuses.add(scene.pacs.instances[other].study_id)
    asked = 0
    for _ in range(100):
        before = scene.log.events.count("series-not-read")
        intake.step(ENGINE)
        asked += scene.log.events.count("series-not-read") - before
        scene.clock.pass_s(LONGEST_PAUSE_S)

    assert asked == NEXT_BEST_TRIES
    assert scene.notes() == {6: "orthanc-refuses"}
