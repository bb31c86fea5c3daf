"""One scan of a patient: what must agree within it."""

import numpy as np

from training.synthetic.attenuation import ENHANCEMENT_HU, PLAIN_HU, Phase
from training.synthetic.labels import Tissue
from training.templates.scan import FLOWS_ON, sample_scan


def test_a_branch_is_as_bright_as_the_trunk_whose_blood_it_carries() -> None:
    scans = [sample_scan(np.random.default_rng(seed)) for seed in range(20)]

    assert {scan.acquisition.phase for scan in scans} == set(Phase)
    for scan in scans:
        hu = scan.acquisition.mean_hu
        assert all(hu[branch] == hu[trunk] for branch, trunk in FLOWS_ON.items())


def test_every_tissue_has_a_place_and_a_brightness() -> None:
    assert sorted(Tissue) == list(range(len(Tissue)))
    assert set(PLAIN_HU) == set(Tissue)
    assert set(FLOWS_ON) | set(FLOWS_ON.values()) <= set(ENHANCEMENT_HU)
