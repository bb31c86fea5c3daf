"""The metrics page: what it says is what the journal holds, also after a restart, and nothing of a patient."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from orthanc_plugin.node.analysis_port import NetworkInUse
from orthanc_plugin.node.destinations import Destination
from orthanc_plugin.node.durable_counts import stage_seconds_of
from orthanc_plugin.node.engine_process import EngineLost, Outcome, Refused
from orthanc_plugin.node.journal import Journal, Submission
from orthanc_plugin.node.journal_schema import MIGRATIONS
from orthanc_plugin.node.metrics import MOST_CODES, NodeView, bounded, page
from orthanc_plugin.node.readings import read
from orthanc_plugin.node.routing_rules import Priority
from orthanc_plugin.node.settings import DiskSettings, EngineSettings, Settings
from tests.dicom_peers import ct_series
from tests.fakes import ENGINE, Clock, FakePacs, fill, write
from tests.intake_scene import Scene as IntakeScene
from tests.intake_scene import settle
from tests.metrics_page import MetricsPage
from tests.unit.orthanc_plugin.node.test_outbox import PACS
from tests.unit.orthanc_plugin.node.test_outbox import Scene as OutboxScene
from tests.unit.orthanc_plugin.node.test_outbox import scene as outbox
from tests.unit.orthanc_plugin.node.test_worker import DIED, REJECTED, Scene
from tests.unit.orthanc_plugin.node.test_worker import scene as worker_scene

__all__ = ["outbox", "worker_scene"]

STAGES_TOLD = json.dumps({"seconds": {"read": 1.5, "locate L3": 0.2, "a new stage": 9.0}})
ON_CPU = NetworkInUse(name="organs", version="4", sha256="ab", provider="cpu", asked="cuda")


def scrape(
    path: Path, now: float, destinations: tuple[Destination, ...] = (PACS,), **settings: object
) -> MetricsPage:
    """Without any of the node's objects: all that is told lies in the file."""
    chosen = Settings(
        data_folder=path.parent,
        engine=EngineSettings(models_folder=path.parent),
        destinations=destinations,
    )
    chosen = replace(chosen, **settings)  # type: ignore[arg-type]
    view = NodeView(readings=read(path, now), settings=chosen, started_at=5.0)
    return MetricsPage(page(view).decode())


def of_worker(scene: Scene) -> MetricsPage:
    return scrape(scene.folder / "journal.db", scene.clock.now_s)


def of_outbox(scene: OutboxScene, path: Path) -> MetricsPage:
    return scrape(path / "journal.db", scene.clock.now_s)


def test_every_end_of_an_attempt_is_counted_once(worker_scene: Scene) -> None:
    scene = worker_scene
    for seed in "abcd":
        scene.queue(seed)
    worker = scene.worker([REJECTED, DIED])
    for _ in range(8):
        worker.ensure_engine()
        worker.step()
        scene.clock.pass_s(60.0)

    found = of_worker(scene)

    assert found.by_label("habitus_jobs", "state") == {
        **dict.fromkeys(("queued", "running", "done", "cancelled", "superseded"), 0.0),
        "computed": 3.0,
        "rejected": 1.0,
        "dead": 0.0,
    }
    attempts = found.by_label("habitus_job_attempts_total", "outcome")
    assert attempts == {"computed": 3.0, "rejected": 1.0, "dead": 0.0, "queued": 1.0}
    assert found.by_label("habitus_rejections_total", "reason") == {"no-l3": 1.0}
    assert found.by_label("habitus_attempt_failures_total", "reason") == {"engine-died": 1.0}
    assert found.value("habitus_engine_restarts_total", reason="engine-died") == 1.0


def test_a_job_of_three_crashes_is_dead(worker_scene: Scene) -> None:
    worker_scene.queue()
    worker = worker_scene.worker([DIED] * 3)
    for _ in range(3):
        worker.ensure_engine()
        worker.step()
        worker_scene.clock.pass_s(60.0)

    found = of_worker(worker_scene)

    assert found.value("habitus_jobs", state="dead") == 1.0
    assert found.value("habitus_job_attempts_total", outcome="dead") == 1.0
    assert found.value("habitus_attempt_failures_total", reason="engine-died") == 3.0


