"""The doctor sees what is missing, not only what is there."""

from pathlib import Path

import pytest

from inference.domain.errors import ProviderUnavailable
from inference.engine.provider_trial import provider_in_use
from orthanc_plugin.doctor.engine import engine, providers
from orthanc_plugin.doctor.examination import Installation, findings
from orthanc_plugin.doctor.finding import Level
from orthanc_plugin.node.settings import EngineSettings


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
    cuda, cpu = providers(["cuda", "cpu"], lambda asked: "cpu")

    assert (cuda.level, cpu.level) == (Level.FAIL, Level.OK)
    assert "cpu computes when cuda is asked for" in cuda.text


def test_the_cpu_computes_and_what_is_not_built_in_does_not() -> None:
    assert provider_in_use("cpu") == "cpu"
    with pytest.raises(ProviderUnavailable):
        provider_in_use("tensorrt")


def test_an_analyser_of_somebody_elses_needs_none_of_our_models(tmp_path: Path) -> None:
    (only,) = engine(EngineSettings(models_folder=tmp_path, analyser="theirs"), ["abdomen"])

    assert only.is_well
