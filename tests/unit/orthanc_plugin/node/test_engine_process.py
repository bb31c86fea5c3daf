"""The engine child, for real: it answers, dies, hangs and crashes, and its output leaks nothing."""

import json
import os
import resource
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from inference.domain.entered_level import EnteredLevel
from inference.domain.seg_encoding import SegEncoding
from orthanc_plugin.node import engine_child
from orthanc_plugin.node.analysis_port import AnalysisRequest
from orthanc_plugin.node.engine_process import (
    Abandoned,
    EngineLost,
    EngineProcess,
    Finished,
    Outcome,
    Refused,
)
from orthanc_plugin.node.job_key import EngineIdentity
from orthanc_plugin.node.routing_rules import Rule
from orthanc_plugin.node.settings import EngineSettings, Settings
from tests.dicom_peers import ct_series
from tests.fakes import dicom_bytes, write


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineProcess]:
    (tmp_path / "models").mkdir()
    settings = EngineSettings(
        models_folder=tmp_path / "models",
        analyser="tests.fake_analyser",
        job_wall_clock_s=1.0,
        start_wall_clock_s=20.0,
    )
    process = EngineProcess(settings, tick_s=0.05)
    yield process
    process.stop()


def run(
    engine: EngineProcess,
    folder: Path,
    *,
    wanted: bool = True,
    profile: str = "",
    level: EnteredLevel | None = None,
    may_lack_level: bool = True,
) -> Outcome:
    """One job over a two-slice series."""
    for name in ("series", "out"):
        (folder / name).mkdir(exist_ok=True)
    for number, image in enumerate(ct_series(2)):
        (folder / "series" / f"{number}.dcm").write_bytes(dicom_bytes(image))
    request = AnalysisRequest(
        series_folder=folder / "series",
        out_folder=folder / "out",
        job_key="0" * 32,
        created=datetime(2024, 1, 1, tzinfo=UTC),
        encodings=(SegEncoding.BINARY, SegEncoding.LABELMAP),
        profile=profile,
        level=level,
        may_lack_level=may_lack_level,
    )
    return engine.analyse(request, lambda stage, fraction: wanted)


def test_a_started_engine_says_what_it_loaded(engine: EngineProcess) -> None:
    identity = engine.start()

    assert isinstance(identity, EngineIdentity)
    assert identity.models == (("fake", "0" * 64),)


def test_one_child_serves_many_jobs(engine: EngineProcess, tmp_path: Path) -> None:
    engine.start()
    pid = engine.pid

    outcomes = [run(engine, tmp_path), run(engine, tmp_path)]

    assert all(isinstance(outcome, Finished) for outcome in outcomes)
    assert engine.pid == pid


def test_every_encoding_asked_for_reaches_the_analyser(
    engine: EngineProcess, tmp_path: Path
) -> None:
    engine.start()

    outcome = run(engine, tmp_path)

    assert isinstance(outcome, Finished)
    assert {"sr", "sr@labelmap", "seg-tissues@labelmap"} <= set(outcome.files)


def test_a_level_set_by_hand_reaches_the_analyser(engine: EngineProcess, tmp_path: Path) -> None:
    engine.start()
    write(tmp_path / "models" / "behaviour", "no-l3")
    level = EnteredLevel(z_mm=10.0, entered_by="otto", entered_at=0.0)

    without, with_level = run(engine, tmp_path), run(engine, tmp_path, level=level)

    told = json.loads((tmp_path / "out" / "report.json").read_text())["level"]
    assert isinstance(without, Refused)
    assert isinstance(with_level, Finished)
    assert told["source"] == "L3 set by hand by otto at 1970-01-01 00:00 UTC"


@pytest.mark.parametrize("may_lack_level", [True, False])
def test_whether_a_level_may_lack_reaches_the_analyser(
    may_lack_level: bool, engine: EngineProcess, tmp_path: Path
) -> None:
    engine.start()
    run(engine, tmp_path, may_lack_level=may_lack_level)

    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["may_lack_level"] is may_lack_level


def test_a_broken_model_is_named(engine: EngineProcess, tmp_path: Path) -> None:
    write(tmp_path / "models" / "broken", "")

    outcome = engine.start()

    assert isinstance(outcome, Refused)
    assert outcome.code == "model-unusable"
    assert not engine.is_running()


def test_an_analyser_that_does_not_exist_is_a_lost_engine(tmp_path: Path) -> None:
    engine = EngineProcess(EngineSettings(models_folder=tmp_path, analyser="tests.no_such_module"))

    outcome = engine.start()

    assert isinstance(outcome, EngineLost)
    assert outcome.error_type == "ModuleNotFoundError"


def test_a_rejection_comes_back_with_its_reason(engine: EngineProcess, tmp_path: Path) -> None:
    write(tmp_path / "models" / "behaviour", "reject")
    engine.start()

    outcome = run(engine, tmp_path)

    assert isinstance(outcome, Refused)
    assert (outcome.is_rejection, outcome.reason) == (True, "no-l3")


