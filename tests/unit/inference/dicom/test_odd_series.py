"""Series that are odd in a way scanners, archives and anonymisers make them: measured right, or refused with a code."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from inference.dicom.quiet import quietly
from inference.dicom.read_series import load_series
from inference.dicom.write_page import encode_page
from inference.dicom.write_seg import encode_seg
from inference.dicom.write_sr import encode_sr
from inference.domain.errors import UnsupportedGeometry
from inference.domain.labelmap import TISSUES
from inference.domain.volume import Volume
from inference.page.words import words_of
from tests.synthetic_series import (
    result_identity,
    save_all,
    small_datasets,
    small_labels,
    small_volume,
)
from tests.unit.inference.dicom.full_report import full_report


def wide_volume() -> Volume:
    """Rows of a usual picture, so that a small turn moves their ends."""
    return small_volume(shape=(12, 16, 512), spacing_mm=(2.5, 0.7, 0.7))


def turned(datasets: list[Dataset], radians: list[float]) -> list[Dataset]:
    """Each slice turned about the patient's long axis."""
    for dataset, angle in zip(datasets, radians, strict=True):
        cosine, sine = f"{np.cos(angle):.9f}", f"{np.sin(angle):.9f}"
        minus_sine = f"{-np.sin(angle):.9f}"
        dataset.ImageOrientationPatient = [cosine, sine, "0", minus_sine, cosine, "0"]
    return datasets


def refusal(datasets: list[Dataset], folder: Path) -> UnsupportedGeometry:
    with quietly():
        paths = save_all(datasets, folder)
    with pytest.raises(UnsupportedGeometry) as refused:
        load_series(paths)
    return refused.value


@pytest.mark.parametrize("most", [1e-9, 1e-6, 8e-4])
@pytest.mark.parametrize("is_reversed", [False, True])
def test_orientations_rounded_differently_make_results_that_are_proven(
    most: float, is_reversed: bool, tmp_path: Path
) -> None:
    datasets = small_datasets(wide_volume())
    turned(datasets, list(np.linspace(0, most, len(datasets))))
    paths = save_all(datasets[::-1] if is_reversed else datasets, tmp_path)

    series = load_series(paths)

    labels = small_labels(series.volume.affine_lps, series.volume.shape, TISSUES)
    segmentation = dcmread(BytesIO(encode_seg(labels, series, result_identity())))
    encode_sr(full_report(), series, [segmentation], result_identity("sr"))
    assert np.array_equal(series.volume.hu, wide_volume().hu)


def test_a_turn_that_moves_the_far_corner_by_half_a_pixel_is_refused_by_the_reader(
    tmp_path: Path,
) -> None:
    datasets = small_datasets(wide_volume())
    turned(datasets, list(np.linspace(0, 9.5e-4, len(datasets))))

    refused = refusal(datasets, tmp_path)

    assert refused.reason == "mixed-geometry"
    assert "far corners" in refused.found


@pytest.mark.parametrize("spacing", ["0.7003", "0.70065"])
def test_spacings_rounded_differently_are_proven_or_refused(spacing: str, tmp_path: Path) -> None:
    datasets = small_datasets(wide_volume())
    datasets[5].PixelSpacing = ["0.7", spacing]
    paths = save_all(datasets, tmp_path)

    if spacing == "0.70065":
        assert refusal(datasets, tmp_path / "again").reason == "mixed-geometry"
        return
    series = load_series(paths)
    labels = small_labels(series.volume.affine_lps, series.volume.shape, TISSUES)
    assert encode_seg(labels, series, result_identity())


def test_axes_a_little_too_long_for_a_wide_picture_are_refused(tmp_path: Path) -> None:
    datasets = small_datasets(wide_volume())
    for dataset in datasets:
        dataset.ImageOrientationPatient = ["1.002", "0", "0", "0", "1", "0"]

    assert "no rotation" in refusal(datasets, tmp_path).found


@pytest.mark.parametrize(
    ("keyword", "value", "reason"),
    [
        ("HighBit", 15, "pixel-format"),
        ("RescaleSlope", "-1", "not-hu"),
        ("PatientID", "X" * 65, "invalid-patient-id"),
        ("PatientID", "AB\\CD", "invalid-patient-id"),
        ("PatientID", "A\tB", "invalid-patient-id"),
        ("ImagePositionPatient", ["0", "0", "1e15"], "mixed-geometry"),
    ],
)
def test_what_no_result_could_be_right_of_is_refused(
    keyword: str, value: object, reason: str, tmp_path: Path
) -> None:
    datasets = small_datasets()
    with quietly():
        for dataset in datasets:
            setattr(dataset, keyword, value)

    refused = refusal(datasets, tmp_path)

    assert refused.reason == reason
    assert "AB" not in str(refused)


def test_a_high_bit_below_the_stored_bits_is_no_shift(tmp_path: Path) -> None:
    datasets = small_datasets()
    for dataset in datasets:
        dataset.BitsStored = 16

    assert np.array_equal(load_series(save_all(datasets, tmp_path)).volume.hu, small_volume().hu)


