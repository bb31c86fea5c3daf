"""The slice that a person meant, by UID, number or place, in series of every order; what is none of them is refused."""

from pathlib import Path
from typing import Any

import pytest

from inference.dicom.ct_series import CtSeries
from inference.dicom.named_slice import level_by_hand
from inference.dicom.read_series import load_series
from inference.domain.entered_level import EnteredLevel
from inference.domain.errors import LevelNotInSeries
from inference.domain.volume import canonical, slice_z_mm
from tests.synthetic_series import (
    AXIAL,
    enhanced_dataset,
    save_all,
    small_datasets,
    small_volume,
    uneven_datasets,
)

FEET_FIRST = ((0.0, 0.0, -1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
PRONE = ((0.0, 0.0, 1.0), (0.0, -1.0, 0.0), (-1.0, 0.0, 0.0))
TILTED = ((0.0, -0.0523360, 0.9986295), (0.0, -0.9986295, -0.0523360), (-1.0, 0.0, 0.0))


def entered(**named: Any) -> EnteredLevel:
    return EnteredLevel(entered_by="otto", entered_at=0.0, **named)


def slice_of(series: CtSeries, **named: Any) -> int:
    return level_by_hand(series, entered(**named)).slice_index


@pytest.fixture
def series(tmp_path: Path) -> CtSeries:
    return load_series(save_all(small_datasets(), tmp_path / "ct"))


def test_a_slice_is_found_by_each_of_its_names(series: CtSeries) -> None:
    header = series.headers[7]

    assert slice_of(series, sop_instance_uid=str(header.SOPInstanceUID)) == 7
    assert slice_of(series, instance_number=int(header.InstanceNumber)) == 7
    assert slice_of(series, z_mm=float(header.ImagePositionPatient[2]) + 1.2) == 7


def test_who_and_when_are_told_with_it(series: CtSeries) -> None:
    found = level_by_hand(series, entered(z_mm=110.0))

    assert found.source == "L3 set by hand by otto at 1970-01-01 00:00 UTC"


@pytest.mark.parametrize("axes", [AXIAL, FEET_FIRST, PRONE, TILTED])
def test_places_are_those_of_the_result_in_every_orientation(axes: Any, tmp_path: Path) -> None:
    series = load_series(save_all(small_datasets(small_volume(axes_lps=axes)), tmp_path / "ct"))
    upright = canonical(series.volume)
    wanted = upright.affine_lps[2, 3] + upright.places * upright.affine_lps[2, 0]
    z_mm = slice_z_mm(series.volume)

    assert sorted(z_mm) == pytest.approx(sorted(wanted))
    assert [slice_of(series, z_mm=float(z)) for z in z_mm] == list(range(len(z_mm)))


def test_of_uneven_slices_the_nearest_is_meant(tmp_path: Path) -> None:
    series = load_series(save_all(uneven_datasets(), tmp_path / "ct"))
    z_mm = slice_z_mm(series.volume)

    assert slice_of(series, z_mm=float(z_mm[-1]) + 2.4) == len(z_mm) - 1
    assert slice_of(series, z_mm=float(z_mm[9]) - 2.4) == 9


def test_of_a_multi_frame_image_the_number_is_the_frames(tmp_path: Path) -> None:
    series = load_series(save_all([enhanced_dataset(small_datasets())], tmp_path / "ct"))

    assert slice_of(series, instance_number=3) == 2
    with pytest.raises(LevelNotInSeries, match="12 of that SOP Instance UID"):
        slice_of(series, sop_instance_uid=series.sop_uids[0])


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({"z_mm": 98.7}, "patient z 98.7 mm; wanted 98.8 to 128.8 mm"),
        ({"z_mm": 128.8}, "patient z 128.8 mm; wanted 98.8 to 128.8 mm"),
        ({"instance_number": 99}, "none of that number among 12 slices"),
        ({"sop_instance_uid": "1.2.3"}, "none of that SOP Instance UID"),
        ({}, "none of that SOP Instance UID"),
    ],
)
def test_what_is_no_slice_of_the_series_is_refused(
    named: dict[str, Any], words: str, series: CtSeries
) -> None:
    with pytest.raises(LevelNotInSeries) as refusal:
        slice_of(series, **named)

    assert words in str(refusal.value)
    assert refusal.value.reason_code == "level-not-in-series"


def test_a_number_that_two_slices_have_names_neither(tmp_path: Path) -> None:
    datasets = small_datasets()
    datasets[4].InstanceNumber = datasets[5].InstanceNumber
    series = load_series(save_all(datasets, tmp_path / "ct"))

    with pytest.raises(LevelNotInSeries, match="2 of that number"):
        slice_of(series, instance_number=int(datasets[5].InstanceNumber))
