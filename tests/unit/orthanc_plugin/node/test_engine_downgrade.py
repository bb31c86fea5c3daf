"""Where networks run reaches the engine child, and what it says of that reaches the status."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.code_folders import with_kernels_in
from inference.engine.providers import Downgrade
from orthanc_plugin.node.analysis_port import NetworkInUse
from orthanc_plugin.node.engine_child import _acceleration
from orthanc_plugin.node.engine_process import EngineProcess, Refused
from orthanc_plugin.node.journal import Journal
from orthanc_plugin.node.settings import EngineSettings, Settings
from orthanc_plugin.node.worker import ENGINE_FACT
from tests.fakes import Clock, write
from tests.unit.orthanc_plugin.node.test_engine_rest import Scene

SLOWER = "computed on cpu although cuda was asked for"


def site(folder: Path, analyser: str, downgrade: Downgrade = Downgrade.WARN) -> Settings:
    engine = EngineSettings(
        models_folder=folder / "models",
        profile="l3-small",
        providers=("cuda", "cpu"),
        downgrade=downgrade,
        tensorrt_libraries=folder / "trt",
        half_precision_error=0.02,
        analyser=analyser,
    )
    return Settings(data_folder=folder, engine=engine)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineProcess]:
    (tmp_path / "models").mkdir()
    process = EngineProcess(EngineSettings(models_folder=tmp_path), tick_s=0.05)
    yield process
    process.stop()


def test_what_the_settings_say_crosses_the_pipe_whole(
    engine: EngineProcess, tmp_path: Path
) -> None:
    settings = site(tmp_path, "tests.fake_analyser", Downgrade.FAIL)
    engine.configure(settings)

    crossed = json.loads(json.dumps(engine._start_message()))["acceleration"]

    assert _acceleration(crossed) == settings.acceleration
    assert settings.acceleration.built_folder == tmp_path / "built"


def test_what_runs_elsewhere_is_told_by_the_child(engine: EngineProcess, tmp_path: Path) -> None:
    write(tmp_path / "models" / "slower", SLOWER)
    engine.configure(site(tmp_path, "tests.fake_analyser"))
    engine.start()

    assert engine.downgrades == (SLOWER,)
    assert engine.networks == (
        NetworkInUse(name="fake", version="1", sha256="0" * 64, provider="cpu", asked="cpu"),
    )


def test_a_site_that_wants_no_downgrade_has_no_engine(
    engine: EngineProcess, tmp_path: Path
) -> None:
    shipped = Path(__file__).parents[4] / "models"
    (tmp_path / "models").rmdir()
    (tmp_path / "models").symlink_to(shipped)
    engine.configure(site(tmp_path, "orthanc_plugin.node.pipeline_analyser", Downgrade.FAIL))

    outcome = engine.start()

    assert isinstance(outcome, Refused)
    assert outcome.code == "provider-unavailable"
    assert "wanted it on cuda" in outcome.sentence


def test_the_status_says_what_runs_elsewhere(tmp_path: Path) -> None:
    clock = Clock()
    scene = Scene(tmp_path, Journal(tmp_path / "journal.db", clock), clock)
    scene.engine.downgrades = (SLOWER,)
    scene.worker()

    assert json.loads(scene.journal.fact(ENGINE_FACT) or "{}")["downgrades"] == [SLOWER]


def test_the_child_keeps_compiled_kernels_in_the_data_folder(
    engine: EngineProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    engine.configure(site(tmp_path, "tests.fake_analyser"))
    engine.start()
    environment = Path(f"/proc/{engine.pid}/environ").read_bytes().split(b"\0")

    assert f"NUMBA_CACHE_DIR={tmp_path / 'kernels'}".encode() in environment


def test_a_folder_that_the_site_named_itself_stays(tmp_path: Path) -> None:
    told = {"NUMBA_CACHE_DIR": "/var/cache/kernels"}

    assert with_kernels_in(tmp_path / "kernels", told) == told
    assert not (tmp_path / "kernels").exists()
