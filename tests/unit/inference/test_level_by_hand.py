"""The whole analysis with L3 set by hand: it is measured there, said who set it, and no model vouches for it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from inference.dicom.read_sr import group_items, measurements_from_sr, statements_from_sr
from inference.domain.entered_level import EnteredLevel
from inference.domain.errors import LevelNotFound, LevelNotInSeries
from inference.pipeline import AnalysisFiles, Models, analyse_folder, silent
from inference.stages.projections import LANDMARKS, ROWS
from tests.fuzz.base_files import base_series
from tests.fuzz.target import IDENTITY, fake_models
from tests.unit.inference.fake_predictors import FakePredictor

SAID = "L3 set by hand by otto at 2026-01-02 03:04 UTC"
AT_S = 1767323045.0


def blind_models() -> Models:
    """Networks that see no L3 anywhere."""
    models = fake_models()
    nowhere = np.full((1, len(LANDMARKS), ROWS), -9.0, np.float32)
    blind = FakePredictor(models.level.manifest, lambda batch: nowhere.repeat(len(batch), axis=0))
    return replace(models, level=blind)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    series = tmp_path / "ct"
    series.mkdir()
    for number, content in enumerate(base_series()[0].files):
        (series / f"{number}.dcm").write_bytes(content)
    return series


def analysed(folder: Path, models: Models, **named: Any) -> AnalysisFiles:
    level = EnteredLevel(entered_by="otto", entered_at=AT_S, **named) if named else None
    identity = replace(IDENTITY, entered_level=level)
    return analyse_folder(folder, folder.parent / "out", models, identity, silent)


def test_it_is_measured_where_the_person_says(folder: Path) -> None:
    own = analysed(folder, fake_models()).report.level
    set_by_hand = analysed(folder, fake_models(), z_mm=36.0).report

    level = set_by_hand.level
    assert own is not None
    assert level is not None
    assert (own.slice_index, own.source) == (5, "")
    assert (level.slice_index, level.z_mm, level.confidence) == (7, 35.0, None)
    assert level.source == SAID
    assert set_by_hand.flags[0] == SAID


def test_a_study_in_which_no_l3_was_found_becomes_measurable(folder: Path) -> None:
    assert analysed(folder, blind_models()).report.level is None
    with pytest.raises(LevelNotFound):
        analysed(folder, replace(blind_models(), organs=None))

    report = analysed(folder, blind_models(), instance_number=4).report

    assert report.level is not None
    # Numbered from the head, as scanners do.
    assert report.level.slice_index == 6
    assert report.body_composition
    assert "the network alone found no L3" in report.flags


def test_every_document_says_who_and_none_gives_a_confidence(folder: Path) -> None:
    files = analysed(folder, fake_models(), z_mm=36.0).files

    shown = json.loads(files["report"].read_text())
    document = dcmread(files["sr"])
    at_l3 = [
        child.ConceptNameCodeSequence[0].CodeValue
        for group, child in group_items(document)
        if group == "l3"
    ]
    assert (shown["level"]["source"], shown["level"]["confidence"]) == (SAID, None)
    assert ("l3", "LEVEL_SOURCE", SAID) in [s[:3] for s in statements_from_sr(document)]
    assert "LEVEL_CONFIDENCE" not in {m.concept for m in measurements_from_sr(document)}
    # TID 4019: no algorithm is named where none chose the level.
    assert not {"111001", "111003"} & set(at_l3)


def test_the_network_still_vouches_for_its_own_level(folder: Path) -> None:
    document = dcmread(analysed(folder, fake_models()).files["sr"])

    assert "LEVEL_CONFIDENCE" in {m.concept for m in measurements_from_sr(document)}
    assert "LEVEL_SOURCE" not in {s.concept for s in statements_from_sr(document)}


def test_a_place_outside_the_series_is_refused_and_leaves_nothing(folder: Path) -> None:
    with pytest.raises(LevelNotInSeries, match=r"wanted -2\.5 to 47\.5 mm"):
        analysed(folder, fake_models(), z_mm=500.0)

    assert not (folder.parent / "out").exists()
