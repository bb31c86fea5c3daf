"""Doubts about the slice at L3, and the rules on its tissues, in the result of a whole analysis."""

from dataclasses import replace

import numpy as np
import pytest

from inference.domain.labelmap import Structure
from inference.domain.measurement import Patient, Quantity, Report
from inference.domain.volume import Volume, affine_from_axes
from inference.measure_findings import Facts
from inference.pipeline import Stopwatch, analyse_volume, silent
from inference.stages.measure import value_of
from tests.fuzz.target import fake_models
from tests.synthetic_series import AXIAL

PIXEL_MM = 6.0


def body() -> Volume:
    """A block of fat with muscle in the middle and beside it, in air; L3 in the middle."""
    hu = np.full((10, 40, 56), -1000, np.int16)
    hu[:, 4:-4, 4:28] = -90
    hu[:, 8:-8, 8:24] = 90
    affine = affine_from_axes((-160.0, -120.0, 0.0), AXIAL, (5.0, PIXEL_MM, PIXEL_MM))
    return Volume(hu=hu, affine_lps=affine)


def report_of(volume: Volume, age_years: float | None = None) -> Report:
    models = replace(fake_models(), organs=None)
    facts = Facts(patient=Patient(sex="M", age_years=age_years), contrast="unknown")
    return analyse_volume(volume, facts, models, Stopwatch(silent)).report


def muscle_cm2(report: Report) -> float:
    return value_of(report.body_composition, Quantity.AREA, Structure.SKELETAL_MUSCLE) or 0.0


def test_metal_in_a_slice_of_l3_is_told() -> None:
    volume = body()
    volume.hu[4, 20, 16] = 3000

    assert any("metal near L3" in flag for flag in report_of(volume).flags)
    assert not any("metal" in flag for flag in report_of(body()).flags)


def test_neither_a_thing_beside_the_trunk_nor_a_speck_in_its_fat_is_muscle() -> None:
    volume = body()
    volume.hu[:, 12:24, 34:44] = 90
    volume.hu[:, 6, 6] = 90

    assert muscle_cm2(report_of(volume)) == pytest.approx(muscle_cm2(report_of(body())), abs=0.05)


def test_an_unusual_area_is_told() -> None:
    small = body()
    small.hu[:, 8:-8, 12:24] = -90

    (flag,) = [flag for flag in report_of(small, age_years=50.0).flags if "unusual" in flag]

    assert "outside 60 to 298 cm²" in flag


def test_what_is_on_trial_is_named_in_the_report() -> None:
    assert report_of(body()).experimental == (Structure.INTERMUSCULAR_FAT,)
