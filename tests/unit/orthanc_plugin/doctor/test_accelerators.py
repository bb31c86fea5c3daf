"""Why a network would not run where it is asked to run, said before it is tried."""

from pathlib import Path

import pytest

from inference.engine.acceleration import Acceleration
from inference.engine.answers_compared import Difference
from inference.engine.built import Precision, fresh_folder, key_of, write_proof
from inference.engine.gpu import Gpu
from inference.engine.model_store import SHIPPED_MODELS, verified_manifest
from inference.engine.provider_options import TENSORRT
from inference.engine.providers import Downgrade
from inference.engine.tensorrt_libraries import WANTED
from orthanc_plugin.doctor.accelerators import accelerators, engines, gpu, libraries
from orthanc_plugin.doctor.engine import engine
from orthanc_plugin.doctor.finding import Level
from orthanc_plugin.node.settings import EngineSettings
from tests.unit.inference.engine.fake_accelerator import HERE

CLOSE = Difference(precision="full", max_abs_error=0.0, span=1.0, agreement=1.0)


def asking(downgrade: Downgrade = Downgrade.WARN, libraries: Path | None = None) -> EngineSettings:
    return EngineSettings(
        models_folder=SHIPPED_MODELS,
        providers=("tensorrt", "cuda", "cpu"),
        downgrade=downgrade,
        tensorrt_libraries=libraries,
    )


def test_the_library_that_is_missing_is_named_and_what_is_there_instead(tmp_path: Path) -> None:
    for name in (*WANTED[1:], "libnvinfer.so.11"):
        (tmp_path / name).touch()

    found = libraries(tmp_path)

    assert found.level is Level.FAIL
    assert "no libnvinfer.so.10 (found libnvinfer.so.11 instead)" in found.text
    assert "plugin" not in found.text
    (tmp_path / WANTED[0]).touch()
    assert libraries(tmp_path).level is Level.OK


@pytest.mark.parametrize(
    ("driver", "cuda", "level"),
    [
        ("580.65.06", 13, Level.OK),
        ("575.1", 13, Level.FAIL),
        ("575.1", 12, Level.OK),
        ("520.61", 12, Level.FAIL),
        ("", 13, Level.OK),
        ("470.1", None, Level.OK),
    ],
)
def test_a_driver_older_than_cuda_wants_is_a_finding(
    driver: str, cuda: int | None, level: Level
) -> None:
    found = gpu(Gpu(name="NVIDIA L4", driver=driver), cuda)

    assert found.level is level
    assert "NVIDIA L4" in found.text


def test_no_gpu_is_a_finding_where_one_is_asked_for(tmp_path: Path) -> None:
    first, second = accelerators(asking(libraries=tmp_path), ["l3"], Acceleration())

    assert (first.subject, first.level) == ("gpu", Level.FAIL)
    assert (second.subject, second.level) == ("tensorrt libraries", Level.FAIL)
    assert list(accelerators(EngineSettings(models_folder=tmp_path), ["l3"], Acceleration())) == []


def test_the_whole_examination_tells_them_beside_the_providers(tmp_path: Path) -> None:
    told = {each.subject for each in engine(asking(libraries=tmp_path), ["l3"], Acceleration())}

    assert {"gpu", "tensorrt libraries", "provider tensorrt", "downgrade"} <= told


@pytest.mark.parametrize(
    ("downgrade", "missing"), [(Downgrade.WARN, Level.NOTE), (Downgrade.FAIL, Level.FAIL)]
)
def test_each_network_without_an_engine_is_named(
    downgrade: Downgrade, missing: Level, tmp_path: Path
) -> None:
    for name, precision in (("l3-level", Precision.REDUCED), ("l3-spine", Precision.UNFIT)):
        key = key_of(TENSORRT, verified_manifest(name).onnx_sha256, HERE)
        write_proof(fresh_folder(tmp_path, key), precision, [CLOSE])
    acceleration = Acceleration(built_folder=tmp_path)

    level, spine, tissue = engines(asking(downgrade), ["l3"], acceleration, lambda: HERE)

    assert (level.level, level.text) == (Level.OK, "built, reduced precision")
    assert (spine.level, tissue.level) == (missing, missing)
    assert "not those of the CPU" in spine.text
    assert "habitus warm" in tissue.advice
