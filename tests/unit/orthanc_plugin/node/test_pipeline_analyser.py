"""The bridge to inference.pipeline: what it refuses, and what makes its identity."""

from pathlib import Path

import pytest

from inference.domain.errors import ConfigurationInvalid, ModelUnusable
from inference.domain.report_options import ReportOptions, SrTitle
from inference.engine.model_store import SHIPPED_MODELS
from orthanc_plugin.node import pipeline_analyser
from orthanc_plugin.node.analysis_port import LoadRequest
from orthanc_plugin.node.pipeline_analyser import choices_hash, load, source_hash
from tests.fakes import write


def request(folder: Path, profile: str = "l3") -> LoadRequest:
    return LoadRequest(models_folder=folder, profile=profile, providers=("cpu",))


def test_a_folder_without_models_is_unusable(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable):
        load(request(tmp_path))


def test_an_unknown_profile_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="no-such-profile"):
        load(request(tmp_path, "no-such-profile"))


def test_another_line_of_code_is_another_version(tmp_path: Path) -> None:
    write(tmp_path / "a" / "x.py", "one = 1")
    before = source_hash(tmp_path)
    write(tmp_path / "a" / "x.py", "one = 2")
    changed = source_hash(tmp_path)
    write(tmp_path / "a" / "x.py", "one = 1")

    assert before != changed
    assert source_hash(tmp_path) == before


def test_a_table_is_a_part_of_the_code(tmp_path: Path) -> None:
    before = source_hash(tmp_path)
    write(tmp_path / "tables.toml", "cut_off = 40")

    assert source_hash(tmp_path) != before


def test_another_report_title_is_another_job() -> None:
    hashes = {choices_hash("profile", ReportOptions(title=title).content_hash) for title in SrTitle}

    assert len(hashes) == len(SrTitle)


def test_every_network_has_run_before_the_first_series(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(
        pipeline_analyser,
        "warm_up",
        lambda predictors: ran.extend(one.manifest.name for one in predictors),
    )

    load(request(SHIPPED_MODELS, "l3-small"))

    assert ran == ["l3-level", "l3-tissue"]
