"""A site's own profile, beside its models, is what a shipped one is to settings, engine, rules and doctor."""

from pathlib import Path

import pytest

from inference.domain.analysis_profile import OWN_PROFILES, PROFILE_FOLDER
from inference.domain.errors import ConfigurationInvalid, ModelUnusable
from inference.domain.series_rules import load_series_rules
from orthanc_plugin.doctor.engine import engine
from orthanc_plugin.doctor.examination import Installation, findings
from orthanc_plugin.node.analysis_port import LoadRequest
from orthanc_plugin.node.pipeline_analyser import load, profile_for
from orthanc_plugin.node.profile_rules import rules_in_force
from orthanc_plugin.node.settings import EngineSettings, Settings
from orthanc_plugin.node.settings_file import load_settings
from tests.fakes import write

NODE = 'data_folder = "data"\n[engine]\nmodels_folder = "models"\nprofile = "ours"\n'
RULE = "[[rules]]\nname = 'r'\nprofile = 'ours'\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    text = (PROFILE_FOLDER / "abdomen.toml").read_text(encoding="utf-8")
    own = text.replace('"organs"', '"organs-of-ours"')
    write(tmp_path / "models" / OWN_PROFILES / "ours.toml", own)
    write(tmp_path / "habitus.toml", NODE + RULE)
    return tmp_path


def settings_of(site: Path) -> Settings:
    return load_settings(site / "habitus.toml")


def test_settings_may_name_it_for_the_engine_and_in_a_rule(site: Path) -> None:
    settings = settings_of(site)

    assert settings.engine.profile == "ours"
    assert settings.rules[0].profile == "ours"
    (site / "models" / OWN_PROFILES / "ours.toml").unlink()
    with pytest.raises(ConfigurationInvalid, match=r"engine\.profile = 'ours'"):
        settings_of(site)
    write(site / "habitus.toml", NODE.replace("ours", "l3") + RULE)
    with pytest.raises(ConfigurationInvalid, match=r"rules\[0\].profile = 'ours'"):
        settings_of(site)


def test_the_engine_loads_what_it_names(site: Path) -> None:
    request = LoadRequest(models_folder=site / "models", profile="ours", providers=("cpu",))

    assert profile_for(request).organ_model == "organs-of-ours"
    with pytest.raises(ModelUnusable, match="l3-level"):
        load(request)


def test_its_series_rules_are_in_force(site: Path) -> None:
    settings = settings_of(site)

    assert rules_in_force(lambda: settings)("ours") == load_series_rules("axial-soft-tissue")
    assert rules_in_force(lambda: settings)("") == load_series_rules("axial-soft-tissue")


def test_the_doctor_looks_for_its_models(site: Path) -> None:
    models = site / "models"
    named = engine(EngineSettings(models_folder=models, profile="ours"), ["ours"])
    of_folder = findings(Installation(models_folder=models))

    for found in (named, of_folder):
        assert "model organs-of-ours" in {each.subject for each in found if not each.is_well}
