"""The bridge to inference.pipeline: what it refuses, and what makes its identity."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from inference.domain.entered_level import EnteredLevel
from inference.domain.entered_size import EnteredSize
from inference.domain.errors import ConfigurationInvalid, ModelUnusable
from inference.domain.measurement import Patient, Report
from inference.domain.report_options import DEFAULT_REPORT, ReportOptions, SrTitle
from inference.engine.model_store import SHIPPED_MODELS
from inference.pipeline import AnalysisFiles, Models, RunIdentity, silent
from orthanc_plugin.node import pipeline_analyser
from orthanc_plugin.node.analysis_port import AnalysisRequest, LoadRequest
from orthanc_plugin.node.pipeline_analyser import (
    PipelineAnalyser,
    choices_hash,
    load,
    profile_for,
    source_hash,
)
from tests.fakes import ENGINE, write
from tests.fuzz.target import fake_models


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


def test_what_an_operator_entered_reaches_the_analysis(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[RunIdentity] = []

    def noted(_in: Path, _out: Path, _models: Models, run: RunIdentity, _: Any) -> AnalysisFiles:
        asked.append(run)
        return AnalysisFiles(files={}, report=Report(patient=Patient(), level=None))

    monkeypatch.setattr(pipeline_analyser, "analyse_folder", noted)
    size = EnteredSize(height_m=1.7, entered_by="otto", entered_at=0.0)
    level = EnteredLevel(z_mm=10.0, entered_by="otto", entered_at=0.0)
    analyser = PipelineAnalyser(identity=ENGINE, models=fake_models(), report=DEFAULT_REPORT)

    analyser.analyse(
        AnalysisRequest(
            series_folder=tmp_path,
            out_folder=tmp_path,
            job_key="key",
            created=datetime(2026, 1, 1, tzinfo=UTC),
            entered=size,
            level=level,
        ),
        silent,
    )

    assert [(run.entered, run.entered_level) for run in asked] == [(size, level)]


def test_each_network_is_told_with_where_it_runs_and_where_it_was_asked_to() -> None:
    models = replace(fake_models(), providers=("cuda", "cpu"))
    analyser = PipelineAnalyser(identity=ENGINE, models=models, report=DEFAULT_REPORT)

    told = [(one.name, one.sha256, one.asked, one.provider) for one in analyser.networks]

    assert told == [(use.name, use.sha256, "cuda", "cpu") for use in models.uses]
    assert len(told) >= 2


def test_what_a_site_wants_of_doubted_levels_overrules_the_profile() -> None:
    as_it_is = profile_for(request(SHIPPED_MODELS))
    strict = profile_for(
        replace(request(SHIPPED_MODELS), uncertain_level="reject", without_level="reject")
    )

    assert (as_it_is.uncertain_level, as_it_is.without_level) == ("flag", "organs")
    assert (strict.uncertain_level, strict.without_level) == ("reject", "reject")
    assert strict.content_hash != as_it_is.content_hash


def test_every_network_has_run_before_the_first_series(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(
        pipeline_analyser,
        "warm_up",
        lambda predictors: ran.extend(one.manifest.name for one in predictors),
    )

    load(request(SHIPPED_MODELS, "l3-small"))

    assert ran == ["l3-level", "l3-tissue"]
