"""The journal: who may move a job, what a restart does, and what is never lost."""

import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from inference.domain.errors import ConfigurationInvalid
from orthanc_plugin.node.job_route import Route
from orthanc_plugin.node.job_states import JobState
from orthanc_plugin.node.journal import MAX_INTERRUPTIONS, Job, Journal, Submission, Verdict
from orthanc_plugin.node.routing_rules import Priority
from orthanc_plugin.node.site_time import window_of
from tests.fakes import ENGINE, Clock

WHY = Verdict(reason="test")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Journal:
    return Journal(tmp_path / "journal.db", clock)


def submission(series: str = "1.2.3", **changes: object) -> Submission:
    whole = Submission(
        series_uid=series,
        series_orthanc_id="series-id",
        study_orthanc_id="study-id",
        set_hash="hash",
        instance_count=3,
        engine=ENGINE,
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def taken(journal: Journal) -> Job:
    job = journal.take(60.0)
    assert job is not None
    return job


def state_of(journal: Journal, key: str) -> JobState:
    job = journal.job(key)
    assert job is not None
    return job.state


def test_the_same_series_is_queued_once(journal: Journal) -> None:
    first = journal.submit(submission())

    second = journal.submit(submission())

    assert first is not None
    assert second is None


def test_the_key_changes_with_every_part(journal: Journal) -> None:
    plain = submission()
    others = [
        submission("1.2.4"),
        submission(set_hash="other"),
        submission(run=2),
        submission(engine=replace(ENGINE, profile_hash="q")),
        submission(engine=replace(ENGINE, code_version="2")),
        submission(engine=replace(ENGINE, models=(("m", "1" * 64),))),
    ]

    keys = {plain.key, *(other.key for other in others)}

    assert len(keys) == 7


def test_an_urgent_job_goes_first(journal: Journal, clock: Clock) -> None:
    journal.submit(submission("1"))
    clock.pass_s(1.0)
    urgent = journal.submit(submission("2", route=Route(priority=Priority.STAT)))

    assert taken(journal).key == urgent


def test_the_oldest_of_equal_priority_goes_first(journal: Journal, clock: Clock) -> None:
    first = journal.submit(submission("9"))
    clock.pass_s(1.0)
    journal.submit(submission("1"))

    assert taken(journal).key == first


def test_a_job_that_was_taken_is_not_given_again(journal: Journal) -> None:
    journal.submit(submission())
    taken(journal)

    assert journal.take(60.0) is None


def test_a_worker_that_lost_its_job_cannot_end_it(journal: Journal) -> None:
    journal.submit(submission())
    stale = taken(journal)
    journal.recover()
    holder = taken(journal)

    assert not journal.beat(stale, 60.0, "s", 0.5)
    assert not journal.end(stale, JobState.DEAD, WHY)
    assert journal.end(holder, JobState.REJECTED, WHY)


def test_a_retry_waits_and_counts(journal: Journal, clock: Clock) -> None:
    journal.submit(submission())
    journal.try_again(taken(journal), WHY, 10.0)

    before = journal.take(60.0)
    clock.pass_s(10.0)
    after = taken(journal)

    assert before is None
    assert after.attempts == 2


def test_a_job_put_back_keeps_its_tries(journal: Journal) -> None:
    journal.submit(submission())
    journal.put_back(taken(journal), WHY, 0.0)

    assert taken(journal).attempts == 1


def test_a_job_held_past_its_lease_is_queued_again_without_counting_a_try(
    journal: Journal, clock: Clock
) -> None:
    journal.submit(submission())
    taken(journal)
    clock.pass_s(59.0)
    in_time = journal.reclaim()
    clock.pass_s(2.0)

    assert (in_time, journal.reclaim()) == (0, 1)
    assert taken(journal).attempts == 1


def test_a_renewed_lease_is_not_taken_away(journal: Journal, clock: Clock) -> None:
    journal.submit(submission())
    job = taken(journal)
    clock.pass_s(59.0)
    journal.beat(job, 60.0, "s", 0.5)
    clock.pass_s(59.0)

    assert journal.reclaim() == 0


def test_a_restart_queues_running_jobs_again_without_counting_a_try(journal: Journal) -> None:
    journal.submit(submission())
    taken(journal)

    recovered = journal.recover()

    assert recovered == 1
    assert taken(journal).attempts == 1


def test_a_job_that_goes_down_with_the_node_every_time_is_given_up(journal: Journal) -> None:
    key = journal.submit(submission())
    assert key is not None

    for _ in range(MAX_INTERRUPTIONS):
        taken(journal)
        journal.recover()

    assert state_of(journal, key) is JobState.DEAD


def test_late_slices_supersede_the_running_job(journal: Journal) -> None:
    journal.submit(submission())
    running = taken(journal)

    newer = journal.submit(submission(set_hash="more"))

    assert state_of(journal, running.key) is JobState.SUPERSEDED
    assert not journal.beat(running, 60.0, "s", 0.5)
    assert taken(journal).key == newer


def test_a_dead_job_is_revived_from_zero(journal: Journal) -> None:
    key = journal.submit(submission())
    assert key is not None
    journal.end(taken(journal), JobState.DEAD, WHY)

    revived = journal.revive(key, "operator")

    assert revived
    assert taken(journal).attempts == 1


def test_a_running_job_is_not_revived(journal: Journal) -> None:
    key = journal.submit(submission())
    assert key is not None
    taken(journal)

    assert not journal.revive(key, "operator")


def test_what_a_person_asked_for_is_in_the_audit(journal: Journal) -> None:
    key = journal.submit(submission())
    assert key is not None
    journal.end(taken(journal), JobState.DEAD, WHY)
    journal.revive(key, "operator")

    rows = journal.connection.execute("SELECT actor, event FROM audit ORDER BY id").fetchall()

    assert [tuple(row) for row in rows] == [
        ("node", "queued"),
        ("node", "dead"),
        ("operator", "requeued"),
    ]


@pytest.mark.parametrize("change", ["DELETE FROM audit", "UPDATE audit SET actor = 'x'"])
def test_the_audit_cannot_be_changed(journal: Journal, change: str) -> None:
    journal.submit(submission())

    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        journal.connection.execute(change)


def test_a_journal_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with sqlite3.connect(path) as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()

    with pytest.raises(ConfigurationInvalid, match="99"):
        Journal(path)


def test_the_journal_survives_being_closed(tmp_path: Path) -> None:
    first = Journal(tmp_path / "journal.db")
    key = first.submit(submission())
    first.set_fact("cursor", "17")
    first.close()

    again = Journal(tmp_path / "journal.db")

    assert again.fact("cursor") == "17"
    assert taken(again).key == key
    again.close()


def test_commits_are_synchronous(journal: Journal) -> None:
    (level,) = journal.connection.execute("PRAGMA synchronous").fetchone()
    (mode,) = journal.connection.execute("PRAGMA journal_mode").fetchone()

    assert (level, mode) == (2, "wal")


def test_only_the_owner_may_read_the_journal(tmp_path: Path) -> None:
    Journal(tmp_path / "new" / "journal.db").close()

    assert (tmp_path / "new").stat().st_mode & 0o077 == 0
    assert (tmp_path / "new" / "journal.db").stat().st_mode & 0o077 == 0


def test_two_takers_never_get_the_same_job(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path)
    for number in range(100):
        journal.submit(submission(str(number)))
    keys: list[str] = []

    def take_all() -> None:
        own = Journal(path)
        while (job := own.take(60.0)) is not None:
            keys.append(job.key)
        own.close()

    threads = [threading.Thread(target=take_all) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(keys) == 100
    assert len(set(keys)) == 100


def test_a_step_back_from_computed_is_a_programming_error(journal: Journal) -> None:
    journal.submit(submission())
    job = taken(journal)

    with pytest.raises(ValueError, match="running to done"):
        journal.end(job, JobState.DONE, WHY)


def test_a_stat_job_overtakes_twenty_that_wait(journal: Journal, clock: Clock) -> None:
    for number in range(20):
        journal.submit(submission(f"1.{number}"))
        clock.pass_s(1.0)
    off_peak = journal.submit(submission("2", route=Route(priority=Priority.OFF_PEAK)))
    clock.pass_s(1.0)
    stat = journal.submit(submission("3", route=Route(priority=Priority.STAT)))

    order = [taken(journal).key for _ in range(22)]

    assert (order[0], order[-1]) == (stat, off_peak)


def test_a_worker_for_stat_jobs_takes_nothing_else(journal: Journal) -> None:
    journal.submit(submission("1"))
    nothing = journal.take(60.0, Priority.STAT.rank)
    stat = journal.submit(submission("2", route=Route(priority=Priority.STAT)))
    job = journal.take(60.0, Priority.STAT.rank)

    assert nothing is None
    assert job is not None
    assert job.key == stat


def test_an_off_peak_job_waits_for_its_window_and_no_other_waits(
    journal: Journal, clock: Clock
) -> None:
    night = Route(priority=Priority.OFF_PEAK, window=window_of("22:00-06:00"))
    late = journal.submit(submission("1", route=night))
    normal = journal.submit(submission("2"))
    opening_s = clock() + 3600.0

    held = journal.hold_until_open(lambda window: opening_s)
    first, none = journal.take(60.0), journal.take(60.0)
    clock.pass_s(3600.0)
    still = journal.hold_until_open(lambda window: clock())

    assert (held, still) == (1, 0)
    assert first is not None
    assert (first.key, none) == (normal, None)
    assert taken(journal).key == late


@pytest.mark.parametrize("jump_s", [120.0, 3600.0, 86400.0])
def test_what_was_queued_before_the_clock_was_set_back_waits_no_longer_than_any(
    journal: Journal, clock: Clock, jump_s: float
) -> None:
    clock.pass_s(jump_s)
    key = journal.submit(submission())
    clock.pass_s(-jump_s)

    is_taken_before = journal.take(60.0) is not None
    released = journal.release_from_the_future(20.0)

    assert not is_taken_before
    assert released == 1
    assert taken(journal).key == key


def test_a_wait_that_is_meant_is_kept(journal: Journal, clock: Clock) -> None:
    night = Route(priority=Priority.OFF_PEAK, window=window_of("22:00-06:00"))
    journal.submit(submission("1"))
    journal.try_again(taken(journal), WHY, 16.0)
    journal.submit(submission("2", route=night))
    journal.hold_until_open(lambda _: clock.now_s + 20 * 3600.0)

    assert journal.release_from_the_future(20.0) == 0
    assert journal.take(60.0) is None


def test_a_job_of_the_night_waits_for_one_night_at_most_after_the_clock_was_set_back(
    journal: Journal, clock: Clock
) -> None:
    night = Route(priority=Priority.OFF_PEAK, window=window_of("22:00-06:00"))
    clock.pass_s(7 * 86400.0)
    journal.submit(submission("2", route=night))
    clock.pass_s(-7 * 86400.0)

    assert journal.release_from_the_future(20.0) == 1