@pytest.mark.parametrize(
    ("keyword", "one", "other"),
    [("PatientBirthDate", "19500101", "19990101"), ("PatientSex", "M", "F")],
)
def test_two_patients_under_one_id_are_refused_and_a_silent_sender_is_not(
    keyword: str, one: str, other: str, tmp_path: Path
) -> None:
    datasets = small_datasets()
    for dataset in datasets:
        setattr(dataset, keyword, one)
    setattr(datasets[4], keyword, "")
    load_series(save_all(datasets, tmp_path / "silent"))
    setattr(datasets[4], keyword, other)

    refused = refusal(datasets, tmp_path / "two")

    assert refused.reason == "mixed-geometry"
    assert keyword in refused.found
    assert other not in str(refused).split()


@pytest.mark.parametrize(
    ("padding_vr", "padding", "is_signed"), [("SS", -2000, False), ("US", 63536, True)]
)
def test_padding_stated_with_the_other_sign_becomes_air(
    padding_vr: str, padding: int, is_signed: bool, tmp_path: Path
) -> None:
    datasets = small_datasets()
    for dataset in datasets:
        stored = np.frombuffer(dataset.PixelData, "<u2").copy()
        stored[:3] = 63536
        dataset.PixelRepresentation = int(is_signed)
        dataset.BitsStored, dataset.HighBit = 16, 15
        # As unsigned numbers these are metal, as signed ones above it with this intercept.
        dataset.RescaleIntercept = "3000" if is_signed else "-1024"
        dataset.add_new("PixelPaddingValue", padding_vr, padding)
        dataset.PixelData = stored.tobytes()

    hu = load_series(save_all(datasets, tmp_path)).volume.hu

    assert hu[0, 0, :3].tolist() == [-1024] * 3
    assert hu[0, 0, 3] > -1024


@pytest.mark.parametrize(
    ("keyword", "values", "named"),
    [
        ("ConvolutionKernel", ("B30f", "B70f"), "2 reconstruction filters"),
        ("KVP", ("80", "140"), "2 tube voltages"),
        ("ContrastBolusAgent", ("Iohexol", "Iopromide"), "2 contrast agents"),
    ],
)
def test_slices_of_several_reconstructions_are_flagged_in_both_languages(
    keyword: str, values: tuple[str, str], named: str, tmp_path: Path
) -> None:
    datasets = small_datasets()
    for index, dataset in enumerate(datasets):
        setattr(dataset, keyword, values[index % 2])

    (flag,) = load_series(save_all(datasets, tmp_path)).flags

    assert named in flag
    assert words_of("ko").sentence(flag) != flag


def test_one_voltage_written_in_two_ways_is_one(tmp_path: Path) -> None:
    datasets = small_datasets()
    datasets[3].KVP = "1.20E2"
    datasets[4].KVP = ""

    assert load_series(save_all(datasets, tmp_path)).flags == ()


@pytest.mark.parametrize("stated", ["0", "-120", ""])
def test_a_tube_voltage_of_nothing_is_unknown(stated: str, tmp_path: Path) -> None:
    datasets = small_datasets()
    for dataset in datasets:
        dataset.KVP = stated

    assert load_series(save_all(datasets, tmp_path)).kvp is None


@pytest.mark.parametrize("description", ["two\nlines", "bell\x07"])
def test_control_characters_of_a_description_reach_no_result(
    description: str, tmp_path: Path
) -> None:
    datasets = small_datasets()
    for dataset in datasets:
        dataset.StudyDescription = "全\u3000角"
        dataset.AccessionNumber = description
    with quietly():
        series = load_series(save_all(datasets, tmp_path))

    page = dcmread(
        BytesIO(encode_page(np.zeros((4, 4, 3), np.uint8), series, 5, result_identity("page")))
    )

    assert page.AccessionNumber == ""
    assert page.StudyDescription == "全\u3000角"


Change = Callable[[list[Dataset]], None]


def bits_of_an_overlay(datasets: list[Dataset]) -> None:
    for dataset in datasets:
        stored = np.frombuffer(dataset.PixelData, "<u2")
        dataset.PixelData = (stored | 0xA000).astype("<u2").tobytes()


def every_other_signed(datasets: list[Dataset]) -> None:
    for dataset in datasets[::2]:
        hu = np.frombuffer(dataset.PixelData, "<u2").astype("<i2") - 1024
        dataset.PixelData = hu.astype("<i2").tobytes()
        dataset.PixelRepresentation, dataset.RescaleIntercept = 1, "0"
        dataset.BitsStored, dataset.HighBit = 16, 15


def signed_without_extension(datasets: list[Dataset]) -> None:
    for dataset in datasets:
        hu = np.frombuffer(dataset.PixelData, "<u2").astype(np.int32) - 1024
        dataset.PixelData = (hu & 0x0FFF).astype("<u2").tobytes()
        dataset.PixelRepresentation, dataset.RescaleIntercept = 1, "0"


@pytest.mark.parametrize(
    "change", [bits_of_an_overlay, every_other_signed, signed_without_extension]
)
def test_bits_beside_the_stored_ones_and_mixed_signs_change_no_unit(
    change: Change, tmp_path: Path
) -> None:
    datasets = small_datasets()
    change(datasets)

    assert np.array_equal(load_series(save_all(datasets, tmp_path)).volume.hu, small_volume().hu)
