"""What the node tells of itself: signs of life, its settings without secrets, its models."""

import json
from dataclasses import dataclass
from pathlib import Path

from inference.engine.model_store import SHIPPED_MODELS, verified_manifest
from orthanc_plugin.node.job_key import EngineIdentity
from orthanc_plugin.node.journal import Journal
from orthanc_plugin.node.self_report import ALIVE_EVERY_S, SelfReport, loaded_models, masked
from orthanc_plugin.node.settings import EngineSettings, OrthancAccess, Settings
from tests.fakes import ENGINE, Clock


def settings_in(folder: Path) -> Settings:
    return Settings(
        data_folder=folder,
        engine=EngineSettings(models_folder=folder),
        orthanc=OrthancAccess(user="habitus", password_file=folder / "the-password"),
    )


def test_a_sign_of_life_is_given_now_and_then(tmp_path: Path) -> None:
    clock = Clock()
    journal = Journal(tmp_path / "journal.db", clock)
    report = SelfReport(journal, lambda: settings_in(tmp_path), clock)
    seen = []
    for _ in range(4):
        report.step(None)
        seen.append(journal.fact("alive_at"))
        clock.pass_s(ALIVE_EVERY_S / 2)

    assert seen == ["1000.0", "1000.0", "1005.0", "1005.0"]


def test_settings_are_told_with_units_and_without_secrets(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    SelfReport(journal, lambda: settings_in(tmp_path))

    told = json.loads(journal.fact("configuration") or "")

    assert told["intake"]["quiet_s"] == 60.0
    assert told["orthanc"]["user"] == "habitus"
    assert told["orthanc"]["password_file"] == "(set)"
    assert "the-password" not in json.dumps(told)


def test_whatever_is_called_a_secret_is_masked() -> None:
    @dataclass
    class Access:
        api_key: str = "k1"
        user: str = "u"

    told = masked({"a": [Access()], "Token": "t1", "password": None, "site_secret": b"s"})

    assert told == {
        "a": [{"api_key": "(set)", "user": "u"}],
        "Token": "(set)",
        "password": None,
        "site_secret": "(set)",
    }


def test_loaded_models_are_told_with_what_their_manifests_say() -> None:
    manifest = verified_manifest("organs")
    engine = EngineIdentity(
        profile_hash="p", models=(("organs", manifest.onnx_sha256),), code_version="1"
    )

    (told,) = loaded_models(engine, SHIPPED_MODELS)

    assert (told["version"], told["task"]) == (manifest.version, "organs")
    assert told["training_data"] == manifest.training_data


def test_a_manifest_of_another_file_is_not_believed() -> None:
    engine = EngineIdentity(profile_hash="p", models=(("organs", "0" * 64),), code_version="1")

    assert loaded_models(engine, SHIPPED_MODELS) == [{"name": "organs", "sha256": "0" * 64}]


def test_models_are_told_once_they_are_loaded(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    report = SelfReport(journal, lambda: settings_in(tmp_path))
    report.step(None)
    before = journal.fact("models")
    report.step(ENGINE)

    assert before is None
    assert json.loads(journal.fact("models") or "") == [{"name": "m", "sha256": "0" * 64}]
