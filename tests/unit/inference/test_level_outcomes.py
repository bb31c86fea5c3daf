"""From folder to results: a level that is found, doubted or absent, and what is delivered then."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from inference.dicom.read_sr import statements_from_sr
from inference.domain.analysis_profile import UncertainLevel, WithoutLevel
from inference.domain.errors import LevelNotFound, LevelUncertain
from inference.domain.level_outcome import LevelOutcome
from inference.domain.volume import Volume, affine_from_axes
from inference.pipeline import AnalysisFiles, Models, analyse_folder, silent
from inference.stages.facing import TURNED
from inference.stages.projections import LANDMARKS, ROWS
from inference.stages.spine_volume import TRUNK_SHAPE
from tests.fuzz.target import IDENTITY, fake_models
from tests.synthetic_series import save_all
from tests.synthetic_study import AXIAL
from tests.unit.inference.fake_predictors import FakePredictor, Float, make_manifest
from tests.unit.inference.stages.drawn_spines import spine_mm
from training.synthetic.series import SeriesHeader, build_datasets

STEP_MM, SLICES = 6.0, 60
LOW_MM = 100.0
IN_FIELD_MM, BELOW_MM = 280.0, 20.0


def _seen(l3_mm: float, count: int, row_mm: float) -> Callable[[Float], Float]:
    """A network that sees a spine whose L3 lies there."""
    places = spine_mm(l3_mm) | {"L3_lower": l3_mm - 14, "L3_upper": l3_mm + 14}
    rows_mm = LOW_MM - STEP_MM / 2 + row_mm * (np.arange(count) + 0.5)
    bumps = [0.95 * np.exp(-0.5 * ((rows_mm - places[name]) / 6) ** 2) for name in LANDMARKS]
    seen = np.maximum(np.array(bumps, np.float32), 0.004)
    logits = np.log(seen / (1 - seen))
    return lambda batch: np.repeat(logits[None], len(batch), axis=0)


def _models(*l3_mm: float, spine_mm_: float | None = None) -> Models:
    """Networks whose first opinion on series after series is that; the second opinion is always the same."""
    answers = [_seen(place, ROWS, 3.0) for place in l3_mm]

    def in_turn(batch: Float) -> Float:
        return (answers.pop(0) if len(answers) > 1 else answers[0])(batch)

    made = fake_models()
    level = FakePredictor(made.level.manifest, in_turn)
    if spine_mm_ is None:
        return replace(made, level=level)
    manifest = make_manifest("l3-spine", "NCZYX", (1, 1, *TRUNK_SHAPE), tuple(LANDMARKS))
    spine = FakePredictor(manifest, _seen(spine_mm_, TRUNK_SHAPE[0], 4.0))
    return replace(made, level=level, spine=spine)


def _folder(folder: Path, numbers: Sequence[int] = (1,)) -> Path:
    for number in numbers:
        affine = affine_from_axes((-150.0, -150.0, LOW_MM), AXIAL, (STEP_MM, 6.0, 6.0))
        hu = np.full((SLICES, 50, 50), -1000, np.int16)
        hu[:, 5:45, 5:45] = 80
        header = SeriesHeader(
            series_number=number,
            series_description=f"axial {number}",
            slice_thickness_mm=STEP_MM,
            seed=7,
            study_description="",
        )
        save_all(build_datasets(Volume(hu=hu, affine_lps=affine), header), folder / str(number))
    return folder


def _analysed(tmp_path: Path, models: Models, numbers: Sequence[int] = (1,)) -> AnalysisFiles:
    ct = _folder(tmp_path / "ct", numbers)
    return analyse_folder(ct, tmp_path / "out", models, IDENTITY, silent)


def _asking(models: Models, **changes: object) -> Models:
    return replace(models, profile=replace(models.profile, **changes))  # type: ignore[arg-type]


def _said(files: AnalysisFiles, concept: str) -> list[str]:
    document = dcmread(files.files["sr"])
    return [s.value for s in statements_from_sr(document) if s.concept == concept]


def test_two_opinions_that_agree_are_found(tmp_path: Path) -> None:
    made = _analysed(tmp_path, _models(IN_FIELD_MM, spine_mm_=IN_FIELD_MM))

    level = made.report.level
    assert level is not None
    assert level.z_mm == pytest.approx(IN_FIELD_MM, abs=2)
    assert made.report.level_outcome is LevelOutcome.FOUND
    assert _said(made, "LEVEL_OUTCOME") == ["L3_FOUND"]


def test_wrong_by_a_vertebra_is_never_silent(tmp_path: Path) -> None:
    """One network counts one vertebra off: the doubt stands in report, SR and notes of the page, whoever is right."""
    made = _analysed(tmp_path, _models(IN_FIELD_MM, spine_mm_=IN_FIELD_MM + 34.0))

    why = "the two networks place it 34 mm apart"
    shown = json.loads(made.files["report"].read_text(encoding="utf-8"))
    assert (shown["level_outcome"], why in shown["level_reasons"]) == ("uncertain", True)
    assert f"L3 uncertain: {why}" in shown["flags"]
    assert _said(made, "LEVEL_OUTCOME") == ["82334004"]
    assert why in _said(made, "LEVEL_REASON")
    assert f"L3 uncertain: {why}" in _said(made, "FLAG")


def test_a_profile_may_want_no_level_that_is_doubted(tmp_path: Path) -> None:
    models = _models(IN_FIELD_MM, spine_mm_=IN_FIELD_MM + 34.0)
    strict = _asking(
        models, uncertain_level=UncertainLevel.REJECT, without_level=WithoutLevel.REJECT
    )

    with pytest.raises(LevelUncertain) as refusal:
        _analysed(tmp_path, strict)

    assert refusal.value.reason == "uncertain-l3"
    assert "34 mm apart" in refusal.value.found


def test_where_a_doubted_level_is_refused_organs_are_delivered_all_the_same(
    tmp_path: Path,
) -> None:
    models = _models(IN_FIELD_MM, spine_mm_=IN_FIELD_MM + 34.0)

    made = _analysed(tmp_path, _asking(models, uncertain_level=UncertainLevel.REJECT))

    assert made.report.level is None
    assert made.report.body_composition == ()
    assert made.report.level_outcome is LevelOutcome.UNCERTAIN
    assert any("nothing was measured there" in flag for flag in made.report.flags)


def test_organs_are_delivered_without_l3_and_that_is_said(tmp_path: Path) -> None:
    made = _analysed(tmp_path, _models(BELOW_MM))

    assert made.report.level is None
    assert made.report.level_outcome is LevelOutcome.NOT_IN_FIELD
    assert made.report.flags[0].startswith("L3 is not in the field of view")
    assert [organ.structure.value for organ in made.report.organs] == ["liver"]
    assert set(made.files) == {
        "seg-organs", "sr", "report", "page", "picture-page", "picture-coronal",
    }  # fmt: skip
    assert _said(made, "LEVEL_OUTCOME") == ["L3_NOT_IN_FIELD"]


@pytest.mark.parametrize("what", ["setting", "no organ network", "another series may show it"])
def test_without_l3_a_study_is_rejected_where_no_organs_are_wanted(
    what: str, tmp_path: Path
) -> None:
    models = _models(BELOW_MM)
    identity = replace(IDENTITY, may_lack_level=what != "another series may show it")
    if what == "setting":
        models = _asking(models, without_level=WithoutLevel.REJECT)
    elif what == "no organ network":
        models = replace(models, organs=None)

    with pytest.raises(LevelNotFound) as refusal:
        analyse_folder(_folder(tmp_path / "ct"), tmp_path / "out", models, identity, silent)

    assert refusal.value.reason == "no-l3"


def test_neither_l3_nor_organs_is_a_rejection(tmp_path: Path) -> None:
    models = _models(BELOW_MM)
    assert models.organs is not None
    blind = FakePredictor(
        models.organs.manifest,
        lambda batch: np.stack([batch[:, 0] * 0 + 1, batch[:, 0] * 0, batch[:, 0] * 0], axis=1),
    )

    with pytest.raises(LevelNotFound):
        _analysed(tmp_path, replace(models, organs=blind))


def test_a_series_with_l3_is_preferred_to_one_of_organs_alone(tmp_path: Path) -> None:
    made = _analysed(tmp_path, _models(BELOW_MM, IN_FIELD_MM), numbers=(1, 2))

    assert made.report.level is not None
    outcomes = sorted(row.outcome.value for row in made.report.series_choice)
    assert outcomes == ["chosen", "failed"]


def test_where_no_series_has_l3_the_best_gives_its_organs(tmp_path: Path) -> None:
    made = _analysed(tmp_path, _models(BELOW_MM), numbers=(1, 2))

    assert made.report.level is None
    assert [row.outcome.value for row in made.report.series_choice] == ["chosen", "failed"]
    assert not any("suited better" in flag for flag in made.report.flags)


def test_a_body_turned_against_its_header_is_doubted_in_report_and_sr(tmp_path: Path) -> None:
    affine = affine_from_axes((-150.0, -150.0, LOW_MM), AXIAL, (STEP_MM, 6.0, 6.0))
    hu = np.full((SLICES, 50, 50), -1000, np.int16)
    hu[:, 5:45, 5:45] = 80
    hu[:, 12:18, 22:28] = 400
    header = SeriesHeader(slice_thickness_mm=STEP_MM, seed=7, study_description="")
    save_all(build_datasets(Volume(hu=hu, affine_lps=affine), header), tmp_path / "ct" / "1")

    models = _models(IN_FIELD_MM, spine_mm_=IN_FIELD_MM)
    made = analyse_folder(tmp_path / "ct", tmp_path / "out", models, IDENTITY, silent)

    assert made.report.level_outcome is LevelOutcome.UNCERTAIN
    assert made.report.level_reasons == (TURNED,)
    assert _said(made, "LEVEL_REASON") == [TURNED]
    assert _said(made, "FLAG").count(f"L3 uncertain: {TURNED}") == 1
