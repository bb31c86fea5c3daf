"""The procedural torso: complete, human, reproducible, with L3 where it says."""

from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest

from inference.domain.labelmap import FLARE22_ORGANS, Structure
from training.synthetic.anatomy import TRAINING, UNSEEN, Anatomy, Arms, sample_anatomy
from training.synthetic.labels import COMPARTMENT_LUT, ORGAN_LUT, Labels, Tissue
from training.synthetic.spine import to_standard_z
from training.synthetic.torso import Grid, label_map

TORSO = Grid(
    shape=(170, 80, 110), spacing_mm=(4.0, 4.0, 4.0), origin_lps_mm=(-218.0, -190.0, -270.0)
)

HUMAN_ML = {
    Structure.LIVER: (800, 2600),
    Structure.KIDNEY_RIGHT: (60, 280),
    Structure.SPLEEN: (40, 400),
    Structure.PANCREAS: (30, 140),
    Structure.AORTA: (80, 350),
    Structure.INFERIOR_VENA_CAVA: (40, 180),
    Structure.ADRENAL_RIGHT: (1, 9),
    Structure.ADRENAL_LEFT: (1, 9),
    Structure.GALLBLADDER: (8, 70),
    Structure.ESOPHAGUS: (15, 70),
    Structure.STOMACH: (90, 800),
    Structure.DUODENUM: (35, 160),
    Structure.KIDNEY_LEFT: (60, 280),
    Structure.PORTAL_SPLENIC_VEIN: (8, 50),
}
STRUCTURES = (*FLARE22_ORGANS, Structure.PORTAL_SPLENIC_VEIN)


@lru_cache
def anatomy_of(seed: int, lumbar_count: int = 5) -> Anatomy:
    """A patient with a gallbladder, arms away, and a given count of lumbar bodies."""
    weights = tuple(float(lumbar_count == n) for n in (4, 5, 6))
    assert len(weights) == 3
    ranges = replace(TRAINING, lumbar_weights=weights)
    drawn = sample_anatomy(np.random.default_rng(seed), ranges)
    return replace(drawn, has_gallbladder=True, arms=Arms.OUTSIDE)


@lru_cache
def torso_of(seed: int) -> Labels:
    """The whole torso at 4 mm."""
    return label_map(anatomy_of(seed), TORSO)


def centre_x_mm(labels: Labels, organ: Structure) -> float:
    columns = np.nonzero(ORGAN_LUT[labels] == STRUCTURES.index(organ) + 1)[2]
    return float(TORSO.axis_mm(2)[columns].mean())


@pytest.mark.parametrize("seed", [1, 2])
def test_every_organ_is_there_with_a_human_volume(seed: int) -> None:
    counts = np.bincount(ORGAN_LUT[torso_of(seed)].ravel(), minlength=15)
    for number, structure in enumerate(STRUCTURES, start=1):
        low, high = HUMAN_ML[structure]
        assert low <= counts[number] * 0.064 <= high, structure


@pytest.mark.parametrize("seed", [1, 2])
def test_right_and_left_organs_lie_on_their_side(seed: int) -> None:
    labels = torso_of(seed)
    right = ("LIVER", "KIDNEY_RIGHT", "ADRENAL_RIGHT", "GALLBLADDER", "INFERIOR_VENA_CAVA")
    left = ("SPLEEN", "STOMACH", "KIDNEY_LEFT", "ADRENAL_LEFT")
    assert all(centre_x_mm(labels, Structure[name]) < -10 for name in right)
    assert all(centre_x_mm(labels, Structure[name]) > 10 for name in left)


def test_every_tissue_of_the_trunk_occurs() -> None:
    found = {Tissue(int(v)) for v in np.unique(torso_of(1)) if v}
    absent = {t for t in Tissue if t.name.startswith(("ARM_", "TABLE"))} | {Tissue.AIR}
    # Only in patients painted from templates.
    absent |= {t for t in Tissue if t >= Tissue.INTERCOSTAL}
    assert set(Tissue) - absent - found <= {Tissue.FAECES, Tissue.BOWEL_GAS, Tissue.STOMACH_GAS}


def test_tissue_areas_at_l3_are_human() -> None:
    anatomy = anatomy_of(1)
    plane = Grid(shape=(1, 330, 440), spacing_mm=(1, 1, 1), origin_lps_mm=(-220, -200, 0))
    labels = label_map(anatomy, plane)
    area_cm2 = np.bincount(COMPARTMENT_LUT[labels].ravel(), minlength=4) / 100
    assert 80 < area_cm2[1] < 260
    assert 25 < area_cm2[2] < 600
    assert 15 < area_cm2[3] < 450
    assert 230 < (labels > Tissue.AIR).any(axis=(0, 1)).sum() < 420
    assert 160 < (labels > Tissue.AIR).any(axis=(0, 2)).sum() < 320