MODEL_GONE = Refused(
    is_rejection=False,
    code="model-unusable",
    reason="model-unusable",
    sentence="",
    is_retryable=False,
    error_type="ModelUnusable",
)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (EngineLost(reason="engine-timeout"), "engine-timeout"),
        (MODEL_GONE, "model-unusable"),
    ],
)
def test_a_restart_of_the_engine_says_what_ended_the_one_before(
    worker_scene: Scene, outcome: Outcome, reason: str
) -> None:
    worker_scene.queue()
    worker = worker_scene.worker([outcome])
    before = of_worker(worker_scene).by_label("habitus_engine_restarts_total", "reason")
    worker.step()
    worker.ensure_engine()

    after = of_worker(worker_scene).by_label("habitus_engine_restarts_total", "reason")

    assert set(before.values()) == {0.0}
    assert {name for name, n in after.items() if n} == {reason}


def test_an_engine_that_died_at_rest_or_was_recycled_is_told_apart(worker_scene: Scene) -> None:
    worker = worker_scene.worker()
    worker_scene.engine.stop()
    worker.ensure_engine()
    worker_scene.queue()
    worker_scene.engine.is_spent = True
    worker.step()
    worker.ensure_engine()

    found = of_worker(worker_scene).by_label("habitus_engine_restarts_total", "reason")

    assert {name: n for name, n in found.items() if n} == {"engine-died": 1.0, "jobs-served": 1.0}


def test_the_stages_of_a_job_are_told_as_the_engine_measured_them(worker_scene: Scene) -> None:
    worker_scene.engine.report = STAGES_TOLD
    worker_scene.queue()
    worker_scene.clock.pass_s(7.0)
    worker_scene.worker().step()

    found = of_worker(worker_scene)

    counts = found.by_label("habitus_stage_seconds_count", "stage")
    sums = found.by_label("habitus_stage_seconds_sum", "stage")
    assert {stage for stage, n in counts.items() if n == 1.0} == {
        *("wait", "fetch", "analyse", "read", "locate-l3")
    }
    assert (sums["wait"], sums["read"], sums["locate-l3"]) == (7.0, 1.5, 0.2)
    buckets = [
        found.value("habitus_stage_seconds_bucket", stage="wait", le=le)
        for le in ("3.0", "10.0", "+Inf")
    ]
    assert buckets == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("text", ["", "[]", '{"seconds": 3}', '{"seconds": {"read": "x"}}'])
def test_a_report_that_tells_no_stages_is_no_mistake(text: str, tmp_path: Path) -> None:
    assert stage_seconds_of(write(tmp_path / "report.json", text)) == {}
    assert stage_seconds_of(tmp_path / "none.json") == {}


def test_turnaround_runs_from_the_last_image_to_the_confirmed_result(tmp_path: Path) -> None:
    clock = Clock()
    scene = IntakeScene(FakePacs(), Journal(tmp_path / "journal.db", clock), clock)
    fill(scene.pacs, ct_series(3))
    intake = scene.intake()
    intake.step(ENGINE)
    clock.pass_s(2.0)
    fill(scene.pacs, ct_series(6)[3:])
    arrived_s = clock.now_s
    assert settle(scene, intake) == 1
    clock.pass_s(30.0)
    scene.finish_next()

    found = scrape(tmp_path / "journal.db", clock.now_s)

    assert found.value("habitus_turnaround_seconds_count") == 1.0
    assert found.value("habitus_turnaround_seconds_sum") == clock.now_s - arrived_s == 35.0


