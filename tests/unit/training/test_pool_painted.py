"""What is painted for networks: mostly without contrast, and the middle of a body finer than the whole."""

from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.unit.training.templates.tiny_torso import tiny_template
from training import pool_painted
from training.origins import PAINTED
from training.pool_painted import (
    CENTRAL_MIDDLE_MM,
    CENTRAL_SHAPE_RC,
    CENTRAL_STEP_MM,
    SCANS_PER_PATIENT,
    write_central,
    write_painted,
)
from training.samples import TorsoSample
from training.specification import ORGANS
from training.synthetic.anatomy import MOSTLY_PLAIN, TRAINING, Ranges
from training.synthetic.attenuation import Phase
from training.templates.scan import Scan, sample_scan


def plain_share(ranges: Ranges) -> float:
    phases = Counter(
        sample_scan(np.random.default_rng(seed), ranges).acquisition.phase for seed in range(200)
    )
    assert set(phases) == set(Phase)
    return phases[Phase.NONE] / 200


def from_middle_mm(torso: TorsoSample) -> npt.NDArray[np.float64]:
    """Row and column of the first landmark that the patient has."""
    place = torso.landmarks[np.isfinite(torso.landmarks).all(axis=1)][0, 1:]
    middle = (np.array(torso.hu.shape[1:]) - 1) / 2
    return np.asarray((place - middle) * torso.step_mm[1:], np.float64)


def test_more_than_half_of_what_is_learned_from_is_without_contrast() -> None:
    assert 0.45 < plain_share(MOSTLY_PLAIN) < 0.65
    assert 0.2 < plain_share(TRAINING) < 0.4


def test_torsos_are_painted_so_and_the_middle_on_a_finer_grid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Ranges] = []

    def remembered(rng: np.random.Generator, ranges: Ranges = TRAINING) -> Scan:
        asked.append(ranges)
        return sample_scan(rng, ranges)

    monkeypatch.setattr(pool_painted, "sample_scan", remembered)
    template = tmp_path / "tiny.npz"
    tiny_template().write(template)

    write_painted(3, tmp_path / "whole", (template,))
    write_central(3, tmp_path / "central", (template,))

    assert asked.count(MOSTLY_PLAIN) == 2 * SCANS_PER_PATIENT
    fine, whole = (
        TorsoSample.read(tmp_path / kind / "torso" / f"000003{PAINTED}0.npz")
        for kind in ("central", "whole")
    )
    assert tuple(fine.step_mm) == CENTRAL_STEP_MM
    assert fine.hu.shape[1:] == CENTRAL_SHAPE_RC
    left, back = CENTRAL_MIDDLE_MM
    moved = from_middle_mm(whole) - from_middle_mm(fine)
    # Each grid has a random offset of its own; those of this seed lie within 12 mm of each other.
    assert moved == pytest.approx([back, left], abs=12)
    for organ in ("aorta", "inferior_vena_cava"):
        channel = ORGANS.labels.index(organ)
        volumes = [
            float((one.labels == channel).sum() * one.step_mm.prod()) for one in (fine, whole)
        ]
        assert volumes[1] > 0, organ
        assert volumes[0] == pytest.approx(volumes[1], rel=0.1), organ
