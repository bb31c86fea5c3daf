"""A Segmentation holds exactly the labels it was made from, at the same place in the patient."""

from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian

from inference.dicom.ct_series import CtSeries
from inference.dicom.read_seg import verify_seg
from inference.dicom.read_series import load_series
from inference.dicom.source_images import part10_bytes
from inference.dicom.write_seg import build_seg, encode_seg
from inference.domain.labelmap import FLARE22_ORGANS, TISSUES, LabelMap, Structure
from inference.domain.seg_encoding import SegEncoding
from tests.highdicom_reference import reference_seg
from tests.synthetic_series import (
    AXIAL,
    result_identity,
    save_all,
    small_datasets,
    small_labels,
    small_volume,
)


@pytest.fixture
def series(tmp_path: Path) -> CtSeries:
    return load_series(save_all(small_datasets(order="shuffled"), tmp_path))


def labels_of(series: CtSeries, structures: tuple[Structure, ...] = FLARE22_ORGANS) -> LabelMap:
    return small_labels(series.volume.affine_lps, series.volume.shape, structures)


def test_reading_back_gives_every_mask_voxel_by_voxel(series: CtSeries) -> None:
    labels = labels_of(series)
    encoded = encode_seg(labels, series, result_identity())

    segmentation = hd.seg.segread(BytesIO(encoded))
    volume = segmentation.get_volume(combine_segments=True, allow_missing_positions=True)

    # highdicom puts the slices in an order of its own; its affine says which.
    to_index = np.linalg.inv(series.volume.affine_lps) @ volume.affine
    for k, plane in enumerate(volume.array):
        index = to_index @ (k, 0, 0, 1)
        assert index[:3] == pytest.approx((round(index[0]), 0, 0), abs=1e-6)
        assert np.array_equal(plane, labels.labels[round(index[0])])
    assert np.count_nonzero(volume.array) == np.count_nonzero(labels.labels)


@pytest.mark.parametrize(
    "axes_lps",
    [AXIAL, ((0, 0, 1), (0, -1, 0), (-1, 0, 0)), ((0, 0, -1), (0, 1, 0), (-1, 0, 0))],
)
def test_the_round_trip_holds_in_every_orientation(
    axes_lps: tuple[tuple[float, ...], ...], tmp_path: Path
) -> None:
    volume = small_volume(axes_lps=axes_lps)
    series = load_series(save_all(small_datasets(volume), tmp_path))
    labels = labels_of(series, TISSUES)

    encoded = encode_seg(labels, series, result_identity())

    verify_seg(encoded, labels, series)


def test_frames_whose_bits_do_not_fill_bytes_survive(tmp_path: Path) -> None:
    volume = small_volume(shape=(12, 23, 41))
    series = load_series(save_all(small_datasets(volume), tmp_path))
    labels = labels_of(series, TISSUES)

    verify_seg(encode_seg(labels, series, result_identity()), labels, series)


def test_segment_numbers_are_contiguous_over_the_structures_present(series: CtSeries) -> None:
    present = (Structure.KIDNEY_LEFT, Structure.LIVER, Structure.SPLEEN)
    labels = labels_of(series, present)
    absent = LabelMap(
        labels=labels.labels,
        affine_lps=labels.affine_lps,
        structures={**labels.structures, 9: Structure.AORTA},
    )

    segmentation = build_seg(absent, series, result_identity())

    found = [(int(s.SegmentNumber), s.SegmentLabel) for s in segmentation.SegmentSequence]
    assert found == [(1, "Liver"), (2, "Spleen"), (3, "Left kidney")]


def test_each_kidney_carries_its_own_side(series: CtSeries) -> None:
    labels = labels_of(series, (Structure.KIDNEY_RIGHT, Structure.KIDNEY_LEFT))

    segmentation = build_seg(labels, series, result_identity())

    sides = [
        segment.SegmentedPropertyTypeCodeSequence[0]
        .SegmentedPropertyTypeModifierCodeSequence[0]
        .CodeMeaning
        for segment in segmentation.SegmentSequence
    ]
    assert sides == ["Right", "Left"]


def test_the_same_job_gives_the_same_bytes(series: CtSeries) -> None:
    labels = labels_of(series, TISSUES)

    first = encode_seg(labels, series, result_identity())

    assert encode_seg(labels, series, result_identity()) == first


def test_the_object_says_what_made_it(series: CtSeries) -> None:
    segmentation = build_seg(labels_of(series, TISSUES), series, result_identity())

    segment = segmentation.SegmentSequence[0]
    algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("l3-tissue", "1.0.0")
    assert "0123456789abcdef" * 4 in algorithm.AlgorithmParameters
    assert segment.TrackingID == "skeletal_muscle"
    assert "research use" in segmentation.SeriesDescription
    assert segmentation.SegmentationType == "BINARY"
    assert segmentation.SeriesInstanceUID == result_identity().series_instance_uid


def test_the_model_is_contributing_equipment(series: CtSeries) -> None:
    segmentation = build_seg(labels_of(series), series, result_identity())

    ours = [e for e in segmentation.ContributingEquipmentSequence if e.Manufacturer == "Habitus"]
    assert [(e.ManufacturerModelName, e.SoftwareVersions) for e in ours] == [("l3-tissue", "1.0.0")]


