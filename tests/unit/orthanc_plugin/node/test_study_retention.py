"""Which studies our own Orthanc lets go, and everything that keeps one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orthanc_plugin.node.arrivals import CURSOR, PAGE
from orthanc_plugin.node.delivery_journal import DeliveryJournal, ObjectUids, ResultFile
from orthanc_plugin.node.destinations import Destination
from orthanc_plugin.node.job_states import DeliveryState, JobState
from orthanc_plugin.node.journal import Job, Journal, Verdict
from orthanc_plugin.node.logs import StudyPseudonyms
from orthanc_plugin.node.operator_journal import OperatorJournal
from orthanc_plugin.node.settings import RetentionSettings
from orthanc_plugin.node.spool_retention import DAY_S
from orthanc_plugin.node.study_retention import (
    MOST_UNREAD_PAGES,
    Kept,
    RetentionRule,
    StudyRetention,
)
from orthanc_plugin.node.submissions import submission_of
from tests.dicom_peers import PATIENT_ID, ct_series
from tests.fakes import ENGINE, Clock, FakePacs, SilentLog, fill

DAYS = 10.0
RULE = RetentionSettings(studies_days=DAYS)
ALSO = RetentionSettings(studies_days=DAYS, also_without_results=True)
PACS, RESEARCH = Destination(name="pacs"), Destination(name="research", required=False)
PATIENT = f"patient-{PATIENT_ID}"


@dataclass
class Scene:
    journal: Journal
    clock: Clock
    pacs: FakePacs = field(default_factory=FakePacs)
    log: SilentLog = field(default_factory=SilentLog)

    def __post_init__(self) -> None:
        self.pacs.clock = self.clock
        self.deliveries = DeliveryJournal(self.journal)
        self.study = ""

    def arrive(self, seed: str = "one", slices: int = 2) -> str:
        """Images come and are taken in; Orthanc's name of their study."""
        series = self.pacs.series_of_instance(fill(self.pacs, ct_series(slices, seed=seed))[0])
        self.take_in()
        self.study = self.pacs.series_facts(series).study_orthanc_id
        return self.study

    def take_in(self) -> None:
        self.journal.set_fact(CURSOR, str(self.pacs.last_change()))

    def queue(self, seed: str = "one") -> None:
        self.arrive(seed)
        (series,) = self.pacs.series_of_study(self.study)
        assert self.journal.submit(submission_of(self.pacs.series_facts(series), ENGINE))

    def running(self, seed: str = "one") -> Job:
        self.queue(seed)
        job = self.journal.take(60.0)
        assert job is not None
        return job

    def computed(self, *to: Destination, seed: str = "one") -> str:
        """A job with one result, on its way; its key."""
        job = self.running(seed)
        uids = ObjectUids(study_uid="1", series_uid="1.2", sop_uid=f"1.3.{int(job.key, 16)}")
        result = ResultFile(role="sr", file_name="sr.dcm", sha256="0", size_bytes=1, uids=uids)
        assert self.deliveries.record_results(job, [result], to)
        for stored in self.deliveries.results_to_store():
            self.deliveries.mark_stored(stored, "o")
        return job.key

    def delivered(self, *to: Destination, seed: str = "one") -> str:
        """And there."""
        key = self.computed(*to, seed=seed)
        self.set_deliveries(DeliveryState.CONFIRMED)
        self.deliveries.settle()
        return key

    def set_deliveries(self, state: DeliveryState, destination: str = "%") -> None:
        self.journal.connection.execute(
            "UPDATE deliveries SET state = ?, updated_at = ? WHERE destination LIKE ?",
            (state, self.clock(), destination),
        )

    def end(self, state: JobState, seed: str = "one") -> str:
        job = self.running(seed)
        assert self.journal.end(job, state, Verdict(reason="no-l3"))
        return job.key

    def grow_old(self) -> None:
        self.clock.pass_s(DAYS * DAY_S + 1)

    def kept(self, rule: RetentionSettings = RULE) -> Kept | None:
        return (
            RetentionRule(self.journal.connection, self.pacs, self.clock)
            .verdict(self.study, rule)
            .kept
        )

    def step(self, rule: RetentionSettings = RULE) -> dict[str, int]:
        retention = StudyRetention(self.pacs, self.journal, StudyPseudonyms(b"s"), self.log)
        return dict(retention.step(lambda: rule))

    def audit(self) -> list[tuple[str, str, str]]:
        rows = self.journal.connection.execute(
            "SELECT event, key, detail FROM audit WHERE event LIKE 'study-%' ORDER BY id"
        )
        return [tuple(row) for row in rows]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    clock = Clock()
    return Scene(Journal(tmp_path / "journal.db", clock), clock)