@pytest.mark.parametrize("lumbar_count", [4, 5, 6])
def test_the_middle_of_l3_is_in_bone_between_discs(lumbar_count: int) -> None:
    anatomy = anatomy_of(3, lumbar_count)
    x, y, z = anatomy.vertebrae["L3"].centre_lps_mm
    low, high = anatomy.l3_extent_mm
    column = Grid(shape=(81, 1, 1), spacing_mm=(0.5, 1, 1), origin_lps_mm=(x, y, z - 20.0))
    labels = label_map(anatomy, column)[:, 0, 0]
    heights = column.axis_mm(0)
    bone = np.isin(labels, (Tissue.VERTEBRA_CORTICAL, Tissue.VERTEBRA_TRABECULAR))
    assert labels[40] == Tissue.VERTEBRA_TRABECULAR
    assert bone[(heights > low + 1) & (heights < high - 1)].all()
    assert (labels[(heights > high + 1) & (heights < high + 3)] == Tissue.DISC).all()
    assert (labels[(heights < low - 1) & (heights > low - 3)] == Tissue.DISC).all()


@pytest.mark.parametrize("lumbar_count", [4, 5, 6])
def test_l3_is_the_third_body_below_t12_whatever_their_number(lumbar_count: int) -> None:
    anatomy = anatomy_of(4, lumbar_count)
    upward = sorted(anatomy.vertebrae, key=lambda name: anatomy.vertebrae[name].centre_lps_mm[2])
    lumbar = [f"L{n}" for n in range(lumbar_count, 0, -1)]
    assert upward == ["S1", *lumbar, *(f"T{n}" for n in range(12, 0, -1))]
    assert upward.index("T12") - upward.index("L3") == 3
    assert anatomy.l3_z_mm == 0.0
    s1 = anatomy.vertebrae["S1"].centre_lps_mm[2]
    assert 28 < -s1 / (lumbar_count - 2) < 42
    assert float(to_standard_z(anatomy.spine, s1)) == pytest.approx(-96.0)


def test_vertebral_bodies_do_not_overlap() -> None:
    for count in (4, 5, 6):
        bodies = list(anatomy_of(5, count).vertebrae.values())
        gaps = [b.z_low_mm - a.z_high_mm for a, b in pairwise(bodies)]
        assert min(gaps) > 2.0


def test_arms_and_couch_leave_the_trunk_as_it_is() -> None:
    alone = anatomy_of(1)
    grid = replace(TORSO, shape=(12, 110, 110), origin_lps_mm=(-218.0, -190.0, 290.0))
    trunk = label_map(alone, grid)
    around = label_map(replace(alone, arms=Arms.DOWN), grid, with_table=True)
    assert np.array_equal(trunk[trunk > 0], around[trunk > 0])
    assert {Tissue.ARM_BONE, Tissue.ARM_MUSCLE, Tissue.ARM_FAT, Tissue.TABLE} <= set(
        np.unique(around[trunk == 0]).tolist()
    )


def test_a_label_map_does_not_depend_on_the_grid_around_a_point() -> None:
    anatomy = anatomy_of(1)
    plane = Grid(shape=(1, 80, 110), spacing_mm=(4, 4, 4), origin_lps_mm=(-218, -190, 30.0))
    k = int((30.0 + 270.0) / 4)
    assert np.array_equal(label_map(anatomy, plane)[0], torso_of(1)[k])


def test_unseen_ranges_share_nothing_with_training_where_they_differ() -> None:
    changed = [
        name
        for name in TRAINING.__dataclass_fields__
        if getattr(TRAINING, name) != getattr(UNSEEN, name)
    ]
    assert {"sat_mm", "stature_scale", "muscle_scale", "lordosis", "organ_scale"} <= set(changed)
    for name in changed:
        for low, high in getattr(UNSEEN, name):
            for a, b in getattr(TRAINING, name):
                assert high <= a or low >= b, name


def test_height_and_weight_are_human_and_follow_the_body() -> None:
    people = [sample_anatomy(np.random.default_rng(seed), TRAINING) for seed in range(150)]
    heights = np.array([p.height_m for p in people])
    weights = np.array([p.weight_kg for p in people])
    assert heights.min() > 1.4
    assert heights.max() < 2.1
    assert weights.min() > 35
    assert weights.max() < 160
    fat = np.array([p.sat_mm + p.vat_mm for p in people])
    assert np.corrcoef(fat, weights / heights**2)[0, 1] > 0.6
