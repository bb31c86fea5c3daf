"""A network that ran elsewhere than asked for first: refused, or said in everything that leaves the node."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread

from inference.dicom.read_sr import statements_from_sr
from inference.domain.analysis_profile import load_profile
from inference.domain.errors import ProviderUnavailable
from inference.domain.measurement import ModelUse
from inference.domain.refiner import REFINER_TASK
from inference.engine.acceleration import Acceleration
from inference.engine.providers import DEFAULT_PROVIDERS, Downgrade
from inference.measure_findings import Asked
from inference.page.words import Words
from inference.pipeline import analyse_folder, load_models, silent
from tests.fuzz.target import IDENTITY, fake_models
from tests.synthetic_series import save_all
from training.synthetic.case import explicit_field, make_case
from training.synthetic.series import SeriesHeader, build_datasets

FLAG = "computed on cpu although cuda was asked for"
HEADER = SeriesHeader(
    series_number=1,
    series_description="axial",
    slice_thickness_mm=5.0,
    seed=3,
    study_description="",
)


def test_it_stands_in_report_structured_report_and_notes_of_the_picture_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []

    def noted(_: Words, english: str) -> str:
        drawn.append(english)
        return english

    monkeypatch.setattr(Words, "sentence", noted)
    volume = make_case(
        5, spacing_mm=(5.0, 4.0, 4.0), shape_rc=(96, 128), field=explicit_field(-150.0, 150.0)
    ).volume
    save_all(build_datasets(volume, HEADER), tmp_path / "ct")
    models = replace(fake_models(), providers=("cuda", "cpu"))

    made = analyse_folder(tmp_path / "ct", tmp_path / "out", models, IDENTITY, silent)

    told = json.loads(made.files["report"].read_text(encoding="utf-8"))
    said = [s.value for s in statements_from_sr(dcmread(made.files["sr"])) if s.concept == "FLAG"]
    assert FLAG in told["flags"]
    assert FLAG in said
    assert FLAG in drawn
    assert {use["provider"] for use in told["models"]} == {"cpu"}


def test_a_site_that_wants_none_starts_no_engine() -> None:
    strict = Acceleration(downgrade=Downgrade.FAIL)

    with pytest.raises(ProviderUnavailable, match="l3-level on cpu; wanted it on cuda"):
        load_models(load_profile("l3-small"), ("cuda", "cpu"), acceleration=strict)


def test_by_default_it_runs_on_what_is_there() -> None:
    models = load_models(load_profile("l3-small"), ("cuda", "cpu"))

    assert models.asked.downgrades == (FLAG,)


def test_the_default_is_openvino_and_no_downgrade() -> None:
    models = load_models(load_profile("l3-small"))

    assert models.providers == DEFAULT_PROVIDERS
    assert {use.provider for use in models.uses} == {"openvino"}
    assert models.asked.downgrades == ()


def test_a_machine_without_openvino_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.engine.onnx_session.is_installed", lambda: False)

    models = load_models(load_profile("l3-small"))

    assert models.asked.downgrades == ("computed on cpu although openvino was asked for",)


def test_a_network_that_only_onnx_runtime_runs_is_no_downgrade_from_openvino() -> None:
    uses = [
        ModelUse(name=task, version="1", sha256="", provider="cpu", task=task)
        for task in ("organs", REFINER_TASK)
    ]
    profile = load_profile("l3-small")

    def downgrades(use: ModelUse, *providers: str) -> tuple[str, ...]:
        return Asked(profile=profile, uses=(use,), providers=providers).downgrades

    organs, refiner = uses
    assert downgrades(refiner, "openvino", "cpu") == ()
    assert downgrades(organs, "openvino", "cpu") != ()
    assert downgrades(refiner, "cuda", "openvino", "cpu") == (FLAG,)
