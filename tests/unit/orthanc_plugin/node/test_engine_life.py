"""The engine child over many jobs: when it makes room for a fresh one, and what its end means for the job it ran."""

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orthanc_plugin.node.engine_process import Abandoned, EngineProcess, Finished, Refused
from orthanc_plugin.node.settings import EngineSettings
from tests.fakes import write
from tests.orthanc_process import wait_for
from tests.unit.orthanc_plugin.node.test_engine_process import run

MEBIBYTE = 1 << 20


@pytest.fixture
def settings(tmp_path: Path) -> EngineSettings:
    (tmp_path / "models").mkdir()
    return EngineSettings(
        models_folder=tmp_path / "models", analyser="tests.fake_analyser", start_wall_clock_s=20.0
    )


@pytest.fixture
def engines() -> Iterator[list[EngineProcess]]:
    started: list[EngineProcess] = []
    yield started
    for engine in started:
        engine.stop()


def started(engines: list[EngineProcess], settings: EngineSettings) -> EngineProcess:
    engine = EngineProcess(settings, tick_s=0.05)
    engines.append(engine)
    engine.start()
    return engine


def test_a_child_that_served_its_jobs_makes_room_for_a_fresh_one(
    engines: list[EngineProcess], settings: EngineSettings, tmp_path: Path
) -> None:
    engine = started(engines, replace(settings, recycle_after_jobs=2))

    verdicts = []
    for _ in range(2):
        run(engine, tmp_path)
        verdicts.append(engine.retire_if_spent())
    is_running = engine.is_running()
    engine.start()
    run(engine, tmp_path)

    assert verdicts == [None, "jobs-served"]
    assert not is_running
    assert engine.retire_if_spent() is None


def test_a_child_that_grew_makes_room_for_a_fresh_one(
    engines: list[EngineProcess], settings: EngineSettings, tmp_path: Path
) -> None:
    engine = started(engines, replace(settings, recycle_growth_bytes=64 * MEBIBYTE))
    run(engine, tmp_path)
    small = engine.retire_if_spent()
    write(tmp_path / "models" / "behaviour", "grow")
    run(engine, tmp_path)

    assert small is None
    assert engine.retire_if_spent() == "memory-growth"


def test_without_a_limit_a_child_may_grow(
    engines: list[EngineProcess], settings: EngineSettings, tmp_path: Path
) -> None:
    engine = started(engines, replace(settings, recycle_growth_bytes=0))
    run(engine, tmp_path)
    engine.retire_if_spent()
    write(tmp_path / "models" / "behaviour", "grow")
    run(engine, tmp_path)

    assert engine.retire_if_spent() is None


def test_memory_that_earlier_jobs_took_earns_a_job_another_try(
    engines: list[EngineProcess], settings: EngineSettings, tmp_path: Path
) -> None:
    engine = started(engines, replace(settings, memory_limit_bytes=1 << 30))
    run(engine, tmp_path)
    write(tmp_path / "models" / "behaviour", "swell")

    after_another = run(engine, tmp_path)
    engine.start()
    on_its_own = run(engine, tmp_path)

    assert isinstance(after_another, Refused)
    assert isinstance(on_its_own, Refused)
    assert (after_another.is_retryable, on_its_own.is_retryable) == (True, False)


def test_a_job_whose_node_ends_is_interrupted_and_not_lost(
    engines: list[EngineProcess], settings: EngineSettings, tmp_path: Path
) -> None:
    write(tmp_path / "models" / "behaviour", "hang")
    engine = started(engines, settings)
    ending = threading.Timer(0.3, engine.end)
    ending.start()

    outcome = run(engine, tmp_path)
    ending.join()

    assert outcome == Abandoned()
    assert not engine.is_running()


def test_a_stop_signal_to_every_process_of_the_unit_is_left_to_the_node(
    engines: list[EngineProcess], settings: EngineSettings, tmp_path: Path
) -> None:
    engine = started(engines, settings)
    assert engine.pid is not None

    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(engine.pid, number)

    assert isinstance(run(engine, tmp_path), Finished)


def test_a_retired_child_leaves_no_process_behind(
    engines: list[EngineProcess], settings: EngineSettings, tmp_path: Path
) -> None:
    engine = started(engines, replace(settings, recycle_after_jobs=1))
    run(engine, tmp_path)
    pid = engine.pid

    engine.retire_if_spent()

    wait_for(lambda: not Path(f"/proc/{pid}").exists(), 5.0, "the retired child to be gone")
