"""The reference level is the middle of the body, wherever it is stated."""

import json
from pathlib import Path

import numpy as np
import pytest

from inference.dicom.read_series import load_series
from inference.domain.errors import UnreadableInput
from inference.domain.volume import Volume, affine_from_axes
from tests.synthetic_series import save_all, small_datasets
from tests.unit.training.real.phantom import L3_SLICES, l3_z_mm, masks, volume
from training.real.level_reference import labelled_z_mm, stated_level, stated_z_mm


def test_the_middle_of_a_label_is_that_of_its_body_not_of_its_processes() -> None:
    names = masks()
    vertebra = names["vertebrae_L3"]
    slices = np.flatnonzero(vertebra.any(axis=(1, 2)))
    middle_of_all = volume().affine_lps[2, 3] + 3.0 * (slices[0] + slices[-1]) / 2

    z_mm = labelled_z_mm(vertebra, names["spinal_cord"], volume())

    assert z_mm == pytest.approx(l3_z_mm(), abs=0.5)
    assert middle_of_all < l3_z_mm() - 5


def test_processes_larger_than_the_body_do_not_count_where_the_canal_is_known() -> None:
    names = masks()
    vertebra = names["vertebrae_L3"].copy()
    vertebra[L3_SLICES[0] - 12 : L3_SLICES[0], 42:58, 34:48] = True

    z_mm = labelled_z_mm(vertebra, names["spinal_cord"], volume())

    assert z_mm == pytest.approx(l3_z_mm(), abs=0.5)


@pytest.mark.parametrize("slice_mm", [1.0, 2.5, 5.0])
def test_thickness_does_not_move_the_middle(slice_mm: float) -> None:
    count = round(30 / slice_mm)
    vertebra = np.zeros((4 * count, 40, 40), np.bool_)
    vertebra[count : 2 * count, 10:20, 10:24] = True
    canal = np.zeros_like(vertebra)
    canal[:, 22:24, 16:18] = True
    axes = ((0, 0, 1), (0, 1, 0), (1, 0, 0))
    affine = affine_from_axes((0, 0, 0), axes, (slice_mm, 2.0, 2.0))
    ct = Volume(hu=np.zeros(vertebra.shape, np.int16), affine_lps=affine)

    z_mm = labelled_z_mm(vertebra, canal, ct)

    assert z_mm == pytest.approx(slice_mm * (1.5 * count - 0.5), abs=0.8)


def test_a_vertebra_that_is_not_there_has_no_middle() -> None:
    assert labelled_z_mm(np.zeros(volume().shape, np.bool_), None, volume()) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l3.txt", "z_mm 512.5\n"),
        ("l3.txt", "z_mm = 512.5"),
        ("l3.json", '{"z_mm": 512.5}'),
    ],
)
def test_a_level_is_stated_by_height(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)

    statement = stated_level(tmp_path)

    assert statement is not None
    assert stated_z_mm(statement, volume(), None) == 512.5


def test_a_level_is_stated_by_uid_and_by_instance_number(tmp_path: Path) -> None:
    datasets = small_datasets(order="descending")
    series = load_series(save_all(datasets, tmp_path / "ct"))
    wanted = datasets[4]
    z_mm = float(wanted.ImagePositionPatient[2])
    (tmp_path / "l3.json").write_text(json.dumps({"sop_instance_uid": wanted.SOPInstanceUID}))
    statement = stated_level(tmp_path)

    assert statement is not None
    assert stated_z_mm(statement, series.volume, series) == pytest.approx(z_mm)
    assert stated_z_mm(
        ("slice", str(wanted.InstanceNumber)), series.volume, series
    ) == pytest.approx(z_mm)


def test_a_slice_of_a_nifti_file_is_counted_from_zero() -> None:
    assert stated_z_mm(("slice", "10"), volume(), None) == pytest.approx(530.0)


@pytest.mark.parametrize("text", ["{}", "[1]", "-512.5", '{"place": 3}', '{"z_mm": 1, "slice": 2}'])
def test_json_that_states_no_level_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "l3.json").write_text(text)

    with pytest.raises(UnreadableInput, match="states no level"):
        stated_level(tmp_path)


def read_level(folder: Path) -> float:
    statement = stated_level(folder)
    assert statement is not None
    return stated_z_mm(statement, volume(), None)


@pytest.mark.parametrize(("z_mm", "is_there"), [(498.6, True), (498.4, False), (9999.0, False)])
def test_a_level_beyond_the_slices_is_an_error(z_mm: float, is_there: bool) -> None:
    if is_there:
        assert stated_z_mm(("z_mm", str(z_mm)), volume(), None) == z_mm
        return
    with pytest.raises(UnreadableInput, match=r"patient z of 498\.5 to 714\.5 mm"):
        stated_z_mm(("z_mm", str(z_mm)), volume(), None)


@pytest.mark.parametrize("text", ["", "512", "place 3", "z_mm high", "z_mm 1 2", "slice 999"])
def test_a_level_that_states_nothing_is_an_error_that_repeats_nothing(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "l3.txt").write_text(f"{text} ")

    with pytest.raises(UnreadableInput) as told:
        read_level(tmp_path)

    assert "999" not in str(told.value)
    assert "high" not in str(told.value)
