"""Geometry and painting give the same in torch as in numpy."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.unit.training.templates.tiny_torso import tiny_template
from training.synthetic.torso import Grid
from training.templates.case import grid_for
from training.templates.geometry import label_map
from training.templates.painter import paint, painted
from training.templates.patient import patient_of
from training.templates.scan import Scan, sample_scan
from training.templates.spine_plan import VARIANTS
from training.torch_arrays import TorchArrays

KIT = TorchArrays(torch.device("cpu"))


def silent(scan: Scan) -> Scan:
    """Without noise, whose numbers differ between the two."""
    return replace(scan, acquisition=replace(scan.acquisition, noise_hu=0.0))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_patient_is_the_same_in_torch(seed: int) -> None:
    patient = patient_of(tiny_template(), seed, VARIANTS)
    grid = grid_for(patient.reach_mm, (6.0, 5.0, 5.0), (80, 110), np.random.default_rng(0))

    ours = label_map(patient, grid, with_table=True)
    theirs = KIT.get(label_map(patient, grid, KIT, with_table=True))

    assert (ours != theirs).mean() < 1e-3


def test_paint_is_the_same_in_torch() -> None:
    patient = patient_of(tiny_template(), 5, VARIANTS)
    grid = grid_for(patient.reach_mm, (6.0, 5.0, 5.0), (80, 110), np.random.default_rng(0))
    scan = replace(silent(sample_scan(np.random.default_rng(5))), sharpening=0.5, coarse_mm=2.0)
    labels = label_map(patient, grid)

    ours = painted([labels, labels], scan, grid)
    theirs = KIT.get(paint([KIT.put(labels), KIT.put(labels)], scan, grid, KIT))

    differ = np.abs(ours - theirs)
    assert np.percentile(differ, 99.5) <= 1.0


def test_noise_in_torch_follows_its_seed() -> None:
    grid = Grid(shape=(4, 60, 60), spacing_mm=(3.0, 1.0, 1.0), origin_lps_mm=(150, 150, 0))
    scan = sample_scan(np.random.default_rng(1))
    labels = KIT.zeros(grid.shape)

    other = replace(scan, seed=scan.seed + 1)

    first, again, different = (paint([labels], s, grid, KIT) for s in (scan, scan, other))

    assert torch.equal(first, again)
    assert not torch.equal(first, different)
    assert float(first.float().std()) > 0
