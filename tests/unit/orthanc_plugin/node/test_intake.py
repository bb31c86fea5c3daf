"""Intake: when a series counts as complete, and what a crash or a deletion does."""

from pathlib import Path
from random import Random

import pytest
from pydicom.dataset import Dataset

from orthanc_plugin.node.arrivals import CURSOR
from orthanc_plugin.node.choice_journal import ChoiceJournal
from orthanc_plugin.node.job_states import JobState
from orthanc_plugin.node.journal import Journal
from orthanc_plugin.node.pacs import PacsUnavailable
from tests.dicom_peers import ct_series
from tests.fakes import ENGINE, Clock, FakePacs, fill
from tests.intake_scene import QUIET_S, RULES, Scene, settle
from tests.synthetic_study import SEVEN_PORTAL, plain_series, study_of_seven

SECRET = "HONG_GILDONG"


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


def test_of_a_study_one_series_is_queued_and_the_others_are_noted_with_their_reason(
    scene: Scene,
) -> None:
    intake = scene.intake()
    for series in study_of_seven().values():
        fill(scene.pacs, series)

    assert settle(scene, intake) == 1
    assert scene.queued_numbers() == [SEVEN_PORTAL]
    assert scene.notes() == {
        1: "scout",
        2: "outscored-kernel",
        3: "outscored-phase",
        4: "not-axial",
        6: "outscored-phase",
        501: "dose-page",
    }


@pytest.mark.parametrize("seed", range(20))
def test_images_of_a_study_in_any_order_lead_to_the_same_series(scene: Scene, seed: int) -> None:
    intake = scene.intake()
    images = [image for series in study_of_seven().values() for image in series[::6]]
    Random(seed).shuffle(images)
    fill(scene.pacs, images)
    settle(scene, intake)

    assert scene.queued_numbers() == [SEVEN_PORTAL]


def test_a_study_waits_until_all_of_its_series_are_quiet(scene: Scene) -> None:
    intake = scene.intake()
    study = study_of_seven()
    fill(scene.pacs, study["thick soft"])
    intake.step(ENGINE)
    scene.clock.pass_s(QUIET_S - 1)
    fill(scene.pacs, study["portal"])
    intake.step(ENGINE)
    scene.clock.pass_s(QUIET_S - 1)
    early = intake.step(ENGINE)
    scene.clock.pass_s(1)

    assert (early, intake.step(ENGINE)) == (0, 1)
    assert scene.queued_numbers() == [SEVEN_PORTAL]


def test_where_the_chosen_series_is_rejected_the_next_best_is_queued(scene: Scene) -> None:
    intake = scene.intake()
    for series in study_of_seven().values():
        fill(scene.pacs, series)
    settle(scene, intake)
    for _ in range(5):
        scene.reject_next()
        intake.step(ENGINE)

    # Three finalists, and not the lung series after them.
    assert scene.queued_numbers() == [SEVEN_PORTAL, 3, 6]
    assert scene.notes()[2] == "next-best-failed"


def test_organs_without_l3_are_wanted_only_of_the_last_series_that_may_be_tried(
    scene: Scene,
) -> None:
    """Of seven, four could be measured and three may be tried."""
    intake, last = scene.intake(), []
    for series in study_of_seven().values():
        fill(scene.pacs, series)
    settle(scene, intake)
    for _ in range(3):
        rows = scene.journal.connection.execute(
            "SELECT DISTINCT study_orthanc_id AS study FROM jobs"
        )
        (study,) = [row["study"] for row in rows]
        last.append(ChoiceJournal(scene.journal).is_last(study, RULES.finalists))
        scene.reject_next()
        intake.step(ENGINE)

    assert last == [False, False, True]


def test_a_restart_goes_on_to_the_next_best_too(scene: Scene) -> None:
    study = study_of_seven()
    for name in ("portal", "arterial"):
        fill(scene.pacs, study[name])
    settle(scene, scene.intake())
    scene.reject_next()

    assert scene.intake().step(ENGINE) == 1
    assert scene.queued_numbers() == [SEVEN_PORTAL, 6]


def test_a_study_deleted_before_its_next_best_was_taken_is_given_up(scene: Scene) -> None:
    intake = scene.intake()
    study = study_of_seven()
    ids = [*fill(scene.pacs, study["portal"]), *fill(scene.pacs, study["arterial"])]
    settle(scene, intake)
    for orthanc_id in ids:
        scene.pacs.forget(orthanc_id)
    scene.reject_next()

    assert intake.step(ENGINE) == 0
    assert scene.notes() == {6: "source-deleted"}


def test_results_that_come_to_rest_beside_their_series_choose_nothing(scene: Scene) -> None:
    intake = scene.intake()
    fill(scene.pacs, study_of_seven()["portal"])
    settle(scene, intake)
    result = plain_series(9001, "result", slices=1, tags={"Manufacturer": "Habitus"})
    fill(scene.pacs, result)
    asked_before = scene.pacs.texts_asked

    assert settle(scene, intake) == 0
    assert scene.pacs.texts_asked == asked_before


def test_no_text_of_a_header_reaches_the_journal(scene: Scene) -> None:
    intake = scene.intake()
    named = {"ProtocolName": SECRET, "BodyPartExamined": SECRET, "ConvolutionKernel": SECRET}
    for number in (2, 3):
        fill(scene.pacs, plain_series(number, SECRET, tags=dict(named)))
    settle(scene, intake)

    assert SECRET not in "".join(scene.journal.connection.iterdump())
