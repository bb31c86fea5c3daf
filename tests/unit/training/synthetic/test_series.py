"""A volume written as a series carries the numbers, the order and the patient it was given."""

from pathlib import Path

import numpy as np
import pytest

from inference.domain.volume import Volume
from tests.synthetic_series import small_volume
from training.synthetic.series import SeriesHeader, SliceOrder, build_datasets, write_series


@pytest.mark.parametrize(
    ("order", "numbers"),
    [("ascending", list(range(5, 17))), ("descending", list(range(16, 4, -1)))],
)
def test_instance_numbers_run_as_asked(order: SliceOrder, numbers: list[int]) -> None:
    datasets = build_datasets(small_volume(), SeriesHeader(order=order, first_instance_number=5))

    assert [int(dataset.InstanceNumber) for dataset in datasets] == numbers


def test_shuffled_instances_keep_their_own_position() -> None:
    datasets = build_datasets(small_volume(), SeriesHeader(order="shuffled"))

    numbers = [int(dataset.InstanceNumber) for dataset in datasets]
    heights = [float(dataset.ImagePositionPatient[2]) for dataset in datasets]
    assert sorted(numbers) == list(range(1, 13))
    assert numbers not in (sorted(numbers), sorted(numbers, reverse=True))
    assert heights == sorted(heights)


def test_units_survive_and_are_clipped_to_twelve_bits() -> None:
    volume = small_volume(shape=(1, 2, 2))
    hu = np.array([[[-2000, -1024], [50, 9000]]], np.float32)

    (dataset,) = build_datasets(Volume(hu=hu, affine_lps=volume.affine_lps), SeriesHeader())

    stored = np.frombuffer(dataset.PixelData, "<u2").astype(int) - 1024
    assert stored.tolist() == [-1024, -1024, 50, 3071]


def test_unknown_patient_values_are_left_out() -> None:
    header = SeriesHeader(sex="", age_years=None, height_m=None, weight_kg=None)

    dataset = build_datasets(small_volume(), header)[0]

    assert dataset.PatientSex == ""
    assert not {"PatientAge", "PatientSize", "PatientWeight", "ContrastBolusAgent"} & set(
        dataset.dir()
    )


def test_identifiers_follow_from_seed_and_series_number() -> None:
    one, same = SeriesHeader(seed=1), SeriesHeader(seed=1)
    other_series, other_patient = SeriesHeader(seed=1, series_number=3), SeriesHeader(seed=2)

    assert one.series_uid == same.series_uid
    assert one.study_uid == other_series.study_uid
    assert len({one.series_uid, other_series.series_uid, other_patient.series_uid}) == 3
    assert one.study_uid != other_patient.study_uid
    assert one.sop_uid(0) != one.sop_uid(1)


def test_each_slice_is_a_file_named_by_its_instance_number(tmp_path: Path) -> None:
    paths = write_series(small_volume(), SeriesHeader(order="descending"), tmp_path / "new")

    assert [path.name for path in paths] == [f"{n:05d}.dcm" for n in range(12, 0, -1)]
    assert all(path.is_file() for path in paths)


def test_thickness_may_differ_from_the_step() -> None:
    thick = build_datasets(small_volume(), SeriesHeader(slice_thickness_mm=5.0))[0]
    plain = build_datasets(small_volume(), SeriesHeader())[0]

    assert (thick.SliceThickness, plain.SliceThickness) == (5.0, 2.5)