def test_deliveries_and_their_destination_are_told(outbox: OutboxScene, tmp_path: Path) -> None:
    lanes = outbox.computed([PACS])
    unknown = of_outbox(outbox, tmp_path)
    outbox.pacs.remotes["pacs"].is_away = True
    outbox.run(lanes, 4)
    away = of_outbox(outbox, tmp_path)
    outbox.pacs.remotes["pacs"].is_away = False
    outbox.run(lanes, 6, pause_s=10.0)
    back = of_outbox(outbox, tmp_path)

    assert unknown.value("habitus_destination_up", destination="pacs") is None
    assert away.value("habitus_destination_up", destination="pacs") == 0.0
    assert away.value("habitus_deliveries", destination="pacs", state="pending") == 1.0
    assert back.value("habitus_destination_up", destination="pacs") == 1.0
    states = back.by_label("habitus_deliveries", "state")
    assert {state for state, n in states.items() if n} == {"confirmed"}
    assert (
        back.value("habitus_destination_exchange_time_seconds", destination="pacs")
        == (
            outbox.journal.connection.execute("SELECT at FROM destination_outcomes").fetchone()[
                "at"
            ]
        )
    )


def test_a_destination_that_orthanc_does_not_know_is_down(
    outbox: OutboxScene, tmp_path: Path
) -> None:
    del outbox.pacs.remotes["pacs"]
    outbox.run(outbox.computed([PACS]), 4)

    assert of_outbox(outbox, tmp_path).value("habitus_destination_up", destination="pacs") == 0.0


def test_a_job_sent_again_is_not_measured_again(outbox: OutboxScene, tmp_path: Path) -> None:
    lanes = outbox.computed([PACS])
    outbox.journal.connection.execute("UPDATE jobs SET received_at = ?", (outbox.clock.now_s,))
    outbox.run(lanes, 6)
    outbox.journal.connection.execute("UPDATE deliveries SET state = 'pending'")
    outbox.journal.connection.execute("UPDATE jobs SET state = 'computed'")
    outbox.clock.pass_s(5000.0)
    outbox.run(lanes, 6)

    found = of_outbox(outbox, tmp_path)

    assert outbox.job_state == "done"
    assert found.value("habitus_turnaround_seconds_count") == 1.0
    assert found.value("habitus_stage_seconds_count", stage="deliver") == 1.0


def submission(name: str, priority: Priority = Priority.NORMAL) -> Submission:
    plain = Submission(
        series_uid=f"1.2.{name}",
        series_orthanc_id=name,
        study_orthanc_id=name,
        set_hash=name,
        instance_count=1,
        engine=ENGINE,
    )
    return replace(plain, route=replace(plain.route, priority=priority))


def test_each_lane_tells_its_oldest_job_that_waits(tmp_path: Path) -> None:
    clock = Clock()
    journal = Journal(tmp_path / "journal.db", clock)
    for name in ("one", "two"):
        journal.submit(submission(name))
        clock.pass_s(100.0)
    journal.submit(submission("now", Priority.STAT))
    clock.pass_s(5.0)
    both = scrape(tmp_path / "journal.db", clock.now_s)
    journal.take(60.0)
    journal.take(60.0)
    one = scrape(tmp_path / "journal.db", clock.now_s)

    ages = both.by_label("habitus_oldest_queued_seconds", "lane")
    assert ages == {"stat": 5.0, "normal": 205.0, "off-peak": 0.0}
    ages = one.by_label("habitus_oldest_queued_seconds", "lane")
    assert ages == {"stat": 0.0, "normal": 105.0, "off-peak": 0.0}


def test_a_fall_back_to_another_provider_is_seen(worker_scene: Scene) -> None:
    worker_scene.engine.networks = (
        ON_CPU,
        replace(ON_CPU, name="l3-level", provider="cuda"),
    )
    worker_scene.worker()

    found = of_worker(worker_scene)

    downgraded = found.by_label("habitus_provider_downgraded", "model")
    assert downgraded == {"organs": 1.0, "l3-level": 0.0}
    assert found.value("habitus_model_info", model="organs", version="4", sha256="ab") == 1.0
    assert found.value("habitus_provider_downgraded", asked="cuda", provider="cpu") == 1.0
    assert found.by_label("habitus_engine_state", "state")["ready"] == 1.0
    assert found.by_label("habitus_build_info", "code_version") == {ENGINE.code_version: 1.0}


