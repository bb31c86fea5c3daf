"""An engine without work makes room for others, and is there again before the work is."""

import json
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from orthanc_plugin.node.demographics import DemographicsSeal
from orthanc_plugin.node.job_route import DEFAULT_ROUTE, Route
from orthanc_plugin.node.journal import Journal
from orthanc_plugin.node.routing_rules import Priority
from orthanc_plugin.node.settings import EngineSettings, Settings
from orthanc_plugin.node.site_time import window_of
from orthanc_plugin.node.spool import Spool
from orthanc_plugin.node.submissions import submission_of
from orthanc_plugin.node.worker import ENGINE_FACT, Bench, Worker
from tests.dicom_peers import ct_series
from tests.fakes import ENGINE, Clock, FakeEngine, FakePacs, SilentLog, fill

IDLE_S = 30.0


class ChangingEngine(FakeEngine):
    """One that is told to load something else."""

    is_told = False

    def configure(self, settings: Settings) -> bool:
        is_told, self.is_told = self.is_told, False
        if is_told:
            self.stop()
        return is_told


@dataclass
class Scene:
    folder: Path
    journal: Journal
    clock: Clock
    idle_s: float = IDLE_S
    pacs: FakePacs = field(default_factory=FakePacs)
    engine: ChangingEngine = field(default_factory=ChangingEngine)
    wanted: threading.Event = field(default_factory=threading.Event)
    has_room: bool = True

    def settings(self) -> Settings:
        engine = EngineSettings(models_folder=self.folder, idle_unload_s=self.idle_s)
        return Settings(data_folder=self.folder, engine=engine, time_zone="UTC")

    def worker(self) -> Worker:
        """With a loaded engine."""
        bench = Bench(
            journal=self.journal,
            pacs=self.pacs,
            spool=Spool(self.folder / "spool"),
            engine=self.engine,
            seal=DemographicsSeal(b"secret"),
            log=SilentLog(),
            has_room=lambda: self.has_room,
            wanted=self.wanted,
            clock=self.clock,
        )
        worker = Worker(bench, self.settings)
        assert worker.ensure_engine()
        return worker

    def queue(self, route: Route = DEFAULT_ROUTE) -> None:
        ids = fill(self.pacs, ct_series(3))
        facts = self.pacs.series_facts(self.pacs.series_of_instance(ids[0]))
        assert self.journal.submit(replace(submission_of(facts, ENGINE), route=route))

    def state(self) -> str:
        return str(json.loads(self.journal.fact(ENGINE_FACT) or "{}")["state"])


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    clock = Clock()
    return Scene(tmp_path, Journal(tmp_path / "journal.db", clock), clock)


def test_an_engine_without_work_rests_and_is_still_known(scene: Scene) -> None:
    worker = scene.worker()
    scene.clock.pass_s(IDLE_S - 1.0)
    early = (worker.rests(), scene.engine.is_running(), scene.state())
    scene.clock.pass_s(1.0)
    late = (worker.rests(), scene.engine.is_running(), scene.state())

    assert early == (False, True, "ready")
    assert late == (True, False, "resting")
    assert worker.identity == worker.identity_of("") == ENGINE


def test_without_the_setting_it_never_rests(scene: Scene) -> None:
    scene.idle_s = 0.0
    worker = scene.worker()
    scene.clock.pass_s(1e6)

    assert not worker.rests()
    assert scene.engine.is_running()


def test_what_arrives_has_it_loaded_again(scene: Scene) -> None:
    worker = scene.worker()
    scene.clock.pass_s(IDLE_S)
    worker.rests()
    worker.pause(0.0)
    unasked = worker.rests()
    scene.wanted.set()
    worker.pause(0.0)

    assert (unasked, worker.rests()) == (True, False)
    assert worker.ensure_engine()
    assert scene.state() == "ready"
    # What arrives may take its time: every look at it counts.
    scene.clock.pass_s(IDLE_S - 1.0)
    scene.wanted.set()
    worker.pause(0.0)
    scene.clock.pass_s(IDLE_S - 1.0)
    assert not worker.rests()


def test_a_job_keeps_it_awake_and_wakes_it(scene: Scene) -> None:
    worker = scene.worker()
    scene.clock.pass_s(IDLE_S)
    assert worker.rests()
    scene.queue()

    assert not worker.rests()
    assert worker.ensure_engine()
    scene.clock.pass_s(IDLE_S)
    assert worker.step()
    assert not worker.rests()


@pytest.mark.parametrize("has_room", [True, False])
def test_a_job_that_may_not_begin_does_not_wake_it(scene: Scene, has_room: bool) -> None:
    worker = scene.worker()
    scene.clock.pass_s(IDLE_S)
    scene.has_room = has_room
    # The clock of these tests stands at a quarter past midnight.
    closed = Route(priority=Priority.OFF_PEAK, window=window_of("22:00-23:00"))
    scene.queue(closed if has_room else DEFAULT_ROUTE)

    assert worker.rests()


def test_an_engine_that_shall_load_something_else_is_loaded_to_be_known(scene: Scene) -> None:
    worker = scene.worker()
    scene.clock.pass_s(IDLE_S)
    worker.rests()
    scene.engine.is_told = True

    assert not worker.rests()
    assert worker.identity is None
