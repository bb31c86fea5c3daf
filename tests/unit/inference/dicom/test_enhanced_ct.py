"""Frames of an enhanced multi-frame CT are slices like any others; results name image and frame."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, LegacyConvertedEnhancedCTImageStorage

from inference.dicom.ct_series import CtSeries
from inference.dicom.read_seg import verify_seg
from inference.dicom.read_series import load_series
from inference.dicom.write_seg import encode_seg
from inference.dicom.write_sr import encode_sr
from inference.domain.errors import (
    ImplausibleResult,
    NoSuitableSeries,
    UnreadableInput,
    UnsupportedGeometry,
)
from inference.domain.labelmap import FLARE22_ORGANS, LabelMap
from inference.domain.seg_encoding import SegEncoding
from tests.fuzz.base_files import base_series
from tests.fuzz.target import fake_models, outcome
from tests.synthetic_series import (
    enhanced_dataset,
    result_identity,
    save_all,
    small_datasets,
    small_labels,
    small_volume,
)
from tests.unit.inference.dicom.full_report import full_report

SHUFFLED = (3, 0, 11, 7, 1, 2, 10, 4, 9, 5, 8, 6)
"""Frame index to slice."""


def shuffled_image() -> Dataset:
    datasets = small_datasets()
    return enhanced_dataset([datasets[index] for index in SHUFFLED])


@pytest.fixture
def series(tmp_path: Path) -> CtSeries:
    return load_series(save_all([shuffled_image()], tmp_path / "ct"))


@pytest.fixture
def labels(series: CtSeries) -> LabelMap:
    return small_labels(series.volume.affine_lps, series.volume.shape, FLARE22_ORGANS)


def test_frames_in_any_order_make_the_volume(series: CtSeries) -> None:
    volume = small_volume()

    assert np.array_equal(series.volume.hu, volume.hu)
    assert np.allclose(series.volume.affine_lps, volume.affine_lps)
    assert [SHUFFLED[(n or 0) - 1] for n in series.frame_numbers] == list(range(12))
    assert len(series.sop_uids) == 1
    assert [int(h.InstanceNumber) for h in series.headers] == list(series.frame_numbers)


def test_coded_frames_of_a_converted_image_are_read_too(tmp_path: Path) -> None:
    image = shuffled_image()
    image.compress(JPEG2000Lossless, generate_instance_uid=False)
    image.SOPClassUID = LegacyConvertedEnhancedCTImageStorage
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID

    series = load_series(save_all([image], tmp_path))

    assert np.array_equal(series.volume.hu, small_volume().hu)


def test_each_frame_is_rescaled_by_its_own_group(tmp_path: Path) -> None:
    image = shuffled_image()
    shared = image.SharedFunctionalGroupsSequence[0]
    rescale = shared.PixelValueTransformationSequence[0]
    for index, groups in enumerate(image.PerFrameFunctionalGroupsSequence):
        own = Dataset()
        own.update(rescale)
        own.add_new("RescaleIntercept", "DS", str(-1024 + 10 * SHUFFLED[index]))
        groups.PixelValueTransformationSequence = [own]

    series = load_series(save_all([image], tmp_path))

    assert np.array_equal(series.volume.hu[7], small_volume().hu[7] + 70)


@pytest.mark.parametrize("encoding", list(SegEncoding))
def test_a_segmentation_names_image_and_frame(
    encoding: SegEncoding, series: CtSeries, labels: LabelMap
) -> None:
    encoded = encode_seg(labels, series, result_identity(), encoding)

    segmentation = dcmread(BytesIO(encoded))
    references = [
        group.DerivationImageSequence[0].SourceImageSequence[0]
        for group in segmentation.PerFrameFunctionalGroupsSequence
    ]
    assert {str(item.ReferencedSOPInstanceUID) for item in references} == set(series.sop_uids)
    assert len({int(item.ReferencedFrameNumber) for item in references}) > 5
    (listed,) = segmentation.ReferencedSeriesSequence
    (instance,) = listed.ReferencedInstanceSequence
    assert (instance.ReferencedSOPInstanceUID,) == series.sop_uids
    assert "ReferencedFrameNumber" not in instance


def test_a_segmentation_that_names_another_frame_is_refused(
    series: CtSeries, labels: LabelMap
) -> None:
    segmentation = dcmread(BytesIO(encode_seg(labels, series, result_identity())))
    group = segmentation.PerFrameFunctionalGroupsSequence[0]
    source = group.DerivationImageSequence[0].SourceImageSequence[0]
    source.ReferencedFrameNumber = int(source.ReferencedFrameNumber) % 12 + 1
    buffer = BytesIO()
    segmentation.save_as(buffer, enforce_file_format=True)

    with pytest.raises(ImplausibleResult, match="another place"):
        verify_seg(buffer.getvalue(), labels, series)


def test_a_report_names_the_frame_of_its_level(series: CtSeries) -> None:
    encoded = encode_sr(full_report(), series, [], result_identity("sr"))

    cited = {
        (str(item.ReferencedSOPInstanceUID), int(item.ReferencedFrameNumber))
        for item in every_item(dcmread(BytesIO(encoded)))
        if "ReferencedFrameNumber" in item
    }
    assert cited == {(series.sop_uids[0], SHUFFLED.index(5) + 1)}


def every_item(item: Dataset) -> Iterator[Dataset]:
    yield item
    for element in item:
        if element.VR == "SQ":
            for child in element.value:
                yield from every_item(child)


def as_perfusion_map(image: Dataset) -> None:
    image.ImageType = ["DERIVED", "PRIMARY", "PERFUSION", "RCBF"]


def as_no_units(image: Dataset) -> None:
    groups = image.SharedFunctionalGroupsSequence[0]
    groups.PixelValueTransformationSequence[0].RescaleType = "US"


def without_a_group(image: Dataset) -> None:
    image.PerFrameFunctionalGroupsSequence = image.PerFrameFunctionalGroupsSequence[:-1]


def without_groups(image: Dataset) -> None:
    del image.PerFrameFunctionalGroupsSequence


def without_a_frame(image: Dataset) -> None:
    image.PixelData = image.PixelData[:-6144]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (as_perfusion_map, NoSuitableSeries),
        (as_no_units, UnsupportedGeometry),
        (without_a_group, UnreadableInput),
        (without_groups, UnreadableInput),
        (without_a_frame, UnreadableInput),
    ],
)
def test_what_is_no_stack_of_hounsfield_units_is_refused(
    change: object, error: type[Exception], tmp_path: Path
) -> None:
    assert callable(change)
    image = shuffled_image()
    change(image)

    with pytest.raises(error):
        load_series(save_all([image], tmp_path))


def test_an_enhanced_series_passes_the_choice_and_the_whole_analysis(tmp_path: Path) -> None:
    plain = next(base for base in base_series() if base.name == "explicit")
    slices = [dcmread(BytesIO(content)) for content in plain.files]
    save_all([enhanced_dataset(slices)], tmp_path / "ct")

    end = outcome(tmp_path / "ct", tmp_path / "out", fake_models(), is_written=True)

    assert end == "valid: written"
