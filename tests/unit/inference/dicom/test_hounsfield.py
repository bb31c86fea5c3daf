"""Stored pixels of any coding, sign, rescale and padding become the same Hounsfield units."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydicom.uid import RLELossless

from inference.dicom.hounsfield import PixelFormat, rescaled
from inference.dicom.read_series import load_series
from tests.synthetic_series import save_all, small_datasets, small_volume


def test_each_slice_is_rescaled_by_its_own_header(tmp_path: Path) -> None:
    volume = small_volume()
    datasets = small_datasets(volume)
    for index, dataset in enumerate(datasets):
        stored = np.frombuffer(dataset.PixelData, "<u2") - 1024 + 10 * index
        dataset.RescaleIntercept = str(-10 * index)
        dataset.PixelRepresentation = 1
        dataset.BitsStored, dataset.HighBit = 16, 15
        dataset.PixelData = stored.astype("<i2").tobytes()

    series = load_series(save_all(datasets, tmp_path))

    assert np.array_equal(series.volume.hu, volume.hu)


@given(
    values=arrays(np.int32, 40, elements=st.integers(-32768, 65535)),
    is_signed=st.booleans(),
    intercept=st.integers(-40000, 40000),
    padding=st.none() | st.tuples(st.integers(-2000, 0), st.integers(0, 3000)),
)
@example(values=np.full(40, -1, np.int32), is_signed=True, intercept=32768, padding=None)
@settings(deadline=None)
def test_whole_numbers_give_the_units_of_floats(
    values: npt.NDArray[np.int32],
    is_signed: bool,
    intercept: int,
    padding: tuple[int, int] | None,
) -> None:
    stored = values.astype(np.int16 if is_signed else np.uint16)
    form = PixelFormat(
        rows=1, columns=40, slope=1.0, intercept=intercept, padding=padding, is_lossy=False
    )
    expected = np.clip(stored.astype(float) + intercept, -1024, 32767)
    if padding is not None:
        expected[(stored >= padding[0]) & (stored <= padding[1])] = -1024

    assert np.array_equal(rescaled(stored, form), expected)


def test_a_fractional_slope_gives_floating_point_units(tmp_path: Path) -> None:
    datasets = small_datasets()
    for dataset in datasets:
        dataset.RescaleSlope = "0.5"

    series = load_series(save_all(datasets, tmp_path))

    assert series.volume.hu.dtype == np.float32
    assert series.volume.hu[0, 0, 1] == pytest.approx((-900 + 3 + 1024) * 0.5 - 1024)


def test_twelve_bit_signed_values_get_their_sign(tmp_path: Path) -> None:
    volume = small_volume()
    datasets = small_datasets(volume)
    for dataset in datasets:
        stored = np.frombuffer(dataset.PixelData, "<u2").astype(int) - 1024
        dataset.PixelRepresentation, dataset.RescaleIntercept = 1, "0"
        dataset.PixelData = (stored & 0x0FFF).astype("<u2").tobytes()

    series = load_series(save_all(datasets, tmp_path))

    assert np.array_equal(series.volume.hu, volume.hu)


@pytest.mark.parametrize(("padding", "stored"), [(-2000, -2000), (63536, -2000), (3000, 3000)])
def test_padding_becomes_air(padding: int, stored: int, tmp_path: Path) -> None:
    datasets = small_datasets()
    for dataset in datasets:
        values = np.frombuffer(dataset.PixelData, "<u2").astype("<i2")
        values[:5] = stored
        dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 1, 16, 15
        dataset.add_new("PixelPaddingValue", "US" if padding > 32767 else "SS", padding)
        dataset.PixelData = values.tobytes()

    series = load_series(save_all(datasets, tmp_path))

    assert (series.volume.hu[:, 0, :5] == -1024).all()
    assert series.volume.hu[0, 0, 5] == -885


def test_a_range_of_padding_becomes_air(tmp_path: Path) -> None:
    datasets = small_datasets()
    for dataset in datasets:
        values = np.frombuffer(dataset.PixelData, "<u2").copy()
        values[:4] = (3000, 3050, 3100, 3101)
        dataset.add_new("PixelPaddingValue", "US", 3100)
        dataset.add_new("PixelPaddingRangeLimit", "US", 3000)
        dataset.PixelData = values.tobytes()

    series = load_series(save_all(datasets, tmp_path))

    assert series.volume.hu[0, 0, :4].tolist() == [-1024, -1024, -1024, 3101 - 1024]


def test_values_below_air_are_raised_to_air(tmp_path: Path) -> None:
    datasets = small_datasets()
    for dataset in datasets:
        dataset.RescaleIntercept = "-3024"

    assert load_series(save_all(datasets, tmp_path)).volume.hu.min() == -1024


def test_run_length_coded_pixels_are_decoded(tmp_path: Path) -> None:
    volume = small_volume()
    datasets = small_datasets(volume)
    for dataset in datasets:
        dataset.compress(RLELossless, generate_instance_uid=False)

    assert np.array_equal(load_series(save_all(datasets, tmp_path)).volume.hu, volume.hu)
