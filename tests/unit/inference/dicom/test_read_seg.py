"""No fault between the mask and the file's last byte gets past the reading back."""

import ast
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

import inference.dicom.read_seg
from inference.dicom.codes import STRUCTURE_CODES
from inference.dicom.ct_series import CtSeries
from inference.dicom.identity import derive_uid
from inference.dicom.read_seg import verify_seg
from inference.dicom.read_series import load_series
from inference.dicom.source_images import part10_bytes
from inference.dicom.write_seg import encode_seg, seg_content, unproven_seg
from inference.domain.errors import ImplausibleResult
from inference.domain.labelmap import FLARE22_ORGANS, LabelMap, Structure
from inference.domain.seg_encoding import SegEncoding
from inference.domain.volume import Volume
from tests.synthetic_series import result_identity, save_all, small_datasets, small_labels

KIDNEYS = (Structure.KIDNEY_RIGHT, Structure.KIDNEY_LEFT)
FOREIGN = derive_uid("foreign")


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> CtSeries:
    folder = tmp_path_factory.mktemp("ct")
    return load_series(save_all(small_datasets(order="shuffled"), folder))


@pytest.fixture(scope="module")
def labels(series: CtSeries) -> LabelMap:
    return small_labels(series.volume.affine_lps, series.volume.shape, FLARE22_ORGANS)


@pytest.fixture(scope="module")
def encoded(labels: LabelMap, series: CtSeries) -> bytes:
    return encode_seg(labels, series, result_identity())


def with_labels(labels: LabelMap, change: Callable[[np.ndarray], np.ndarray]) -> LabelMap:
    return replace(labels, labels=np.ascontiguousarray(change(labels.labels)))


def kidneys_swapped(labels: np.ndarray) -> np.ndarray:
    right, left = (FLARE22_ORGANS.index(kidney) + 1 for kidney in KIDNEYS)
    swapped = labels.copy()
    swapped[labels == right], swapped[labels == left] = left, right
    return swapped


def one_voxel_more(labels: np.ndarray) -> np.ndarray:
    more = labels.copy()
    more[5, 0, 0] = 1
    return more


MASK_FAULTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "z flip": lambda labels: labels[::-1],
    "y flip": lambda labels: labels[:, ::-1],
    "x flip": lambda labels: labels[:, :, ::-1],
    "shift by one slice": lambda labels: np.roll(labels, 1, axis=0),
    "shift by one column": lambda labels: np.roll(labels, 1, axis=2),
    "swapped kidneys": kidneys_swapped,
    "one voxel more": one_voxel_more,
    "a slice left out": lambda labels: (
        labels * (np.arange(12) != 5)[:, None, None].astype(np.uint8)
    ),
}


@pytest.mark.parametrize("encoding", SegEncoding)
@pytest.mark.parametrize("fault", MASK_FAULTS)
def test_a_fault_of_the_mask_before_writing_is_refused(
    fault: str, encoding: SegEncoding, series: CtSeries, labels: LabelMap
) -> None:
    faulty = with_labels(labels, MASK_FAULTS[fault])
    written = unproven_seg(seg_content(faulty, series, result_identity()), encoding)

    with pytest.raises(ImplausibleResult, match="voxels"):
        verify_seg(written, labels, series)


def changed_headers(series: CtSeries, change: Callable[[Dataset, int], None]) -> CtSeries:
    """The series as a reader that errs would hand it to the writer."""
    headers = []
    for index, header in enumerate(series.headers):
        changed = deepcopy(header)
        change(changed, index)
        headers.append(changed)
    return replace(series, headers=tuple(headers))


def moved(series: CtSeries, order: Callable[[list[list[float]]], list[list[float]]]) -> CtSeries:
    positions = order([list(header.ImagePositionPatient) for header in series.headers])

    def change(header: Dataset, index: int) -> None:
        header.ImagePositionPatient = positions[index]

    return changed_headers(series, change)


def mirrored(header: Dataset, _: int) -> None:
    header.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]


def spacing_swapped(series: CtSeries) -> CtSeries:
    def swap(header: Dataset, _: int) -> None:
        header.PixelSpacing = list(header.PixelSpacing)[::-1]

    _, row_mm, column_mm = series.volume.spacing_mm
    affine = series.volume.affine_lps.copy()
    affine[:3, 1] *= column_mm / row_mm
    affine[:3, 2] *= row_mm / column_mm
    volume = Volume(hu=series.volume.hu, affine_lps=affine)
    return replace(changed_headers(series, swap), volume=volume)


def stretched(series: CtSeries) -> CtSeries:
    affine = series.volume.affine_lps.copy()
    affine[:3, 0] *= 2
    return replace(series, volume=Volume(hu=series.volume.hu, affine_lps=affine))


