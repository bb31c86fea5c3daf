"""The worker: which end each outcome leads to, and what no outcome may do."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from inference.domain.seg_encoding import SegEncoding
from orthanc_plugin.node.choice_journal import ChoiceJournal, SeriesNote
from orthanc_plugin.node.delivery_journal import DeliveryJournal
from orthanc_plugin.node.demographics import DemographicsSeal
from orthanc_plugin.node.destinations import Destination
from orthanc_plugin.node.engine_process import EngineLost, Finished, Outcome, Refused
from orthanc_plugin.node.job_key import EngineIdentity
from orthanc_plugin.node.job_route import DEFAULT_ROUTE, Route
from orthanc_plugin.node.job_states import JobState
from orthanc_plugin.node.journal import Job, Journal
from orthanc_plugin.node.routing_rules import Mode
from orthanc_plugin.node.settings import EngineSettings, Settings
from orthanc_plugin.node.spool import Spool
from orthanc_plugin.node.submissions import requeue, submission_of
from orthanc_plugin.node.worker import Bench, Worker
from tests.dicom_peers import ct_series
from tests.fakes import ENGINE, Clock, FakeEngine, FakePacs, SilentLog, dicom_bytes, fill

DIED = EngineLost(reason="engine-died", exit_code=-11)
REJECTED = Refused(
    is_rejection=True,
    code="no-l3",
    reason="no-l3",
    sentence="Found no L3; wanted L3.",
    is_retryable=False,
    error_type="LevelNotFound",
)


@dataclass
class Scene:
    pacs: FakePacs
    journal: Journal
    spool: Spool
    engine: FakeEngine
    clock: Clock
    folder: Path
    destinations: tuple[Destination, ...] = ()

    @property
    def settings(self) -> Settings:
        engine = EngineSettings(models_folder=self.folder, retry_backoff_s=1.0)
        return Settings(data_folder=self.folder, engine=engine, destinations=self.destinations)

    def worker(self, outcomes: Sequence[Outcome] = ()) -> Worker:
        self.engine.outcomes = list(outcomes)
        bench = Bench(
            journal=self.journal,
            pacs=self.pacs,
            spool=self.spool,
            engine=self.engine,
            seal=DemographicsSeal(b"secret"),
            log=SilentLog(),
        )
        worker = Worker(bench, lambda: self.settings)
        worker.ensure_engine()
        return worker

    def queue(
        self,
        seed: str = "one",
        slices: int = 3,
        route: Route = DEFAULT_ROUTE,
        engine: EngineIdentity = ENGINE,
    ) -> str:
        ids = fill(self.pacs, ct_series(slices, seed=seed))
        facts = self.pacs.series_facts(self.pacs.series_of_instance(ids[0]))
        key = self.journal.submit(replace(submission_of(facts, engine), route=route))
        assert key is not None
        return key

    def job(self, key: str) -> Job:
        job = self.journal.job(key)
        assert job is not None
        return job

    def states(self) -> list[str]:
        rows = self.journal.connection.execute("SELECT state FROM jobs ORDER BY rowid")
        return [row["state"] for row in rows]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    clock = Clock()
    journal = Journal(tmp_path / "journal.db", clock)
    return Scene(FakePacs(), journal, Spool(tmp_path / "spool"), FakeEngine(), clock, tmp_path)


def test_a_finished_analysis_is_computed_with_its_bytes_in_the_spool(scene: Scene) -> None:
    key = scene.queue()

    scene.worker().step()

    assert scene.job(key).state is JobState.COMPUTED
    assert (scene.spool.result_folder(key) / "report.json").read_text() == "{}"


def test_the_engine_writes_what_the_destinations_take_and_binary_first(scene: Scene) -> None:
    scene.queue()
    worker = scene.worker()
    scene.destinations = (
        Destination(name="research", seg=SegEncoding.LABELMAP),
        Destination(name="pacs"),
    )

    worker.step()

    assert scene.engine.requests[0].encodings == (SegEncoding.BINARY, SegEncoding.LABELMAP)


def test_the_engine_gets_every_slice_that_the_key_names(scene: Scene) -> None:
    key = scene.queue(slices=3)
    seen: list[bytes] = []

    def look() -> None:
        folder = scene.engine.requests[0].series_folder
        seen.extend(path.read_bytes() for path in folder.iterdir())

    scene.engine.while_running = look
    scene.worker().step()

    assert set(seen) == {dicom_bytes(image) for image in ct_series(3)}
    assert scene.engine.requests[0].job_key == key


@pytest.mark.parametrize("others", [0, 1])
def test_organs_without_l3_are_not_wanted_while_another_series_may_show_it(
    others: int, scene: Scene
) -> None:
    key = scene.queue()
    study = scene.job(key).submission.study_orthanc_id
    left = SeriesNote(
        series_uid="1.2.3", number=4, images=80, score=1, reason="outscored-kernel", detail=""
    )
    ChoiceJournal(scene.journal).note(study, [left] * others)

    scene.worker().step()

    assert scene.engine.requests[0].may_lack_level == (others == 0)


def test_received_pixels_do_not_outlive_the_job(scene: Scene) -> None:
    scene.queue()

    scene.worker([DIED]).step()

    assert list((scene.folder / "spool" / "work").iterdir()) == []


def test_a_rejection_is_an_end_with_a_reason(scene: Scene) -> None:
    key = scene.queue()

    scene.worker([REJECTED]).step()

    assert scene.job(key).state is JobState.REJECTED
    assert scene.job(key).reason == "no-l3"


def test_a_poison_job_is_dead_after_three_tries_and_the_next_job_runs(scene: Scene) -> None:
    poison = scene.queue("poison")
    scene.clock.pass_s(1.0)
    worker = scene.worker([DIED, DIED, DIED])
    for _ in range(3):
        worker.ensure_engine()
        worker.step()
        scene.clock.pass_s(100.0)
    good = scene.queue("good")
    worker.ensure_engine()
    worker.step()

    assert scene.job(poison).state is JobState.DEAD
    assert scene.job(poison).reason == "engine-died"
    assert scene.job(good).state is JobState.COMPUTED


def test_a_retry_waits_longer_each_time(scene: Scene) -> None:
    scene.queue()
    worker = scene.worker([DIED, DIED])
    worker.step()
    first_wait = _wait_s(scene)
    scene.clock.pass_s(first_wait)
    worker.step()

    assert (first_wait, _wait_s(scene)) == (2.0, 4.0)


def _wait_s(scene: Scene) -> float:
    (row,) = scene.journal.connection.execute("SELECT run_at FROM jobs").fetchall()
    return float(row["run_at"]) - scene.clock.now_s


def test_a_clock_that_is_set_back_holds_up_no_job(scene: Scene) -> None:
    scene.clock.pass_s(86400.0)
    key = scene.queue()
    scene.clock.pass_s(-86400.0)

    assert scene.worker().step()
    assert scene.job(key).state is JobState.COMPUTED


def test_an_error_that_will_not_go_away_is_not_tried_again(scene: Scene) -> None:
    key = scene.queue()
    failed = replace(REJECTED, is_rejection=False, code="unreadable-input")

    scene.worker([failed]).step()

    assert scene.job(key).state is JobState.DEAD


def test_a_broken_model_stops_the_engine_and_costs_the_job_nothing(scene: Scene) -> None:
    key = scene.queue()
    broken = replace(REJECTED, is_rejection=False, code="checksum-mismatch")
    worker = scene.worker([broken])

    worker.step()

    assert scene.job(key).state is JobState.QUEUED
    assert scene.job(key).attempts == 0
    assert worker.identity is None


def test_an_engine_that_cannot_start_is_a_fact_for_the_page(scene: Scene) -> None:
    scene.engine.identity = replace(REJECTED, is_rejection=False, code="model-unusable")
    worker = scene.worker()

    assert not worker.ensure_engine()
    assert "model-unusable" in (scene.journal.fact("engine") or "")


def test_an_orthanc_that_is_away_costs_the_job_nothing(scene: Scene) -> None:
    key = scene.queue()
    worker = scene.worker()
    scene.pacs.is_away = True

    worker.step()

    assert scene.job(key).state is JobState.QUEUED
    assert scene.job(key).attempts == 0


def test_a_series_that_was_deleted_is_rejected(scene: Scene) -> None:
    key = scene.queue()
    for orthanc_id in list(scene.pacs.instances):
        scene.pacs.forget(orthanc_id)

    scene.worker().step()

    assert scene.job(key).state is JobState.REJECTED
    assert scene.job(key).reason == "source-deleted"


def test_a_series_that_changed_is_queued_as_it_is_now(scene: Scene) -> None:
    key = scene.queue(slices=3)
    fill(scene.pacs, ct_series(4)[3:])
    worker = scene.worker()

    worker.step()
    worker.step()

    assert scene.job(key).state is JobState.SUPERSEDED
    assert scene.states() == [JobState.SUPERSEDED, JobState.COMPUTED]


def test_a_job_for_another_engine_gets_the_key_of_this_one(scene: Scene) -> None:
    scene.queue()
    scene.engine.identity = replace(ENGINE, code_version="2")
    worker = scene.worker()

    worker.step()
    worker.step()

    assert scene.states() == [JobState.SUPERSEDED, JobState.COMPUTED]


def test_going_back_to_an_earlier_engine_analyses_again(scene: Scene) -> None:
    scene.queue()
    scene.engine.identity = replace(ENGINE, code_version="2")
    scene.worker().step()
    scene.engine.identity = ENGINE
    worker = scene.worker()

    worker.step()
    worker.step()

    assert scene.states() == [JobState.SUPERSEDED, JobState.SUPERSEDED, JobState.COMPUTED]


def test_a_job_superseded_while_it_ran_publishes_nothing_to_the_journal(scene: Scene) -> None:
    key = scene.queue()
    worker = scene.worker()
    scene.engine.while_running = lambda: _supersede(scene, key)

    worker.step()

    assert scene.job(key).state is JobState.SUPERSEDED
    rows = scene.journal.connection.execute("SELECT * FROM results").fetchall()
    assert rows == []


def _supersede(scene: Scene, key: str) -> None:
    scene.journal.submit(replace(scene.job(key).submission, set_hash="more"))


def test_a_worker_whose_lease_ran_out_can_write_no_result(scene: Scene) -> None:
    key = scene.queue()
    second = _another_worker(scene)
    held: list[Job] = []

    def run_out() -> None:
        scene.clock.pass_s(61.0)
        held.append(scene.job(key))
        assert second.step()

    scene.engine.while_running = run_out
    scene.worker().step()

    assert scene.job(key).state is JobState.COMPUTED
    assert (held[0].fence, scene.job(key).fence) == (1, 2)
    outcomes = scene.journal.connection.execute(
        "SELECT fence, outcome, reason FROM attempts ORDER BY fence"
    ).fetchall()
    assert [tuple(row) for row in outcomes] == [
        (1, "queued", "lease-ran-out"),
        (2, "computed", None),
    ]
    assert scene.job(key).attempts == 1
    assert (scene.spool.result_folder(key) / "report.json").read_text() == "second"


def test_results_of_an_older_fence_are_not_recorded_while_another_runs_the_job(
    scene: Scene,
) -> None:
    key = scene.queue()
    stale = scene.journal.take(60.0)
    scene.clock.pass_s(61.0)
    scene.journal.reclaim()
    assert scene.journal.take(60.0) is not None
    assert stale is not None

    assert not DeliveryJournal(scene.journal).record_results(stale, [], [])
    assert scene.job(key).state is JobState.RUNNING


def _another_worker(scene: Scene) -> Worker:
    """With its own connection to the same journal, and an engine whose report differs."""
    engine = FakeEngine(report="second")
    journal = Journal(scene.folder / "journal.db", scene.clock)
    bench = Bench(
        journal=journal,
        pacs=scene.pacs,
        spool=scene.spool,
        engine=engine,
        seal=DemographicsSeal(b"secret"),
        log=SilentLog(),
    )
    worker = Worker(bench, lambda: scene.settings)
    worker.ensure_engine()
    return worker


def test_results_published_before_a_crash_are_used_and_not_computed_again(scene: Scene) -> None:
    key = scene.queue()
    scene.worker().step()
    forget = "DELETE FROM results; UPDATE jobs SET state = 'queued', attempts = 0;"
    scene.journal.connection.executescript(forget)

    scene.worker().step()

    assert scene.job(key).state is JobState.COMPUTED
    assert len(scene.engine.requests) == 1


def test_an_engine_that_has_served_its_time_is_replaced(scene: Scene) -> None:
    scene.queue("one")
    scene.queue("two")
    worker = scene.worker()
    scene.engine.is_spent = True

    worker.step()
    has_ended = not scene.engine.is_running()
    worker.ensure_engine()
    worker.step()

    assert has_ended
    assert scene.states() == [JobState.COMPUTED, JobState.COMPUTED]


def test_an_engine_that_names_a_file_it_did_not_write_is_a_failure(scene: Scene) -> None:
    key = scene.queue()

    scene.worker([Finished(files={"sr": "../../../etc/passwd"})]).step()

    assert scene.job(key).state is JobState.DEAD


def test_an_error_of_our_own_making_does_not_end_the_node(scene: Scene) -> None:
    key = scene.queue()

    def trip() -> None:
        raise RuntimeError("a bug that quotes Canary^Melchior")

    scene.engine.while_running = trip
    scene.worker().step()

    assert scene.job(key).state is JobState.QUEUED
    assert scene.job(key).reason == "internal-error"
    assert "Canary" not in "\n".join(scene.journal.connection.iterdump())


def test_a_done_job_is_run_again_under_a_new_key(scene: Scene) -> None:
    key = scene.queue()
    scene.worker().step()
    scene.journal.connection.execute("UPDATE jobs SET state = 'done'")

    outcome = requeue(scene.journal, key, "operator", ENGINE)

    assert outcome == "new-run"
    assert scene.states() == [JobState.SUPERSEDED, JobState.QUEUED]


def test_a_queued_job_is_not_queued_twice(scene: Scene) -> None:
    key = scene.queue()

    assert requeue(scene.journal, key, "operator", ENGINE) == "already-queued"


def test_a_slice_that_orthanc_cannot_give_costs_a_try(scene: Scene) -> None:
    key = scene.queue()
    scene.pacs.refuses.add(next(iter(scene.pacs.instances)))

    scene.worker().step()

    assert scene.job(key).state is JobState.QUEUED
    assert (scene.job(key).attempts, scene.job(key).reason) == (1, "request-refused")


def test_a_job_runs_with_the_profile_of_its_way(scene: Scene) -> None:
    other = replace(ENGINE, profile_hash="l3")
    scene.engine.further["l3"] = other
    key = scene.queue(route=Route(profile="l3"), engine=other)

    scene.worker().step()

    assert scene.engine.requests[0].profile == "l3"
    assert scene.job(key).state is JobState.COMPUTED


def test_a_job_whose_profile_is_no_longer_loaded_runs_anew_with_the_engines_own(
    scene: Scene,
) -> None:
    scene.queue(route=Route(rule="er", profile="l3"), engine=replace(ENGINE, profile_hash="l3"))
    worker = scene.worker()
    worker.step()
    worker.step()

    assert scene.states() == [JobState.SUPERSEDED, JobState.COMPUTED]
    assert scene.engine.requests[0].profile == ""


def test_a_job_in_shadow_is_computed_and_sent_nowhere(scene: Scene) -> None:
    scene.destinations = (Destination(name="research", seg=SegEncoding.LABELMAP),)
    key = scene.queue(route=Route(mode=Mode.SHADOW))

    scene.worker().step()

    assert scene.engine.requests[0].encodings == (SegEncoding.BINARY,)
    assert scene.job(key).state is JobState.COMPUTED
    assert scene.journal.connection.execute("SELECT * FROM deliveries").fetchall() == []


def test_jobs_wait_while_the_disk_is_all_but_full(scene: Scene) -> None:
    key = scene.queue()
    worker = scene.worker()
    bench = worker._bench
    worker._bench = replace(bench, has_room=lambda: False)
    full = (worker.step(), scene.job(key).state)
    worker._bench = bench
    roomy = (worker.step(), scene.job(key).state)

    assert full == (False, JobState.QUEUED)
    assert roomy == (True, JobState.COMPUTED)
