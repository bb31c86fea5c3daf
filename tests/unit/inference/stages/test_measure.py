"""Numbers from masks."""

from dataclasses import replace

import numpy as np
import pytest

from inference.domain.analysis_profile import HuWindows
from inference.domain.labelmap import TISSUES, LabelMap, Structure
from inference.domain.measurement import Level, Patient, Quantity
from inference.domain.volume import Volume, affine_from_axes
from inference.stages.cut_offs import cut_offs_for, reference_tables
from inference.stages.measure import (
    bounding_box_px,
    indices,
    measure_body_composition,
    measure_organs,
    slab_weights,
    value_of,
)

AXES = [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
MUSCLE = Structure.SKELETAL_MUSCLE


def _scene() -> tuple[Volume, LabelMap, Level]:
    """Ten 5 mm slices of 2 × 1 mm pixels; 100 muscle voxels of 20 and 60 HU and 50 SAT voxels in each."""
    hu = np.full((10, 20, 20), -1000, np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    hu[:, 5:10, :10], hu[:, 5:10, 10:] = 20, 60
    labels[:, 5:10] = 1
    hu[:, 12:17, :10] = -100
    labels[:, 12:17, :10] = 2
    affine = affine_from_axes([0, 0, 100], AXES, [5, 2, 1])
    level = Level(slice_index=4, z_mm=120, confidence=1, extent_mm=(110.0, 130.0))
    named = dict(enumerate(TISSUES, start=1))
    return (
        Volume(hu=hu, affine_lps=affine),
        LabelMap(labels=labels, affine_lps=affine, structures=named),
        level,
    )


def test_areas_and_volumes_follow_from_voxel_sizes() -> None:
    volume, tissues, level = _scene()

    found = measure_body_composition(volume, tissues, level, HuWindows())

    assert value_of(found, Quantity.AREA, MUSCLE) == pytest.approx(100 * 0.02)
    assert value_of(found, Quantity.AREA, Structure.SUBCUTANEOUS_FAT) == pytest.approx(50 * 0.02)
    # 20 mm of extent × 2 cm² = 4 ml
    assert value_of(found, Quantity.VOLUME, MUSCLE) == pytest.approx(4.0)
    assert value_of(found, Quantity.MEAN_HU, MUSCLE) == pytest.approx(40.0)


def test_muscle_is_split_into_low_and_normal_density() -> None:
    volume, tissues, level = _scene()

    found = measure_body_composition(volume, tissues, level, HuWindows())

    assert value_of(found, Quantity.LOW_DENSITY_PERCENT, MUSCLE) == pytest.approx(50.0)
    assert value_of(found, Quantity.NORMAL_DENSITY_AREA, MUSCLE) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("k", "below", "above"), [(0, None, 10), (1, 0, 20), (4, 30, 50), (9, 80, None)]
)
@pytest.mark.parametrize("thick_mm", [4.0, 24.0])
def test_neighbours_are_the_slices_next_to_the_level_in_a_thin_slab_and_at_the_ends(
    k: int, below: int | None, above: int | None, thick_mm: float
) -> None:
    volume, tissues, _ = _scene()
    labels = np.zeros_like(tissues.labels)
    for n in range(10):
        # Ten voxels more in each slice.
        labels[n].reshape(-1)[: 10 * n] = 1
    z_mm = 100.0 + 5 * k
    level = Level(
        slice_index=k,
        z_mm=z_mm,
        confidence=1,
        extent_mm=(z_mm - thick_mm / 2, z_mm + thick_mm / 2),
    )

    found = measure_body_composition(volume, replace(tissues, labels=labels), level, HuWindows())

    assert value_of(found, Quantity.AREA, MUSCLE) == pytest.approx(10 * k * 0.02)
    for quantity, voxels in (
        (Quantity.AREA_SLICE_BELOW, below),
        (Quantity.AREA_SLICE_ABOVE, above),
    ):
        wanted = None if voxels is None else pytest.approx(voxels * 0.02)
        assert value_of(found, quantity, MUSCLE) == wanted


def test_slices_count_by_their_share_of_the_slab() -> None:
    volume, _, _ = _scene()

    weights = slab_weights(volume, (111.0, 129.0))

    assert weights.sum() == pytest.approx(18.0)
    assert weights[2] == pytest.approx(1.5)


def test_indices_need_their_data() -> None:
    both = indices(150.0, Patient(height_m=2.0, weight_kg=100.0))
    neither = indices(150.0, Patient())

    assert value_of(both, Quantity.INDEX_HEIGHT2, MUSCLE) == pytest.approx(37.5)
    assert value_of(both, Quantity.INDEX_WEIGHT, MUSCLE) == pytest.approx(1.5)
    assert value_of(both, Quantity.INDEX_BMI, MUSCLE) == pytest.approx(6.0)
    assert neither == ()


def test_cut_offs_are_silent_without_sex_and_for_minors() -> None:
    volume, tissues, level = _scene()
    found = measure_body_composition(volume, tissues, level, HuWindows())

    assert cut_offs_for(found, Patient(age_years=40), ["kr-kim-2021"]) == ()
    assert cut_offs_for(found, Patient(sex="F", age_years=12), ["kr-kim-2021"]) == ()
    (area,) = cut_offs_for(found, Patient(sex="F", age_years=40), ["kr-kim-2021"])
    assert (area.cut_off, area.is_low) == (74.2, True)


@pytest.mark.parametrize(("weight_kg", "cut_off"), [(70.0, 43.0), (90.0, 53.0)])
def test_a_bmi_dependent_cut_off_follows_the_bmi(weight_kg: float, cut_off: float) -> None:
    patient = Patient(sex="M", age_years=60, height_m=1.75, weight_kg=weight_kg)

    rows = cut_offs_for(indices(150.0, patient), patient, ["martin-2013"])

    assert [row.cut_off for row in rows] == [cut_off]


@pytest.mark.parametrize("name", reference_tables())
def test_every_table_has_population_and_citation(name: str) -> None:
    table = reference_tables()[name]

    assert table["population"]
    assert table["citation"]


def test_an_organ_at_the_border_is_incomplete_and_one_inside_is_not() -> None:
    hu = np.full((10, 12, 12), 50, np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    labels[3:7, 3:7, 3:7] = 1
    labels[0:3, 8:11, 8:11] = 2
    affine = affine_from_axes([0, 0, 0], AXES, [1, 1, 1])
    named = {1: Structure.LIVER, 2: Structure.SPLEEN}

    liver, spleen = measure_organs(
        Volume(hu=hu, affine_lps=affine),
        LabelMap(labels=labels, affine_lps=affine, structures=named),
    )

    assert liver.volume_ml == pytest.approx(0.064)
    assert liver.mean_hu == pytest.approx(50)
    assert liver.box_lps_mm == ((3.0, 3.0, 3.0), (6.0, 6.0, 6.0))
    assert not liver.is_incomplete
    assert spleen.is_incomplete


def test_a_bounding_box_reaches_to_the_outer_edges_of_its_pixels() -> None:
    mask = np.zeros((10, 12), bool)
    mask[2, 5] = mask[6, 3] = True

    assert bounding_box_px(mask) == (3, 2, 6, 7)
    assert bounding_box_px(np.zeros((4, 4), bool)) is None