SERIES_FAULTS: dict[str, tuple[Callable[[CtSeries], CtSeries], str]] = {
    "foreign frame of reference": (
        lambda series: replace(series, frame_of_reference_uid=FOREIGN),
        "FrameOfReferenceUID",
    ),
    "foreign study": (lambda series: replace(series, study_uid=FOREIGN), "StudyInstanceUID"),
    "swapped spacing": (spacing_swapped, "turned or stretched"),
    "mirrored orientation": (
        lambda series: changed_headers(series, mirrored),
        "turned or stretched",
    ),
    "positions in reverse": (lambda series: moved(series, lambda p: p[::-1]), "another place"),
    "positions shifted by one": (
        lambda series: moved(series, lambda p: [*p[1:], p[0]]),
        "another place",
    ),
    "slices in reverse": (
        lambda series: replace(series, headers=series.headers[::-1]),
        "other voxels",
    ),
    "another step between slices": (stretched, "another step"),
}


@pytest.mark.parametrize("fault", SERIES_FAULTS)
def test_a_fault_of_the_series_before_writing_is_refused(
    fault: str, series: CtSeries, labels: LabelMap
) -> None:
    change, named = SERIES_FAULTS[fault]
    content = seg_content(labels, change(series), result_identity())
    written = unproven_seg(content, SegEncoding.BINARY)

    with pytest.raises(ImplausibleResult, match=named):
        verify_seg(written, labels, series)


def flip_a_bit(seg: Dataset) -> None:
    pixels = bytearray(seg.PixelData)
    pixels[400] ^= 1
    seg.PixelData = bytes(pixels)


def move_a_frame(seg: Dataset) -> None:
    place = seg.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    x, y, z = place.ImagePositionPatient
    place.ImagePositionPatient = [x, y, z + 2.5]


def refer_to_the_next_slice(seg: Dataset) -> None:
    first, second = (
        group.DerivationImageSequence[0].SourceImageSequence[0]
        for group in seg.PerFrameFunctionalGroupsSequence[:2]
    )
    first.ReferencedSOPInstanceUID = second.ReferencedSOPInstanceUID


def refer_to_another_series(seg: Dataset) -> None:
    group = seg.PerFrameFunctionalGroupsSequence[0]
    group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID = FOREIGN


def swap_frames(seg: Dataset) -> None:
    groups = seg.PerFrameFunctionalGroupsSequence
    groups[0], groups[-1] = groups[-1], groups[0]


def swap_ranks(seg: Dataset) -> None:
    first, second = (g.FrameContentSequence[0] for g in seg.PerFrameFunctionalGroupsSequence[:2])
    first.DimensionIndexValues, second.DimensionIndexValues = (
        second.DimensionIndexValues,
        first.DimensionIndexValues,
    )


def index_another_segment(seg: Dataset) -> None:
    content = seg.PerFrameFunctionalGroupsSequence[0].FrameContentSequence[0]
    content.DimensionIndexValues = [2, content.DimensionIndexValues[1]]


def swap_sides(seg: Dataset) -> None:
    right, left = (seg.SegmentSequence[FLARE22_ORGANS.index(kidney)] for kidney in KIDNEYS)
    kinds = [s.SegmentedPropertyTypeCodeSequence[0] for s in (right, left)]
    sides = [kind.SegmentedPropertyTypeModifierCodeSequence for kind in kinds]
    kinds[0].SegmentedPropertyTypeModifierCodeSequence = sides[1]
    kinds[1].SegmentedPropertyTypeModifierCodeSequence = sides[0]


def swap_names(seg: Dataset) -> None:
    right, left = (seg.SegmentSequence[FLARE22_ORGANS.index(kidney)] for kidney in KIDNEYS)
    right.SegmentLabel, left.SegmentLabel = left.SegmentLabel, right.SegmentLabel


def swap_segments(seg: Dataset) -> None:
    liver, kidney = seg.SegmentSequence[:2]
    liver.SegmentNumber, kidney.SegmentNumber = 2, 1


def leave_a_segment_out(seg: Dataset) -> None:
    del seg.SegmentSequence[-1]


def swap_spacing(seg: Dataset) -> None:
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.PixelSpacing = list(measures.PixelSpacing)[::-1]


def double_the_step(seg: Dataset) -> None:
    seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = 5


def mirror(seg: Dataset) -> None:
    plane = seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    plane.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]


def change_the_frame_of_reference(seg: Dataset) -> None:
    seg.FrameOfReferenceUID = FOREIGN


def change_the_patient(seg: Dataset) -> None:
    seg.PatientID = "SOMEBODY"