def test_a_disk_below_its_mark_is_seen(tmp_path: Path) -> None:
    Journal(tmp_path / "journal.db")
    path = tmp_path / "journal.db"

    fine = scrape(path, 0.0, disk=DiskSettings(high_free_mb=0.0, critical_free_mb=0.0))

    assert fine.by_label("habitus_disk_level", "volume") == {"data": 0.0}
    assert (fine.value("habitus_disk_free_bytes", volume="data") or 0.0) > 0.0


def test_readiness_and_settings_are_told_by_the_rule_of_the_rest_route(tmp_path: Path) -> None:
    clock = Clock()
    journal = Journal(tmp_path / "journal.db", clock)
    path = tmp_path / "journal.db"
    new = scrape(path, clock.now_s)
    journal.set_fact("alive_at", str(clock.now_s))
    journal.set_fact("engine", json.dumps({"state": "ready"}))
    journal.set_fact("settings", json.dumps({"state": "refused"}))
    ready = scrape(path, clock.now_s)
    silent = scrape(path, clock.now_s + 31.0)

    assert [p.value("habitus_node_ready") for p in (new, ready, silent)] == [0.0, 1.0, 0.0]
    assert [p.value("habitus_settings_refused") for p in (new, ready)] == [0.0, 1.0]
    assert ready.value("habitus_node_start_time_seconds") == 5.0


def test_labels_are_codes_and_not_without_end() -> None:
    odd = {"DOE^JANE": 2, "1.2.840.10008.1": 3, "not-ct": 5, "": 1}
    many = {f"code-{number:04}": 1 for number in range(MOST_CODES + 50)}

    assert bounded(odd) == {"not-ct": 5, "other": 6}
    assert len(bounded(many)) == MOST_CODES + 1
    assert bounded(many)["other"] == 50


def test_a_journal_of_an_older_version_tells_what_it_already_held(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    old = sqlite3.connect(path)
    without = next(n for n, step in enumerate(MIGRATIONS) if "destination_outcomes" in step)
    for step in MIGRATIONS[:without]:
        old.executescript(step)
    old.execute(f"PRAGMA user_version = {without}")
    old.execute(
        "INSERT INTO jobs (key, series_uid, series_orthanc_id, study_orthanc_id, set_hash, run_at,"
        " instance_count, profile_hash, models, code_version, run, state, created_at, updated_at)"
        " VALUES ('k', '1.2', 's', 't', 'h', 0, 1, 'p', '[]', 'c', 1, 'rejected', 0, 0)"
    )
    old.execute("INSERT INTO attempts VALUES ('k', 1, 0, 1, 'queued', 'engine-died')")
    old.execute("INSERT INTO attempts VALUES ('k', 2, 1, 2, 'rejected', 'no-l3')")
    old.execute("INSERT INTO attempts VALUES ('k', 3, 2, NULL, NULL, NULL)")
    old.execute(
        "INSERT INTO results (key, role, file_name, sha256, bytes) VALUES ('k','sr','f','0',1)"
    )
    old.execute(
        "INSERT INTO deliveries (key, role, destination, required, state, next_try_at, updated_at)"
        " VALUES ('k', 'sr', 'pacs', 1, 'pending', 0, 0)"
    )
    old.commit()
    old.close()

    journal = Journal(path)
    found = scrape(path, 10.0)

    attempts = found.by_label("habitus_job_attempts_total", "outcome")
    assert attempts == {"computed": 0.0, "rejected": 1.0, "dead": 0.0, "queued": 1.0}
    assert found.value("habitus_deliveries", state="pending") == 1.0
    journal.connection.execute("UPDATE deliveries SET state = 'sending'")
    moved = scrape(path, 10.0)
    assert moved.value("habitus_deliveries", state="pending") == 0.0
    assert moved.value("habitus_deliveries", state="sending") == 1.0
