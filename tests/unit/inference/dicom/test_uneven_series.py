"""A series in blocks of different steps: read as it is, resampled for networks only, its results on its own slices."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from inference.dicom.ct_series import CtSeries
from inference.dicom.read_seg import verify_seg
from inference.dicom.read_series import load_series
from inference.dicom.survey import survey_folder
from inference.dicom.write_seg import encode_seg, highdicom_seg, seg_content, unproven_seg
from inference.domain.errors import ImplausibleResult, UnsupportedGeometry
from inference.domain.labelmap import FLARE22_ORGANS, TISSUES, LabelMap, Structure
from inference.domain.seg_encoding import SegEncoding
from inference.domain.volume import Volume, canonical, position_mm
from tests.highdicom_reference import reference_seg
from tests.synthetic_series import (
    AXIAL,
    enhanced_dataset,
    result_identity,
    save_all,
    small_labels,
    uneven_datasets,
    uneven_volume,
)

FROM_THE_HEAD = ((0.0, 0.0, -1.0), (0.0, 1.0, 0.0), (-1.0, 0.0, 0.0))
THICKNESS_MM = [2.5] * 8 + [5.0] * 7
LOST_INSIDE = 4


@pytest.fixture
def series(tmp_path: Path) -> CtSeries:
    return load_series(save_all(uneven_datasets(order="shuffled"), tmp_path))


def labels_of(series: CtSeries) -> LabelMap:
    volume = series.volume
    return small_labels(volume.affine_lps, volume.shape, FLARE22_ORGANS, volume.slice_places)


@pytest.mark.parametrize("axes_lps", [AXIAL, FROM_THE_HEAD])
def test_every_slice_lies_where_its_file_says(
    axes_lps: tuple[tuple[float, ...], ...], tmp_path: Path
) -> None:
    datasets = uneven_datasets(volume=uneven_volume(axes_lps=axes_lps))
    series = load_series(save_all(datasets, tmp_path))

    for volume in (series.volume, canonical(series.volume)):
        found = [position_mm(volume.affine_lps, (place, 0, 0))[2] for place in volume.places]
        stated = [float(header.ImagePositionPatient[2]) for header in series.headers]
        assert sorted(found) == pytest.approx(sorted(stated))
    assert series.volume.spacing_mm == pytest.approx((2.5, 0.8, 0.7))


def test_the_report_says_that_slices_were_resampled(series: CtSeries) -> None:
    assert series.flags[0] == (
        "slices unevenly spaced (2.50 to 5.00 mm): resampled to even 2.50 mm for the networks; "
        "masks and numbers are of the original slices"
    )


@pytest.mark.parametrize("lost", range(1, 14))
def test_a_lost_slice_is_refused_and_named(lost: int, tmp_path: Path) -> None:
    datasets = uneven_datasets()
    del datasets[lost]

    with pytest.raises(UnsupportedGeometry) as refusal:
        load_series(save_all(datasets, tmp_path))

    assert refusal.value.reason == "slice-gap"
    assert refusal.value.advice == "Send the missing slices, or a reconstruction with even steps."


def test_image_numbers_that_skip_in_the_wide_block_are_a_gap(tmp_path: Path) -> None:
    datasets = uneven_datasets()
    for dataset, place in zip(datasets, uneven_volume().places, strict=True):
        dataset.InstanceNumber = 1 + round(place)

    with pytest.raises(UnsupportedGeometry, match="image numbers"):
        load_series(save_all(datasets, tmp_path))


@pytest.mark.parametrize(("most_steps", "is_accepted"), [(15, False), (30, True)])
def test_the_even_grid_counts_against_the_limit_of_voxels(
    most_steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_accepted: bool
) -> None:
    paths = save_all(uneven_datasets(), tmp_path)
    monkeypatch.setattr("inference.dicom.read_series.MAX_VOXELS", most_steps * 64 * 48)

    with nullcontext() if is_accepted else pytest.raises(UnsupportedGeometry, match="voxels"):
        load_series(paths)


def test_frames_of_an_enhanced_image_may_be_unevenly_spaced(tmp_path: Path) -> None:
    image = enhanced_dataset(uneven_datasets())
    for groups, thickness_mm in zip(
        image.PerFrameFunctionalGroupsSequence, THICKNESS_MM, strict=True
    ):
        measures = Dataset()
        measures.update(image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0])
        measures.add_new("SliceThickness", "DS", thickness_mm)
        groups.PixelMeasuresSequence = [measures]
    del image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence

    series = load_series(save_all([image], tmp_path))

    assert np.array_equal(series.volume.hu, uneven_volume().hu)
    assert series.volume.places == pytest.approx(uneven_volume().places)
    labels = labels_of(series)
    verify_seg(encode_seg(labels, series, result_identity()), labels, series)


@pytest.mark.parametrize("encoding", [SegEncoding.BINARY, SegEncoding.LABELMAP])
def test_a_segmentation_states_each_thickness_and_no_step(
    encoding: SegEncoding, series: CtSeries
) -> None:
    labels = labels_of(series)

    segmentation = dcmread(BytesIO(encode_seg(labels, series, result_identity(), encoding)))

    stated = {str(h.SOPInstanceUID): float(h.SliceThickness) for h in series.headers}
    assert "PixelMeasuresSequence" not in segmentation.SharedFunctionalGroupsSequence[0]
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        (measures,) = group.PixelMeasuresSequence
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        assert "SpacingBetweenSlices" not in measures
        assert float(measures.SliceThickness) == stated[source.ReferencedSOPInstanceUID]


def test_a_segmentation_within_one_block_states_no_step_either(series: CtSeries) -> None:
    labels = labels_of(series)
    labels.labels[5:] = 0

    segmentation = dcmread(BytesIO(encode_seg(labels, series, result_identity())))

    (measures,) = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    assert "SpacingBetweenSlices" not in measures
    assert float(measures.SliceThickness) == series.slice_thickness_mm


@pytest.mark.parametrize("structures", [TISSUES, TISSUES[:1]])
def test_the_bytes_are_those_of_highdicom(
    structures: tuple[Structure, ...], series: CtSeries
) -> None:
    volume = series.volume
    labels = small_labels(volume.affine_lps, volume.shape, structures, volume.slice_places)

    encoded = encode_seg(labels, series, result_identity())

    assert encoded == reference_seg(labels, series, result_identity())


def with_places(labels: LabelMap, change: Callable[[np.ndarray], np.ndarray]) -> LabelMap:
    return replace(labels, slice_places=change(labels.places))


@pytest.mark.parametrize(
    "change",
    [
        lambda places: np.arange(len(places), dtype=float),
        lambda places: places[-1] - places[::-1],
        lambda places: places + 1,
        lambda places: places * 1.1,
    ],
    ids=["as if even", "upside down", "shifted", "stretched"],
)
def test_a_mask_whose_slices_lie_elsewhere_is_refused(
    change: Callable[[np.ndarray], np.ndarray], series: CtSeries
) -> None:
    labels = labels_of(series)
    encoded = encode_seg(labels, series, result_identity())

    with pytest.raises(ImplausibleResult, match="another place"):
        verify_seg(encoded, with_places(labels, change), series)


def as_even(series: CtSeries) -> CtSeries:
    return replace(series, volume=replace(series.volume, slice_places=None))


def test_a_segmentation_that_claims_one_step_is_refused(series: CtSeries) -> None:
    labels = labels_of(series)
    content = seg_content(labels, as_even(series), result_identity())

    with pytest.raises(ImplausibleResult, match="another step"):
        verify_seg(unproven_seg(content, SegEncoding.BINARY), labels, series)


def of_mean_step(series: CtSeries) -> CtSeries:
    volume = series.volume
    affine = volume.affine_lps.copy()
    affine[:3, 0] *= volume.places[-1] / (len(volume.places) - 1)
    return replace(series, volume=Volume(hu=volume.hu, affine_lps=affine))


def test_not_even_the_mean_step_may_be_claimed(series: CtSeries) -> None:
    labels = labels_of(series)
    content = seg_content(labels, of_mean_step(series), result_identity())

    with pytest.raises(ImplausibleResult, match="another step"):
        verify_seg(unproven_seg(content, SegEncoding.BINARY), labels, series)


def of_one_thickness(series: CtSeries) -> CtSeries:
    headers = []
    for header in series.headers:
        changed = Dataset()
        changed.update(header)
        changed.add_new("SliceThickness", "DS", 2.5)
        headers.append(changed)
    return replace(series, headers=tuple(headers))


def test_a_segmentation_of_one_thickness_is_refused(series: CtSeries) -> None:
    labels = labels_of(series)
    content = seg_content(labels, of_one_thickness(series), result_identity())

    with pytest.raises(ImplausibleResult, match="thickness"):
        verify_seg(unproven_seg(content, SegEncoding.BINARY), labels, series)


def test_the_reference_itself_states_every_thickness(series: CtSeries) -> None:
    content = seg_content(labels_of(series), series, result_identity())

    groups = highdicom_seg(content, SegEncoding.BINARY).PerFrameFunctionalGroupsSequence

    found = {float(group.PixelMeasuresSequence[0].SliceThickness) for group in groups}
    assert found == {2.5, 5.0}


def test_blocks_of_thick_slices_do_not_count_as_missing(tmp_path: Path) -> None:
    save_all(uneven_datasets(), tmp_path)

    (summary,) = survey_folder(tmp_path).summaries

    assert (summary.missing_slices, summary.uneven_steps) == (0, 7)


def test_a_lost_slice_counts_as_missing_in_the_choice(tmp_path: Path) -> None:
    datasets = uneven_datasets()
    del datasets[LOST_INSIDE]
    save_all(datasets, tmp_path)

    (summary,) = survey_folder(tmp_path).summaries

    assert summary.missing_slices > 0
    assert summary.uneven_steps == 0
