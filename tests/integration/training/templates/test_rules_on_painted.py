"""Trunk, noise, cut fields and metal of painted slices are what the painter put there."""

from dataclasses import replace

import numpy as np
import pytest

from inference.stages.slice_quality import cut_share, noise_hu, slice_flags
from inference.stages.trunk import Mask, trunk_in
from tests.unit.training.templates.tiny_torso import tiny_template
from training.synthetic.labels import Tissue
from training.templates.case import PaintedCase, grid_for, scanned
from training.templates.painter import painted
from training.templates.patient import patient_of
from training.templates.scan import sample_scan

STEP_MM = (2.0, 2.0)
SEEDS = (31, 32, 33, 34)


def at_l3(seed: int, noise: float = 12.0, radius_mm: float = 400.0) -> PaintedCase:
    """One slice through L3."""
    patient = patient_of(tiny_template(), seed)
    z_mm = patient.vertebrae["L3"].centre_lps_mm[2]
    scan = sample_scan(np.random.default_rng(seed))
    acquisition = replace(scan.acquisition, noise_hu=noise, subslices=1)
    grid = grid_for((z_mm, z_mm), (3.0, *STEP_MM), (250, 300), np.random.default_rng(seed))
    scan = replace(scan, acquisition=acquisition, field_radius_mm=radius_mm)
    return scanned(patient, scan, grid)


def trunk_of(case: PaintedCase) -> Mask:
    labels = case.tissue_labels[0]
    inside = (labels < Tissue.ARM_MUSCLE) | (labels > Tissue.TABLE_SHELL)
    result: Mask = (labels > Tissue.AIR) & inside
    return result


@pytest.mark.parametrize("seed", SEEDS)
def test_the_trunk_is_that_of_the_labels(seed: int) -> None:
    case = at_l3(seed)

    found, true = trunk_in(case.volume.hu[0], STEP_MM).mask, trunk_of(case)

    assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.985


@pytest.mark.parametrize("noise", [10.0, 25.0])
def test_the_noise_is_that_of_the_painter(noise: float) -> None:
    case = at_l3(31, noise)

    assert noise_hu(case.volume.hu[0], trunk_of(case), STEP_MM) == pytest.approx(noise, rel=0.4)


def test_a_narrow_round_field_cuts_and_a_wide_one_does_not() -> None:
    wide, narrow = at_l3(31), at_l3(31, radius_mm=110.0)
    told = [
        cut_share(case.volume.hu[0], trunk_in(case.volume.hu[0], STEP_MM).mask, STEP_MM)[1]
        for case in (wide, narrow)
    ]

    assert (wide.is_cut, narrow.is_cut) == (False, True)
    assert told[0] == 0.0
    assert told[1] > 0.1


def test_a_screw_is_metal() -> None:
    case = at_l3(31)
    labels = case.tissue_labels.copy()
    body = np.argwhere(labels[0] == Tissue.VERTEBRA_TRABECULAR).mean(axis=0).astype(int)
    labels[0, body[0] - 3 : body[0] + 4, body[1] - 3 : body[1] + 4] = Tissue.METAL

    hu = painted([labels], case.scan, case.grid)[0]

    assert not any("metal" in flag for flag in slice_flags(case.volume.hu[0], [], STEP_MM))
    assert any("metal near L3" in flag for flag in slice_flags(hu, [], STEP_MM))
