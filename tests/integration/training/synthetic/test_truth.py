"""The analytic truth agrees with counting and with sampling."""

from functools import lru_cache

import numpy as np
import pytest

from inference.domain.labelmap import Structure
from training.synthetic.case import SyntheticCase, explicit_field, make_case
from training.synthetic.labels import COMPARTMENT_LUT
from training.synthetic.painting import plain_acquisition
from training.synthetic.truth import (
    WINDOWS_HU,
    Truth,
    analytic_truth,
    organ_truth_ml,
    truncated_normal,
)

NOISE_HU = 12.0


@lru_cache
def case_and_truth() -> tuple[SyntheticCase, Truth]:
    scan = plain_acquisition(NOISE_HU)
    case = make_case(
        21,
        spacing_mm=(1.5, 1.0, 1.0),
        shape_rc=(340, 440),
        field=explicit_field(-18.0, 18.0),
        acquisition=scan,
    )
    return case, analytic_truth(case.anatomy, scan)


def test_areas_and_volumes_agree_with_counted_labels_within_two_percent() -> None:
    case, truth = case_and_truth()
    compartments = COMPARTMENT_LUT[case.tissue_labels]
    z = case.grid.axis_mm(0)
    low, high = truth.l3_extent_mm
    weight = np.clip(np.minimum(z + 0.75, high) - np.maximum(z - 0.75, low), 0, None)
    middle = int(np.argmin(np.abs(z - truth.l3_z_mm)))
    for number in (1, 2, 3):
        mask = compartments == number
        assert mask[middle].sum() / 100 == pytest.approx(
            truth.compartment_area_cm2[number], rel=0.02
        )
        counted_ml = float((mask.sum(axis=(1, 2)) * weight).sum()) / 1000
        assert counted_ml == pytest.approx(truth.compartment_volume_ml[number], rel=0.02)


def test_windowed_tissues_agree_with_a_painted_plain_scan() -> None:
    case, truth = case_and_truth()
    middle = int(np.argmin(np.abs(case.grid.axis_mm(0) - truth.l3_z_mm)))
    hu = case.volume.hu[middle]
    compartments = COMPARTMENT_LUT[case.tissue_labels[middle]]
    for structure, (number, (low, high)) in WINDOWS_HU.items():
        inside = (compartments == number) & (hu >= low) & (hu <= high)
        expected = truth.tissues[structure]
        tolerance = 0.05 if structure is Structure.INTERMUSCULAR_FAT else 0.02
        assert inside.sum() / 100 == pytest.approx(expected.area_cm2, rel=tolerance)
        assert hu[inside].mean() == pytest.approx(expected.mean_hu, abs=1.0)
        assert hu[inside].std() == pytest.approx(expected.sd_hu, abs=1.0)


def test_organ_volumes_do_not_depend_on_the_sampling() -> None:
    case, _ = case_and_truth()
    coarse, fine = (organ_truth_ml(case.anatomy, step_mm=step) for step in (5.0, 3.0))
    for structure in (Structure.LIVER, Structure.KIDNEY_LEFT, Structure.SPLEEN, Structure.STOMACH):
        assert coarse[structure] == pytest.approx(fine[structure], rel=0.04)
        assert fine[structure] > 20


def test_low_and_normal_density_muscle_make_up_the_muscle() -> None:
    _, truth = case_and_truth()
    parts = truth.low_density_muscle_cm2 + truth.normal_density_muscle_cm2
    assert parts == pytest.approx(truth.tissues[Structure.SKELETAL_MUSCLE].area_cm2, rel=1e-6)


@pytest.mark.parametrize(("mean", "sd"), [(48.0, 12.0), (-20.0, 25.0), (148.0, 8.0)])
def test_the_truncated_normal_agrees_with_sampling(mean: float, sd: float) -> None:
    draws = np.rint(np.random.default_rng(5).normal(mean, sd, 400_000))
    inside = draws[(draws >= -29) & (draws <= 150)]
    mass, expected, variance = truncated_normal(mean, sd, (-29.0, 150.0))
    assert mass == pytest.approx(len(inside) / len(draws), abs=0.003)
    assert expected == pytest.approx(inside.mean(), abs=0.15)
    assert np.sqrt(variance) == pytest.approx(inside.std(), abs=0.15)


def test_without_noise_a_tissue_is_all_in_or_all_out() -> None:
    assert truncated_normal(50.0, 0.0, (-29.0, 150.0)) == (1.0, 50.0, 0.0)
    assert truncated_normal(-90.0, 0.0, (-29.0, 150.0))[0] == 0.0


def test_a_volume_within_two_heights_and_the_rest_make_up_the_whole() -> None:
    case, _ = case_and_truth()
    parts = [
        organ_truth_ml(case.anatomy, step_mm=4.0, field_mm=field)[Structure.LIVER]
        for field in ((-1000.0, 90.0), (90.0, 1000.0), (-1000.0, 1000.0))
    ]
    assert parts[0] + parts[1] == pytest.approx(parts[2], rel=0.02)
    assert min(parts) > 100


def test_no_organ_lies_beyond_the_body() -> None:
    case, _ = case_and_truth()
    assert not any(organ_truth_ml(case.anatomy, step_mm=4.0, field_mm=(5000.0, 6000.0)).values())
