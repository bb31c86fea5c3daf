"""Tissues at the true L3: the truth against itself is perfect, a wrong answer is as wrong as it is."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from inference.domain.analysis_profile import HuWindows
from inference.domain.labelmap import TISSUES
from tests.unit.inference.fake_predictors import FakePredictor, Float, make_manifest
from tests.unit.training.templates.tiny_torso import tiny_template
from training.painted_evaluation.cases import FIRST_SEED, Part, make_case, order_of
from training.painted_evaluation.score_tissue import (
    OFF_RIBS,
    l3_slices,
    tissue_scores,
    true_tissues,
)
from training.synthetic.labels import Tissue
from training.templates.case import PaintedCase

LABELS = ("background", "skeletal_muscle", "subcutaneous_fat", "visceral_fat")


@lru_cache(maxsize=1)
def made() -> PaintedCase:
    order = order_of(FIRST_SEED + 3, ["tiny"], frozenset({Part.TISSUE}), 200_000)
    return make_case(order, tiny_template()).painted


def network(compartment: int) -> FakePredictor:
    """Calls every voxel the same."""
    manifest = make_manifest("l3-tissue", "NCYX", (1, 1, 320, 320), LABELS)
    manifest = replace(manifest, input=replace(manifest.input, spacing_mm=(1.6, 1.6)))

    def logits(batch: Float) -> Float:
        answer = np.zeros((batch.shape[0], 4, 320, 320), np.float32)
        answer[:, compartment] = 5.0
        return answer

    return FakePredictor(manifest, logits)


def test_the_slices_are_those_of_the_true_body() -> None:
    case = made()
    z = case.grid.axis_mm(0)[l3_slices(case)]
    low, high = case.patient.l3_extent_mm
    half = case.grid.spacing_mm[0] / 2
    assert z[0] - half <= low < z[0] + half
    assert z[-1] - half < high <= z[-1] + half


def test_a_network_that_calls_everything_muscle_finds_all_muscle_and_more() -> None:
    case = made()
    scores = tissue_scores(case, network(1), HuWindows(), {})
    slices = l3_slices(case)
    true = true_tissues(case, slices, HuWindows())
    assert (true.labels[slices] == 1).any()

    muscle = scores["skeletal_muscle"]
    assert 0.0 < muscle.dice < 1.0
    assert muscle.area_percent is not None
    assert muscle.area_percent > 0
    assert scores["subcutaneous_fat"].dice == 0.0
    assert scores["subcutaneous_fat"].area_percent == pytest.approx(-100.0)


def test_a_perfect_network_scores_one() -> None:
    case = made()
    hu = np.full(case.volume.shape, 50, np.int16)
    labels = np.full(case.volume.shape, Tissue.PSOAS, np.uint8)
    muscle_only = replace(
        case,
        tissue_labels=labels,
        volume=replace(case.volume, hu=hu),
    )
    scores = tissue_scores(muscle_only, network(1), HuWindows(), {"skeletal_muscle": 100.0})

    assert scores["skeletal_muscle"].dice == 1.0
    assert scores["skeletal_muscle"].area_percent == 0.0
    _, row_mm, column_mm = case.volume.spacing_mm
    area_cm2 = hu.shape[1] * hu.shape[2] * row_mm * column_mm / 100
    reported = scores["skeletal_muscle"].reported_percent
    assert reported == pytest.approx(100 * (100.0 / area_cm2 - 1))


def test_off_the_ribs_only_what_lies_there_counts() -> None:
    """One half is muscle between ribs and found, the other is fat and called muscle."""
    case = made()
    hu = np.full(case.volume.shape, 50, np.int16)
    labels = np.full(case.volume.shape, Tissue.VISCERAL_FAT, np.uint8)
    half = labels.shape[2] // 2
    labels[:, :, :half] = Tissue.INTERCOSTAL
    half_ribs = replace(case, tissue_labels=labels, volume=replace(case.volume, hu=hu))
    scores = tissue_scores(half_ribs, network(1), HuWindows(), {})

    assert set(scores) == {*(s.value for s in TISSUES), OFF_RIBS}
    assert scores["skeletal_muscle"].dice == pytest.approx(2 * half / (half + labels.shape[2]))
    assert scores[OFF_RIBS].dice == 0.0
    assert scores[OFF_RIBS].area_percent is None
