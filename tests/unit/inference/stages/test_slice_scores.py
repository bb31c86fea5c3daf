"""From the scores of single slices to one place, and what is said of it."""

from dataclasses import replace

import numpy as np
import pytest

from inference.domain.level_outcome import LevelOutcome
from inference.domain.volume import Volume
from inference.stages.decide_by_slices import SINGLE_SLICES, decide_by_slices
from inference.stages.grids import Float, PlaneGrid
from inference.stages.slice_scores import (
    chosen_slice,
    scored_slices,
    slice_planes,
    slice_probabilities,
)
from tests.unit.inference.fake_predictors import FakePredictor, make_manifest

Z_MM = np.arange(0, 300, 2.5, dtype=np.float32)


def body(middle_mm: float, height: float = 1.0) -> Float:
    """As a good network scores: all slices within a centimetre of the middle."""
    return np.where(np.abs(Z_MM - middle_mm) <= 10, height, 0.0).astype(np.float32)


def field(low_mm: float = 0.0, slices: int = 120, step_mm: float = 2.5) -> Volume:
    # Columns of the affine follow slice, row, column of a canonical volume.
    affine = np.array(
        [[0, 0, 2.0, 0], [0, 2.0, 0, 0], [step_mm, 0, 0, low_mm], [0, 0, 0, 1]], np.float64
    )
    hu = np.full((slices, 40, 40), -1000, np.int16)
    hu[:, 8:24, 12:36] = 40
    return Volume(hu=hu, affine_lps=affine)


def test_the_middle_of_what_looks_like_l3_is_chosen() -> None:
    choice = chosen_slice(body(120.0), Z_MM)

    assert choice.z_mm == pytest.approx(120.0)
    assert choice.confidence > 0.9
    assert choice.rival_peak < 0.05


def test_a_lone_slice_that_no_neighbour_agrees_with_is_not_followed() -> None:
    scores = body(120.0, 0.8)
    scores[80] = 1.0

    assert chosen_slice(scores, Z_MM).z_mm == pytest.approx(120.0)


def test_the_order_of_the_slices_does_not_matter() -> None:
    scores = np.maximum(body(120.0, 0.8), body(170.0, 0.1))
    turned = chosen_slice(scores[::-1].copy(), Z_MM[::-1].copy())

    assert turned == chosen_slice(scores, Z_MM)


def test_a_second_place_lowers_the_confidence_and_makes_the_level_uncertain() -> None:
    choice = chosen_slice(np.maximum(body(120.0), body(155.0, 0.7)), Z_MM)
    found = decide_by_slices(choice, field())

    assert choice.confidence < 0.7
    assert found.outcome is LevelOutcome.UNCERTAIN
    assert "35 mm above looks like L3, too" in found.reasons[0].replace("36 mm", "35 mm")


@pytest.mark.parametrize(
    ("height", "outcome"),
    [
        (1.0, LevelOutcome.FOUND),
        (0.4, LevelOutcome.UNCERTAIN),
        (0.1, LevelOutcome.NOT_IN_FIELD),
    ],
)
def test_what_hardly_looks_like_l3_is_doubted_or_absent(
    height: float, outcome: LevelOutcome
) -> None:
    found = decide_by_slices(chosen_slice(body(120.0, height), Z_MM), field())

    assert found.outcome is outcome
    assert SINGLE_SLICES in found.caveats
    assert bool(found.reasons) == (outcome is not LevelOutcome.FOUND)


def test_a_body_cut_by_the_field_is_doubted() -> None:
    found = decide_by_slices(chosen_slice(body(4.0), Z_MM), field())

    assert found.outcome is LevelOutcome.UNCERTAIN
    assert any("cut by the edge" in why for why in found.reasons)


def test_thin_slices_are_passed_over_and_thick_ones_are_not() -> None:
    assert np.diff(scored_slices(field(step_mm=0.8))).tolist()[0] == 3
    assert len(scored_slices(field(step_mm=5.0))) == 120


def test_planes_are_centred_on_the_body() -> None:
    plane = slice_planes(field(), [3], PlaneGrid((32, 32), (2.0, 2.0)))[0]

    rows, columns = np.flatnonzero((plane > 0).any(1)), np.flatnonzero((plane > 0).any(0))
    assert rows.mean() == pytest.approx(15.5, abs=0.6)
    assert columns.mean() == pytest.approx(15.5, abs=0.6)
    assert (len(rows), len(columns)) == (16, 24)


def marked(l3_mm: dict[float, float], slices: int = 300, step_mm: float = 1.0) -> Volume:
    """A scan whose slices within a centimetre of a place are as dense as L3 is likely there, in hundredths."""
    volume = field(slices=slices, step_mm=step_mm)
    z_mm = np.arange(slices) * step_mm
    hu = volume.hu.copy()
    for place, likely in l3_mm.items():
        hu[np.abs(z_mm - place) <= 10, 8:24, 12:36] = round(100 * likely)
    return replace(volume, hu=hu)


def reads_the_mark() -> FakePredictor:
    """The middle of a slice in hundredths of HU is the probability; bodies of 40 HU and less are none."""
    manifest = make_manifest("l3-slice", "NCYX", (1, 1, 16, 16), ("L3",))
    window = replace(manifest.input, hu_window=(0.0, 1000.0), spacing_mm=(2.0, 2.0))

    def logits(batch: Float) -> Float:
        hu = 1000 * batch[:, 0, 8, 8]
        likely = np.clip(np.where(hu > 41, hu, 1) / 100, 0.001, 0.999)
        found: Float = np.log(likely / (1 - likely)).astype(np.float32)[:, None]
        return found

    return FakePredictor(replace(manifest, input=window), logits)


@pytest.mark.parametrize(
    "places",
    [
        {120.0: 1.0},
        {44.0: 0.9},
        {3.0: 0.8},
        {298.0: 0.8},
        {304.0: 0.9},
        {120.0: 0.9, 180.0: 0.7},
        {120.0: 0.5},
    ],
)
@pytest.mark.parametrize("step_mm", [1.0, 2.0, 5.0])
def test_few_looks_choose_as_a_look_at_every_slice(
    places: dict[float, float], step_mm: float
) -> None:
    volume = marked(places, round(300 / step_mm), step_mm)
    predictor = reads_the_mark()

    scores, z_mm = slice_probabilities(volume, predictor)

    middle = volume.hu[scored_slices(volume), 16, 24]
    every = np.clip(np.where(middle > 41, middle, 1) / 100, 0.001, 0.999).astype(np.float32)
    looks = sum(shape[0] for shape in predictor.shapes)
    found, wanted = chosen_slice(scores, z_mm), chosen_slice(every, z_mm)
    assert found.z_mm == pytest.approx(wanted.z_mm, abs=0.1)
    assert found.peak == pytest.approx(wanted.peak, abs=0.01)
    assert found.confidence == pytest.approx(wanted.confidence, abs=0.02)
    assert found.rival_peak == pytest.approx(wanted.rival_peak, abs=0.02)
    assert looks < len(scores) * (0.85 if step_mm == 5.0 else 0.65)


def test_one_slice_is_a_scan_all_the_same() -> None:
    volume = marked({0.0: 0.9}, slices=1)

    scores, z_mm = slice_probabilities(volume, reads_the_mark())

    assert scores.tolist() == pytest.approx([0.9], abs=0.01)
    assert z_mm.tolist() == [0.0]