def test_a_delivered_study_goes_after_its_days_and_is_written_down(scene: Scene) -> None:
    key = scene.delivered(PACS)
    young = scene.step()
    scene.grow_old()
    old, again = scene.step(), scene.step()

    assert (young, old, again) == ({"young": 1}, {"deleted": 1}, {})
    assert scene.pacs.instances == {}
    assert scene.audit() == [("study-due", key, scene.study), ("study-deleted", key, scene.study)]


def test_nothing_goes_where_no_rule_is_set(scene: Scene) -> None:
    scene.delivered(PACS)
    scene.grow_old()

    assert scene.step(RetentionSettings()) == {}
    assert scene.pacs.studies() == (scene.study,)


def _queued(scene: Scene) -> None:
    scene.queue()


def _running(scene: Scene) -> None:
    scene.running()


def _waiting_for_the_pacs(scene: Scene) -> None:
    scene.computed(PACS)


def _dead(scene: Scene) -> None:
    scene.end(JobState.DEAD)


def _best_effort_open(scene: Scene) -> None:
    scene.delivered(PACS, RESEARCH)
    scene.set_deliveries(DeliveryState.PENDING, "research")


def _required_not_confirmed(scene: Scene) -> None:
    scene.delivered(PACS)
    scene.set_deliveries(DeliveryState.CANCELLED)


def _rejected(scene: Scene) -> None:
    scene.end(JobState.REJECTED)


def _sent_nowhere(scene: Scene) -> None:
    scene.delivered()


def _protected_by_somebody(scene: Scene) -> None:
    scene.delivered(PACS)
    scene.pacs.protected.add(PATIENT)


def _refused(scene: Scene) -> None:
    scene.delivered(PACS)
    scene.pacs.refuses.add(scene.study)


@pytest.mark.parametrize(
    ("happened", "why"),
    [
        (_queued, Kept.UNDER_WAY),
        (_running, Kept.UNDER_WAY),
        (_waiting_for_the_pacs, Kept.UNDER_WAY),
        (_dead, Kept.DEAD),
        (_best_effort_open, Kept.UNDELIVERED),
        (_required_not_confirmed, Kept.UNDELIVERED),
        (_rejected, Kept.WITHOUT_RESULTS),
        (_sent_nowhere, Kept.WITHOUT_RESULTS),
        (_protected_by_somebody, Kept.PROTECTED),
        (_refused, Kept.REFUSED),
    ],
)
def test_each_of_these_keeps_a_study_for_ever(
    scene: Scene, happened: Callable[[Scene], None], why: Kept
) -> None:
    happened(scene)
    scene.clock.pass_s(1000 * DAY_S)

    assert scene.kept() is why
    assert scene.step() == {why: 1}
    assert scene.audit() == []
    assert scene.pacs.instances


def test_a_dead_job_that_somebody_cancels_lets_its_study_go(scene: Scene) -> None:
    key = scene.end(JobState.DEAD)
    outcome = OperatorJournal(scene.journal).cancel(key, "otto")
    scene.grow_old()

    assert outcome == "cancelled"
    assert (scene.kept(), scene.kept(ALSO)) == (Kept.WITHOUT_RESULTS, None)


def test_what_nobody_got_a_result_of_goes_only_by_the_second_switch(scene: Scene) -> None:
    scene.end(JobState.REJECTED)
    scene.grow_old()

    assert (scene.kept(), scene.kept(ALSO)) == (Kept.WITHOUT_RESULTS, None)


def test_a_study_that_the_intake_never_looked_at_stays_in_any_case(scene: Scene) -> None:
    scene.arrive()
    scene.grow_old()
    unknown = scene.kept(ALSO)
    scene.journal.connection.execute(
        "INSERT INTO skipped (series_uid, reason, seen_at, study_orthanc_id) VALUES ('1', 'no-rule', 0, ?)",
        (scene.study,),
    )

    assert (unknown, scene.kept(ALSO)) == (Kept.UNKNOWN, None)


def test_one_open_job_keeps_the_study_of_a_delivered_one(scene: Scene) -> None:
    scene.delivered(PACS)
    scene.queue(seed="two")
    scene.journal.connection.execute(
        "UPDATE jobs SET study_orthanc_id = ?", (scene.pacs.studies()[0],)
    )
    scene.study = scene.pacs.studies()[0]
    scene.grow_old()

    assert scene.kept() is Kept.UNDER_WAY


def test_a_late_confirmation_counts_as_a_change(scene: Scene) -> None:
    scene.delivered(PACS)
    scene.grow_old()
    scene.set_deliveries(DeliveryState.CONFIRMED)

    assert scene.kept() is Kept.YOUNG


def test_a_new_slice_makes_a_study_young_again(scene: Scene) -> None:
    scene.delivered(PACS)
    scene.grow_old()
    fill(scene.pacs, ct_series(3))
    scene.take_in()

    assert scene.kept() is Kept.YOUNG


