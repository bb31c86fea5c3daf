"""L3 set by hand at the node: kept for the series, refused where it is no slice of it, and given back."""

from pathlib import Path
from typing import Any

import pytest

from inference.domain.entered_level import EnteredLevel
from orthanc_plugin.node.delivery_journal import DeliveryJournal, ObjectUids, ResultFile
from orthanc_plugin.node.destinations import Destination
from orthanc_plugin.node.job_states import JobState
from orthanc_plugin.node.journal import Job, Journal, Verdict
from orthanc_plugin.node.operator_journal import OperatorJournal
from orthanc_plugin.node.pacs import PacsUnavailable
from orthanc_plugin.node.spool import Spool
from orthanc_plugin.node.superseding import predecessors
from tests.dicom_peers import ct_series
from tests.fakes import Clock, FakeEngine, FakePacs, fill
from tests.unit.orthanc_plugin.node.test_commands import Scene
from tests.unit.orthanc_plugin.node.test_worker import Scene as WorkerScene

NAMES = ("sop_instance_uid", "instance_number", "z_mm")
UIDS = [str(image.SOPInstanceUID) for image in ct_series(3)]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    pacs = FakePacs()
    (first, *_) = fill(pacs, ct_series(3))
    journal = Journal(tmp_path / "journal.db", Clock())
    return Scene(tmp_path, pacs, journal, pacs.series_of_instance(first))


def told(scene: Scene, job: str, **named: Any) -> tuple[str, str]:
    """Outcome and sentence of setting L3."""
    number = scene.ask("level", job=job, **(dict.fromkeys(NAMES) | named))
    scene.desk.step()
    row = scene.journal.connection.execute(
        "SELECT outcome, detail FROM commands WHERE id = ?", (number,)
    ).fetchone()
    return ("none", "") if row is None else (row["outcome"], row["detail"])


def kept(scene: Scene, job: Job) -> EnteredLevel | None:
    """As the worker finds it."""
    facts = scene.pacs.series_facts(scene.series)
    operators = OperatorJournal(scene.journal)
    return operators.entered_level(job.submission.series_uid, facts.sop_uids.values())


@pytest.mark.parametrize(
    "named", [{"sop_instance_uid": UIDS[1]}, {"instance_number": 2}, {"z_mm": 12.4}]
)
def test_the_slice_is_kept_for_the_series_and_the_next_run_is_told(
    scene: Scene, named: dict[str, Any]
) -> None:
    job = scene.computed()

    outcome, _ = told(scene, job.key, **named)
    newer = scene.journal.take(60.0)

    assert outcome == "new-run"
    assert newer is not None
    assert (scene.state(job.key), newer.submission.run) == (JobState.SUPERSEDED, 2)
    level = kept(scene, newer)
    assert level is not None
    assert {name: getattr(level, name) for name in NAMES} == dict.fromkeys(NAMES) | named
    assert level.entered_by == "maria"


def test_the_earlier_result_is_named_as_replaced(scene: Scene) -> None:
    job = scene.computed()
    scene.journal.connection.execute(
        "UPDATE results SET orthanc_id = 'x', sop_class_uid = '1.2' WHERE role = 'sr'"
    )

    told(scene, job.key, z_mm=10.0)
    newer = scene.journal.take(60.0)

    assert newer is not None
    named = predecessors(scene.journal.connection, newer.key)
    assert {one.sop_uid for one in named} == {"1.2.3.6"}


def test_of_a_study_that_was_rejected_it_makes_a_run(scene: Scene) -> None:
    key = scene.queued()
    job = scene.journal.take(60.0)
    assert job is not None
    scene.journal.end(job, JobState.REJECTED, Verdict(reason="no-l3"))

    outcome, _ = told(scene, key, instance_number=2)

    assert outcome == "new-run"
    assert scene.state(key) is JobState.SUPERSEDED
    assert scene.journal.take(60.0) is not None


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({"sop_instance_uid": "1.2.3"}, "no slices of that SOP Instance UID among 3"),
        ({"instance_number": 4}, "no slices of that Instance Number among 3"),
        ({"z_mm": 17.6}, "patient z 17.6 mm; wanted 5.0 to 15.0 mm"),
        ({"z_mm": 2.4}, "patient z 2.4 mm"),
    ],
)
def test_what_is_no_slice_of_the_series_changes_nothing_and_is_told(
    scene: Scene, named: dict[str, Any], words: str
) -> None:
    job = scene.computed()

    outcome, sentence = told(scene, job.key, **named)

    assert outcome == "level-not-in-series"
    assert words in sentence
    assert kept(scene, job) is None
    assert scene.state(job.key) is JobState.COMPUTED


def test_half_a_step_beyond_the_outermost_slices_is_theirs(scene: Scene) -> None:
    job = scene.computed()

    assert told(scene, job.key, z_mm=2.6)[0] == "new-run"


def test_a_number_that_two_slices_have_names_neither(scene: Scene) -> None:
    images = ct_series(3, seed="twice")
    images[2].InstanceNumber = 2
    (first, *_) = fill(scene.pacs, images)
    scene.series = scene.pacs.series_of_instance(first)

    outcome, sentence = told(scene, scene.queued(), instance_number=2)

    assert (outcome, "2 slices of that" in sentence) == ("level-not-in-series", True)


