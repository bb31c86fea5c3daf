"""The doctor sees what is missing, not only what is there."""

from pathlib import Path

import pytest

from inference.domain.errors import ProviderUnavailable
from inference.domain.level_calibration import CALIBRATION_NAME
from inference.engine.model_store import SHIPPED_MODELS
from inference.engine.provider_trial import provider_in_use
from inference.engine.providers import Downgrade
from orthanc_plugin.doctor.engine import calibrations, engine, providers, usual_providers
from orthanc_plugin.doctor.examination import Installation, findings
from orthanc_plugin.doctor.finding import Level
from orthanc_plugin.node.settings import EngineSettings

SHIPPED = (SHIPPED_MODELS / "l3-level" / CALIBRATION_NAME).read_text(encoding="utf-8")


def test_a_model_that_a_profile_names_and_is_not_there_is_a_finding(tmp_path: Path) -> None:
    found = findings(Installation(models_folder=tmp_path))
    ill = {finding.subject for finding in found if not finding.is_well}

    assert {"model l3-level", "model l3-tissue", "model organs"} <= ill


def test_only_models_of_profiles_that_the_settings_name_are_wanted(tmp_path: Path) -> None:
    found = engine(EngineSettings(models_folder=tmp_path), ["l3"])

    assert {each.subject for each in found if not each.is_well} == {
        "model l3-level",
        "model l3-spine",
        "model l3-tissue",
    }


def test_a_provider_that_falls_back_without_a_word_is_a_finding() -> None:
    cuda, cpu, _ = providers(["cuda", "cpu"], in_use=lambda asked: "cpu")

    assert (cuda.level, cpu.level) == (Level.FAIL, Level.OK)
    assert "cpu computes when cuda is asked for" in cuda.text


@pytest.mark.parametrize(
    ("downgrade", "level"), [(Downgrade.WARN, Level.NOTE), (Downgrade.FAIL, Level.FAIL)]
)
def test_what_is_asked_for_and_what_is_in_use_are_said(downgrade: Downgrade, level: Level) -> None:
    def in_use(asked: str) -> str:
        return "cpu" if asked == "tensorrt" else asked

    *_, last = providers(["tensorrt", "cuda", "cpu"], downgrade, in_use)

    assert (last.subject, last.level) == ("downgrade", level)
    assert "asked for tensorrt, in use cuda" in last.text


def test_no_downgrade_is_no_finding() -> None:
    found = providers(["cuda", "cpu"], in_use=lambda asked: asked)

    assert [each.subject for each in found] == ["provider cuda", "provider cpu"]


def test_the_cpu_computes_and_what_is_not_built_in_does_not() -> None:
    assert provider_in_use("cpu") == "cpu"
    with pytest.raises(ProviderUnavailable):
        provider_in_use("tensorrt")


def test_an_analyser_of_somebody_elses_needs_none_of_our_models(tmp_path: Path) -> None:
    (only,) = engine(EngineSettings(models_folder=tmp_path, analyser="theirs"), ["abdomen"])

    assert only.is_well


@pytest.mark.parametrize(
    ("text", "level", "told"),
    [
        (None, Level.NOTE, "none: round numbers are taken"),
        (SHIPPED.replace('spine_sha256 = "', 'spine_sha256 = "0'), Level.FAIL, "of other networks"),
        ("nothing [", Level.FAIL, "not TOML"),
        (SHIPPED, Level.OK, "synthetic cases"),
    ],
)
def test_a_calibration_that_the_node_would_refuse_is_a_finding(
    text: str | None, level: Level, told: str, tmp_path: Path
) -> None:
    for name in ("l3-level", "l3-spine"):
        (tmp_path / name).mkdir()
        for file in ("manifest.json", "model.onnx"):
            (tmp_path / name / file).symlink_to(SHIPPED_MODELS / name / file)
    if text is not None:
        (tmp_path / "l3-level" / CALIBRATION_NAME).write_text(text)

    (found,) = calibrations(tmp_path, ["l3", "abdomen"])

    assert found.level is level
    assert told in found.text


def test_without_settings_the_usual_providers_are_tried() -> None:
    def broken(asked: str) -> str:
        if asked == "openvino":
            raise ProviderUnavailable(found="no plugin", wanted="one", advice="")
        return asked

    well = list(usual_providers(lambda asked: asked))
    ill = list(usual_providers(broken))

    assert [each.subject for each in well] == ["provider openvino", "provider cpu"]
    assert [each.level for each in ill] == [Level.FAIL, Level.OK, Level.NOTE]
    assert "asked for openvino, in use cpu" in ill[-1].text


def test_packages_without_openvino_are_noted_and_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.engine.onnx_session.is_installed", lambda: False)

    found = list(usual_providers(lambda asked: asked))

    assert [(each.subject, each.level) for each in found] == [
        ("provider cpu", Level.OK),
        ("downgrade", Level.NOTE),
    ]
