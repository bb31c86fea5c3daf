"""Measuring on true masks agrees with the analytic truth: areas and volumes within 2 %, mean HU within 1 HU."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from inference.domain.analysis_profile import HuWindows
from inference.domain.labelmap import TISSUES, Structure
from inference.domain.measurement import Level, Measurement, Quantity
from inference.stages.measure import measure_body_composition, value_of
from inference.stages.segment_tissue import tissues_from_compartments
from training.synthetic.case import explicit_field, make_case
from training.synthetic.labels import COMPARTMENT_LUT
from training.synthetic.painting import plain_acquisition
from training.synthetic.truth import Truth, analytic_truth

NOISE_HU = 12.0
SMALLEST_CM2 = 3.0
"""Of less tissue, a percentage measures the pixel grid."""
SEEDS = (3, 21)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One case, measured, beside its truth."""

    numbers: tuple[Measurement, ...]
    truth: Truth


@cache
def measured(seed: int) -> Measured:
    case = make_case(
        seed,
        spacing_mm=(1.5, 0.8, 0.8),
        shape_rc=(560, 560),
        field=explicit_field(-24.0, 24.0),
        acquisition=plain_acquisition(NOISE_HU),
    )
    truth = analytic_truth(case.anatomy, case.acquisition)
    z0, step = case.volume.affine_lps[2, 3], case.volume.spacing_mm[0]
    level = Level(
        slice_index=round((truth.l3_z_mm - z0) / step),
        z_mm=truth.l3_z_mm,
        confidence=1.0,
        extent_mm=truth.l3_extent_mm,
    )
    compartments = COMPARTMENT_LUT[case.tissue_labels]
    tissues = tissues_from_compartments(case.volume, compartments, HuWindows())
    numbers = measure_body_composition(case.volume, tissues, level, HuWindows())
    return Measured(numbers=numbers, truth=truth)


@pytest.mark.parametrize("structure", TISSUES, ids=str)
@pytest.mark.parametrize("seed", SEEDS)
def test_areas_and_volumes_are_within_two_percent(seed: int, structure: Structure) -> None:
    case = measured(seed)
    expected = case.truth.tissues[structure]
    if expected.area_cm2 < SMALLEST_CM2:
        pytest.skip(f"{expected.area_cm2:.1f} cm² of {structure} is too little to compare")

    area = value_of(case.numbers, Quantity.AREA, structure)
    volume = value_of(case.numbers, Quantity.VOLUME, structure)

    assert area == pytest.approx(expected.area_cm2, rel=0.02)
    assert volume == pytest.approx(expected.volume_ml, rel=0.02)


@pytest.mark.parametrize("structure", TISSUES, ids=str)
@pytest.mark.parametrize("seed", SEEDS)
def test_mean_hu_is_the_window_truncated_expectation(seed: int, structure: Structure) -> None:
    case = measured(seed)

    found = value_of(case.numbers, Quantity.MEAN_HU, structure)

    assert found == pytest.approx(case.truth.tissues[structure].mean_hu, abs=1.0)


@pytest.mark.parametrize("seed", SEEDS)
def test_muscle_quality_follows_the_truth(seed: int) -> None:
    case = measured(seed)
    muscle = Structure.SKELETAL_MUSCLE

    # A tail of the noise: about a thousand voxels, so chance alone moves it by 3 %.
    low = value_of(case.numbers, Quantity.LOW_DENSITY_AREA, muscle)
    normal = value_of(case.numbers, Quantity.NORMAL_DENSITY_AREA, muscle)

    assert low == pytest.approx(case.truth.low_density_muscle_cm2, rel=0.1)
    assert normal == pytest.approx(case.truth.normal_density_muscle_cm2, rel=0.02)


def test_the_truth_is_not_trivial() -> None:
    areas = [measured(seed).truth.tissues[Structure.SKELETAL_MUSCLE].area_cm2 for seed in SEEDS]

    assert min(areas) > 50
    assert np.ptp(areas) > 1