def test_a_killed_child_is_seen_at_once(engine: EngineProcess, tmp_path: Path) -> None:
    write(tmp_path / "models" / "behaviour", "die")
    engine.start()

    outcome = run(engine, tmp_path)

    assert outcome == EngineLost(reason="engine-died", exit_code=-signal.SIGKILL)


def test_a_child_that_died_between_jobs_is_not_running(engine: EngineProcess) -> None:
    engine.start()
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    os.waitid(os.P_PID, engine.pid, os.WEXITED | os.WNOWAIT)

    assert not engine.is_running()


def test_a_hanging_child_is_killed_at_the_limit(engine: EngineProcess, tmp_path: Path) -> None:
    write(tmp_path / "models" / "behaviour", "hang")
    engine.start()
    started_s = time.monotonic()

    outcome = run(engine, tmp_path)

    assert time.monotonic() - started_s < 4.0
    assert isinstance(outcome, EngineLost)
    assert outcome.reason == "engine-timeout"
    assert not engine.is_running()


def test_a_job_nobody_wants_any_more_is_abandoned(engine: EngineProcess, tmp_path: Path) -> None:
    write(tmp_path / "models" / "behaviour", "hang")
    engine.start()

    outcome = run(engine, tmp_path, wanted=False)

    assert outcome == Abandoned()
    assert not engine.is_running()


def test_a_crash_tells_type_and_place_and_not_its_text(
    engine: EngineProcess, tmp_path: Path
) -> None:
    write(tmp_path / "models" / "behaviour", "crash")
    engine.start()

    outcome = run(engine, tmp_path)

    assert isinstance(outcome, EngineLost)
    assert outcome.error_type == "ValueError"
    assert "fake_analyser.py" in outcome.where
    assert "anary" not in repr(outcome)


def test_what_libraries_print_goes_nowhere(
    engine: EngineProcess, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "models" / "behaviour", "print")
    engine.start()

    outcome = run(engine, tmp_path)

    captured = capfd.readouterr()
    assert isinstance(outcome, Finished)
    assert captured.out + captured.err == ""


def test_a_job_that_swells_past_the_limit_costs_itself_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "behaviour", "swell-once")
    settings = EngineSettings(
        models_folder=tmp_path, analyser="tests.fake_analyser", memory_limit_bytes=1 << 30
    )
    engine = EngineProcess(settings)
    engine.start()

    outcome = run(engine, tmp_path)

    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.is_retryable, outcome.is_rejection) == (
        "out-of-memory",
        False,
        False,
    )
    assert not engine.is_running()
    engine.start()
    assert isinstance(run(engine, tmp_path), Finished)
    engine.stop()


@pytest.mark.parametrize(
    ("providers", "limit", "is_limited"),
    [
        (["cpu"], 1 << 30, True),
        (["openvino", "cpu"], 1 << 30, True),
        (["cpu"], 0, False),
        (["cuda", "cpu"], 1 << 30, False),
        (["cuda", "openvino", "cpu"], 1 << 30, False),
    ],
)
def test_address_space_is_limited_on_the_cpu_alone(
    providers: list[str], limit: int, is_limited: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda kind, pair: limits.append((kind, pair)))

    engine_child._limit_memory(limit, providers)

    assert bool(limits) == is_limited
    assert all(soft == hard > limit for _, (soft, hard) in limits)


def settings_with(engine: EngineProcess, *profiles: str) -> Settings:
    rules = tuple(Rule(name=f"r{number}", profile=name) for number, name in enumerate(profiles))
    folder = engine.settings.models_folder
    return Settings(data_folder=folder, engine=engine.settings, rules=rules)


def test_every_profile_that_rules_name_is_loaded_and_used(
    engine: EngineProcess, tmp_path: Path
) -> None:
    changed = engine.configure(settings_with(engine, "l3", "l3-small", "l3"))
    own = engine.start()
    hashes = [
        found and found.profile_hash
        for found in map(engine.identity_of, ("", "l3", "l3-small", "x"))
    ]
    run(engine, tmp_path, profile="l3")
    report = json.loads((tmp_path / "out" / "report.json").read_text())

    assert changed
    assert isinstance(own, EngineIdentity)
    assert hashes == ["fake-abdomen", "fake-l3", "fake-l3-small", None]
    assert report["profile"] == "l3"


def test_other_settings_end_a_child_and_the_same_ones_leave_it(engine: EngineProcess) -> None:
    engine.configure(settings_with(engine))
    engine.start()
    same = (engine.configure(settings_with(engine)), engine.is_running())
    other = (engine.configure(settings_with(engine, "l3")), engine.is_running())

    assert same == (False, True)
    assert other == (True, False)