@pytest.mark.parametrize("slices", [slice(5, 6), slice(4, 8)])
def test_a_single_structure_makes_a_segmentation(slices: slice, series: CtSeries) -> None:
    labels = labels_of(series, (Structure.SPLEEN,))
    labels.labels[: slices.start] = 0
    labels.labels[slices.stop :] = 0

    verify_seg(encode_seg(labels, series, result_identity()), labels, series)


def test_slices_without_any_label_in_between_are_left_out(series: CtSeries) -> None:
    labels = labels_of(series, (Structure.LIVER, Structure.SPLEEN))
    labels.labels[4:6] = 0

    verify_seg(encode_seg(labels, series, result_identity()), labels, series)


def test_one_slice_carries_its_spacing(series: CtSeries) -> None:
    labels = labels_of(series, TISSUES)
    labels.labels[:5] = 0
    labels.labels[6:] = 0

    segmentation = build_seg(labels, series, result_identity())

    measures = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert float(measures.SpacingBetweenSlices) == pytest.approx(2.5)
    assert float(measures.SliceThickness) == pytest.approx(2.5)


def test_an_empty_label_map_is_a_mistake_of_the_caller(series: CtSeries) -> None:
    labels = labels_of(series)
    labels.labels[:] = 0

    with pytest.raises(ValueError, match="empty"):
        build_seg(labels, series, result_identity())


@pytest.mark.parametrize("name", ["HONG GILDONG", "Hong^Gildong=洪^吉洞=홍^길동", "^^^", "A" * 80])
def test_names_of_any_form_reach_the_result_and_no_log(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    datasets = small_datasets()
    for dataset in datasets:
        dataset.add_new("PatientName", "PN", "")
        dataset.PatientName = name if len(name) < 64 else ""
    series = load_series(save_all(datasets, tmp_path))

    segmentation = build_seg(labels_of(series, TISSUES), series, result_identity())

    again = dcmread(BytesIO(part10_bytes(segmentation)))
    assert str(again.PatientName) == (name if len(name) < 64 else "")
    assert name not in caplog.text


def test_a_name_in_a_korean_character_set_is_written_as_utf_8(tmp_path: Path) -> None:
    datasets = small_datasets()
    for dataset in datasets:
        dataset.SpecificCharacterSet = ["", "ISO 2022 IR 149"]
        dataset.PatientName = "Hong^Gildong=洪^吉洞=홍^길동"
        dataset.StudyDescription = "복부"
    series = load_series(save_all(datasets, tmp_path))

    encoded = encode_seg(labels_of(series, TISSUES), series, result_identity())

    assert "Hong^Gildong=洪^吉洞=홍^길동".encode() in encoded
    assert "복부".encode() in encoded
    assert dcmread(BytesIO(encoded)).SpecificCharacterSet == "ISO_IR 192"


@pytest.mark.parametrize("structures", [FLARE22_ORGANS, TISSUES[:1]], ids=["organs", "one"])
@pytest.mark.parametrize("shape", [(12, 64, 48), (12, 23, 41)], ids=["whole-bytes", "odd-bits"])
def test_the_file_is_the_one_highdicom_writes(
    structures: tuple[Structure, ...], shape: tuple[int, int, int], tmp_path: Path
) -> None:
    series = load_series(save_all(small_datasets(small_volume(shape=shape)), tmp_path))
    labels = labels_of(series, structures)
    labels.labels[6] = 0

    ours = encode_seg(labels, series, result_identity())

    reference = reference_seg(labels, series, result_identity())
    assert dcmread(BytesIO(ours)).PixelData[:-1] == dcmread(BytesIO(reference)).PixelData[:-1]
    # highdicom pads an odd number of bytes with the character 0 instead of the byte.
    assert ours[:-1] == reference[:-1]


def test_the_labelmap_is_the_one_highdicom_writes_without_background(series: CtSeries) -> None:
    labels = labels_of(series)

    ours = encode_seg(labels, series, result_identity(), SegEncoding.LABELMAP)

    assert ours == reference_seg(labels, series, result_identity(), SegEncoding.LABELMAP)


def test_a_labelmap_has_no_item_for_the_background(series: CtSeries) -> None:
    labels = labels_of(series)

    encoded = encode_seg(labels, series, result_identity(), SegEncoding.LABELMAP)

    written = dcmread(BytesIO(encoded))
    assert written.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.7"
    assert [int(s.SegmentNumber) for s in written.SegmentSequence] == list(range(1, 14))
    # Slices 0 and 11 are empty in the small labels.
    assert np.array_equal(
        np.sort(written.pixel_array, axis=0), np.sort(labels.labels[1:-2], axis=0)
    )


def test_a_deflated_file_holds_the_same_data_set(series: CtSeries) -> None:
    labels = labels_of(series)

    plain = encode_seg(labels, series, result_identity())
    deflated = encode_seg(labels, series, result_identity(), SegEncoding.BINARY_DEFLATED)

    assert dcmread(BytesIO(deflated)) == dcmread(BytesIO(plain))
    assert dcmread(BytesIO(deflated)).file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
    assert len(deflated) < len(plain) / 3