def test_images_that_a_node_long_away_has_not_seen_keep_their_study(scene: Scene) -> None:
    scene.delivered(PACS)
    behind = scene.journal.fact(CURSOR)
    fill(scene.pacs, ct_series(3))
    scene.grow_old()
    before = scene.kept()
    scene.take_in()

    assert behind is not None
    assert (before, scene.kept()) == (Kept.ARRIVING, None)


def test_images_of_another_study_keep_nothing(scene: Scene) -> None:
    scene.delivered(PACS)
    fill(scene.pacs, ct_series(2, seed="other"))
    scene.grow_old()

    assert scene.kept() is None


def test_images_of_another_study_are_read_to_their_end(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.delivered(PACS)
    monkeypatch.setattr("orthanc_plugin.node.study_retention.PAGE", 1)
    fill(scene.pacs, ct_series(3, seed="other"))
    scene.grow_old()

    assert scene.kept() is None


@pytest.mark.parametrize("cursor", [None, 10_000_000])
def test_an_intake_that_has_not_begun_or_must_begin_anew_keeps_everything(
    scene: Scene, cursor: int | None
) -> None:
    scene.delivered(PACS)
    scene.grow_old()
    scene.journal.connection.execute("DELETE FROM facts WHERE name = ?", (CURSOR,))
    if cursor is not None:
        scene.journal.set_fact(CURSOR, str(cursor))

    assert scene.kept() is Kept.ARRIVING


def test_an_intake_that_is_far_behind_is_waited_for(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.delivered(PACS)
    scene.grow_old()
    # So many changes take the fake seconds to make.
    monkeypatch.setattr("orthanc_plugin.node.study_retention.PAGE", 1)
    fill(scene.pacs, ct_series(MOST_UNREAD_PAGES + 1, seed="other"))

    assert PAGE > 1
    assert scene.kept() is Kept.ARRIVING


def test_it_is_asked_again_just_before_the_deletion(scene: Scene) -> None:
    scene.delivered(PACS)
    scene.grow_old()
    answers = [scene.study]

    class LateSlice(FakePacs):
        """A slice comes once the study was found due."""

        def is_protected(self, patient_orthanc_id: str) -> bool:
            if answers:
                answers.clear()
                fill(self, ct_series(3))
            return super().is_protected(patient_orthanc_id)

    scene.pacs.__class__ = LateSlice

    assert scene.step() == {"young": 1}
    assert len(scene.pacs.instances) == 3


def test_a_rule_that_is_switched_off_meanwhile_deletes_nothing_more(scene: Scene) -> None:
    scene.delivered(PACS, seed="one")
    scene.delivered(PACS, seed="two")
    scene.grow_old()
    rules = iter([RULE, RULE, RULE, RetentionSettings(), RetentionSettings()])
    retention = StudyRetention(scene.pacs, scene.journal, StudyPseudonyms(b"s"), scene.log)

    assert retention.step(lambda: next(rules)) == {"deleted": 1, "switched-off": 1}


@pytest.mark.parametrize("jump_s", [365 * DAY_S, -365 * DAY_S])
def test_after_a_jump_of_the_clock_nothing_goes_for_a_day(scene: Scene, jump_s: float) -> None:
    scene.delivered(PACS)
    scene.grow_old()
    boot = Clock(0.0)
    retention = StudyRetention(scene.pacs, scene.journal, StudyPseudonyms(b"s"), scene.log, boot)
    scene.clock.pass_s(jump_s)

    at_once = retention.step(lambda: RULE)
    for clock in (scene.clock, boot):
        clock.pass_s(0.9 * DAY_S)
    soon = retention.step(lambda: RULE)
    for clock in (scene.clock, boot):
        clock.pass_s(365 * DAY_S)
    later = retention.step(lambda: RULE)

    assert (at_once, soon, later) == ({}, {}, {"deleted": 1})
    assert scene.log.events.count("clock-jumped") == 1


def test_a_clock_that_is_only_kept_right_holds_up_no_deletion(scene: Scene) -> None:
    scene.delivered(PACS)
    scene.grow_old()
    boot = Clock(0.0)
    retention = StudyRetention(scene.pacs, scene.journal, StudyPseudonyms(b"s"), scene.log, boot)
    scene.clock.pass_s(5.0)

    assert retention.step(lambda: RULE) == {"deleted": 1}


def test_a_refused_deletion_is_no_deletion(scene: Scene) -> None:
    scene.delivered(PACS)
    scene.grow_old()

    class Refusing(FakePacs):
        def delete_study(self, study_orthanc_id: str) -> None:
            self.refuses.add(study_orthanc_id)
            super().delete_study(study_orthanc_id)

    scene.pacs.__class__ = Refusing

    assert scene.step() == {Kept.REFUSED: 1}
    assert [event for event, _, _ in scene.audit()] == ["study-due"]
    assert scene.log.events == ["study-not-deleted"]