@pytest.mark.parametrize(
    ("named", "outcome"),
    [
        ({"instance_number": 40}, "new-run"),
        ({"instance_number": 41}, "level-not-in-series"),
        ({"instance_number": 0}, "level-not-in-series"),
        ({"z_mm": 1e5}, "new-run"),
        (
            {"sop_instance_uid": str(ct_series(1, seed="frames")[0].SOPInstanceUID)},
            "level-not-in-series",
        ),
    ],
)
def test_of_a_multi_frame_image_frames_are_numbered_and_places_are_left_to_the_analysis(
    scene: Scene, named: dict[str, Any], outcome: str
) -> None:
    image = ct_series(1, seed="frames")[0]
    image.NumberOfFrames = 40
    (first,) = fill(scene.pacs, [image])
    scene.series = scene.pacs.series_of_instance(first)

    assert told(scene, scene.queued(), **named)[0] == outcome


def test_it_is_given_back(scene: Scene) -> None:
    job = scene.computed()
    told(scene, job.key, z_mm=10.0)
    second = scene.journal.take(60.0)
    assert second is not None

    outcome = scene.outcome("level-remove", job=second.key)
    third = scene.journal.take(60.0)

    assert outcome == "new-run"
    assert third is not None
    assert kept(scene, third) is None
    assert scene.outcome("level-remove", job=third.key) == "no-level-set"
    assert scene.outcome("level-remove", job=job.key) == "superseded"
    assert scene.outcome("level-remove", job="f" * 32) == "unknown-job"


def test_another_slice_takes_the_place_of_the_first_whatever_it_was_named_by(scene: Scene) -> None:
    job = scene.computed()
    told(scene, job.key, sop_instance_uid=UIDS[0])
    newer = scene.journal.take(60.0)
    assert newer is not None

    told(scene, newer.key, z_mm=10.0)

    level = kept(scene, newer)
    assert level is not None
    assert (level.sop_instance_uid, level.z_mm) == (None, 10.0)


def test_of_a_job_that_a_newer_one_replaced_or_none_has_it_is_refused(scene: Scene) -> None:
    job = scene.computed()
    told(scene, job.key, z_mm=10.0)

    assert told(scene, job.key, z_mm=15.0)[0] == "superseded"
    assert told(scene, "f" * 32, z_mm=15.0)[0] == "unknown-job"
    level = kept(scene, job)
    assert level is not None
    assert level.z_mm == 10.0


def test_it_waits_for_an_orthanc_that_is_away_and_ends_where_the_series_is_gone(
    scene: Scene,
) -> None:
    job = scene.computed()
    number = scene.ask("level", job=job.key, **(dict.fromkeys(NAMES) | {"z_mm": 10.0}))
    scene.pacs.is_away = True
    with pytest.raises(PacsUnavailable):
        scene.desk.step()
    assert scene.outcome_of(number) == "none"
    scene.pacs.is_away = False
    scene.pacs.begin_anew()

    scene.desk.step()

    assert scene.outcome_of(number) == "resource-gone"


def test_neither_journal_nor_audit_names_the_image(scene: Scene) -> None:
    job = scene.computed()

    told(scene, job.key, sop_instance_uid=UIDS[1])

    assert ("maria", "level-set", "") in scene.audit()
    assert UIDS[1] not in "\n".join(scene.journal.connection.iterdump())


def test_an_image_that_is_gone_leaves_a_level_without_a_name(scene: Scene) -> None:
    job = scene.computed()
    told(scene, job.key, sop_instance_uid=UIDS[1])

    level = OperatorJournal(scene.journal).entered_level(job.submission.series_uid, UIDS[2:])

    assert level == EnteredLevel(entered_by="maria", entered_at=level.entered_at if level else 0.0)


def test_the_engine_is_told_the_image_by_its_own_uid(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", clock := Clock())
    at = WorkerScene(FakePacs(), journal, Spool(tmp_path / "spool"), FakeEngine(), clock, tmp_path)
    key = at.queue()
    level = EnteredLevel(sop_instance_uid=UIDS[1], entered_by="maria", entered_at=5.0)
    OperatorJournal(journal).enter_level(key, level, None)

    at.worker().step()

    assert [request.level for request in at.engine.requests] == [level]


def test_results_stay_as_they_are_until_the_new_run_has_its_own(scene: Scene) -> None:
    scene.queued()
    job = scene.journal.take(60.0)
    assert job is not None
    uids = ObjectUids(study_uid="1.2", series_uid="1.3", sop_uid="1.4")
    result = ResultFile(role="sr", file_name="sr", sha256="0", size_bytes=1, uids=uids)
    DeliveryJournal(scene.journal).record_results(job, [result], [Destination(name="pacs")])

    told(scene, job.key, z_mm=10.0)

    rows = scene.journal.connection.execute("SELECT key, role FROM results").fetchall()
    assert [tuple(row) for row in rows] == [(job.key, "sr")]