def swap_rows_and_columns(seg: Dataset) -> None:
    seg.Rows, seg.Columns = seg.Columns, seg.Rows


def cut_the_pixels(seg: Dataset) -> None:
    seg.PixelData = seg.PixelData[:-2]


def leave_a_frame_out(seg: Dataset) -> None:
    del seg.PerFrameFunctionalGroupsSequence[-1]


def leave_the_frames_of_a_segment_out(seg: Dataset) -> None:
    groups = seg.PerFrameFunctionalGroupsSequence
    kept = [g for g in groups if g.SegmentIdentificationSequence[0].ReferencedSegmentNumber < 13]
    seg.PerFrameFunctionalGroupsSequence = kept
    seg.NumberOfFrames = len(kept)


def remove_positions(seg: Dataset) -> None:
    del seg.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence


BYTE_FAULTS: dict[Callable[[Dataset], None], str] = {
    flip_a_bit: "other voxels",
    move_a_frame: "another place",
    refer_to_the_next_slice: "another place",
    refer_to_another_series: "no slice of the series",
    swap_frames: "other voxels",
    swap_ranks: "another order",
    index_another_segment: "another segment",
    swap_sides: "another side",
    swap_names: "another side",
    swap_segments: "unknown segment",
    leave_a_segment_out: "no segment",
    swap_spacing: "turned or stretched",
    double_the_step: "another step",
    mirror: "turned or stretched",
    change_the_frame_of_reference: "FrameOfReferenceUID",
    change_the_patient: "PatientID",
    swap_rows_and_columns: "turned or stretched|matrix",
    cut_the_pixels: "too few pixels",
    leave_a_frame_out: "number of frames",
    leave_the_frames_of_a_segment_out: "number of voxels",
    remove_positions: "cannot be read",
}


@pytest.mark.parametrize("fault", BYTE_FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_in_the_bytes_is_refused(
    fault: Callable[[Dataset], None], encoded: bytes, labels: LabelMap, series: CtSeries
) -> None:
    segmentation = dcmread(BytesIO(encoded))
    fault(segmentation)

    with pytest.raises(ImplausibleResult, match=BYTE_FAULTS[fault]):
        verify_seg(part10_bytes(segmentation), labels, series)


@pytest.mark.parametrize("length", [0, 100, 400, 3000])
def test_a_cut_file_is_refused(
    length: int, encoded: bytes, labels: LabelMap, series: CtSeries
) -> None:
    with pytest.raises(ImplausibleResult):
        verify_seg(encoded[:length], labels, series)


def test_sides_swapped_in_our_own_table_are_refused(
    labels: LabelMap, series: CtSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, left = (STRUCTURE_CODES[kidney] for kidney in KIDNEYS)
    monkeypatch.setitem(STRUCTURE_CODES, KIDNEYS[0], replace(right, modifier=left.modifier))
    monkeypatch.setitem(STRUCTURE_CODES, KIDNEYS[1], replace(left, modifier=right.modifier))

    with pytest.raises(ImplausibleResult, match="another side"):
        encode_seg(labels, series, result_identity())


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mask_that_was_not_turned_back_is_refused(
    axis: int, labels: LabelMap, series: CtSeries
) -> None:
    affine = labels.affine_lps.copy()
    affine[:3, 3] += affine[:3, axis] * (labels.labels.shape[axis] - 1)
    affine[:3, axis] *= -1
    turned = replace(labels, labels=np.flip(labels.labels, axis), affine_lps=affine)

    with pytest.raises(ImplausibleResult, match="mask at another place"):
        encode_seg(turned, series, result_identity())


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mask_that_claims_to_lie_one_step_off_is_refused(
    axis: int, labels: LabelMap, series: CtSeries
) -> None:
    affine = labels.affine_lps.copy()
    affine[:3, 3] += affine[:3, axis]

    with pytest.raises(ImplausibleResult, match="mask at another place"):
        encode_seg(replace(labels, affine_lps=affine), series, result_identity())


def test_a_mask_of_fewer_slices_is_refused(
    encoded: bytes, labels: LabelMap, series: CtSeries
) -> None:
    shorter = replace(labels, labels=labels.labels[:-1])

    with pytest.raises(ImplausibleResult, match="number of slices"):
        verify_seg(encoded, shorter, series)


def test_the_proof_uses_nothing_of_the_writer() -> None:
    tree = ast.parse(Path(inference.dicom.read_seg.__file__).read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    forbidden = {f"inference.dicom.{name}" for name in ("write_seg", "seg_frames", "source_images")}
    assert modules & (forbidden | {"inference.domain.volume", "inference.dicom.geometry"}) == set()
    assert not any(name and name.startswith("highdicom") for name in modules)
