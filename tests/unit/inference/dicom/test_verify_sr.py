"""A structured report that says anything else than what was measured is never sent: one test per fault."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, EnhancedCTImageStorage

from inference.dicom.ct_series import CtSeries
from inference.dicom.read_series import load_series
from inference.dicom.read_sr import concept_of, group_items, items_below
from inference.dicom.source_images import part10_bytes
from inference.dicom.verify_sr import verify_sr
from inference.dicom.write_seg import build_seg
from inference.dicom.write_sr import encode_sr
from inference.domain.earlier_document import EarlierDocument
from inference.domain.errors import ImplausibleResult
from inference.domain.labelmap import FLARE22_ORGANS, TISSUES
from inference.domain.level_outcome import LevelOutcome
from inference.domain.measurement import Level
from inference.domain.volume import position_mm
from tests.synthetic_series import (
    result_identity,
    save_all,
    small_datasets,
    small_labels,
    small_volume,
)
from tests.unit.inference.dicom.full_report import full_report


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> CtSeries:
    return load_series(save_all(small_datasets(), tmp_path_factory.mktemp("ct")))


@pytest.fixture(scope="module")
def segmentations(series: CtSeries) -> list[Dataset]:
    grid = (series.volume.affine_lps, series.volume.shape)
    return [
        build_seg(small_labels(*grid, structures), series, result_identity(name))
        for name, structures in (("tissues", TISSUES), ("organs", FLARE22_ORGANS))
    ]


@pytest.fixture(scope="module")
def encoded(series: CtSeries, segmentations: list[Dataset]) -> bytes:
    return encode_sr(full_report(), series, segmentations, result_identity("sr"))


def item(document: Dataset, group: str, concept: str) -> Dataset:
    return next(
        child
        for tracking_id, child in group_items(document)
        if (tracking_id, concept_of(child).value) == (group, concept)
    )


def number(document: Dataset, group: str, concept: str) -> Dataset:
    value: Dataset = item(document, group, concept).MeasuredValueSequence[0]
    return value


def segment(document: Dataset, group: str) -> Dataset:
    found: Dataset = next(
        reference
        for tracking_id, child in group_items(document)
        if tracking_id == group
        for reference in child.get("ReferencedSOPSequence", [])
        if "ReferencedSegmentNumber" in reference
    )
    return found


def side(document: Dataset, group: str) -> Dataset:
    site = item(document, group, "363698007")
    code: Dataset = site.ContentSequence[0].ConceptCodeSequence[0]
    return code


def another_area(document: Dataset) -> None:
    value = number(document, "skeletal_muscle", "42798000")
    value.FloatingPointValue = float(value.FloatingPointValue) + 0.001


def another_area_shown(document: Dataset) -> None:
    number(document, "skeletal_muscle", "42798000").NumericValue = "999"


def square_millimetres(document: Dataset) -> None:
    value = number(document, "skeletal_muscle", "42798000")
    value.MeasurementUnitsCodeSequence[0].CodeValue = "mm2"


def area_under_the_name_of_volume(document: Dataset) -> None:
    name = item(document, "visceral_fat", "42798000").ConceptNameCodeSequence[0]
    name.CodeValue = "118565006"


def a_code_of_another_scheme(document: Dataset) -> None:
    name = item(document, "visceral_fat", "42798000").ConceptNameCodeSequence[0]
    name.CodingSchemeDesignator = "SRT"


def an_invented_height(document: Dataset) -> None:
    number(document, "patient", "8302-2").FloatingPointValue = 1.7


def a_group_less(document: Dataset) -> None:
    for container in items_below(document):
        children = container.get("ContentSequence", [])
        if children and concept_of(children[0]).value == "125007":
            del container.ContentSequence[-1]
            return


def a_flag_less(document: Dataset) -> None:
    item(document, "result", "FLAG").ConceptNameCodeSequence[0].CodeValue = "DEF"


def another_flag(document: Dataset) -> None:
    item(document, "result", "FLAG").TextValue = "all is well"


def another_verdict(document: Dataset) -> None:
    group = "cut_off/kr-kim-2021/skeletal_muscle/area_per_height2"
    item(document, group, "CUT_OFF_RESULT").ConceptCodeSequence[0].CodeValue = "NOT_LOW"


def another_model(document: Dataset) -> None:
    text = item(document, "result", "MODEL")
    text.TextValue = str(text.TextValue).replace("a" * 64, "c" * 64)


def swapped_kidney_segments(document: Dataset) -> None:
    right, left = segment(document, "kidney_right"), segment(document, "kidney_left")
    numbers = left.ReferencedSegmentNumber, right.ReferencedSegmentNumber
    right.ReferencedSegmentNumber, left.ReferencedSegmentNumber = numbers


def swapped_kidney_sides(document: Dataset) -> None:
    right, left = side(document, "kidney_right"), side(document, "kidney_left")
    right.CodeValue, left.CodeValue = left.CodeValue, right.CodeValue


def the_spleen_named_liver(document: Dataset) -> None:
    item(document, "spleen", "121071").ConceptCodeSequence[0].CodeValue = "10200004"


def the_neighbouring_slice(document: Dataset) -> None:
    uids = _slice_uids(document)
    for child in items_below(document):
        for reference in child.get("ReferencedSOPSequence", []):
            if str(reference.ReferencedSOPInstanceUID) in uids:
                reference.ReferencedSOPInstanceUID = NEIGHBOUR[0]


def another_image_number(document: Dataset) -> None:
    item(document, "l3", "LEVEL_IMAGE").TextValue = "99"


def a_foreign_tracking_uid(document: Dataset) -> None:
    item(document, "liver", "112040").UID = "2.25.1"


def a_shifted_region(document: Dataset) -> None:
    outline = next(i for i in items_below(document) if i.get("ValueType") == "SCOORD")
    outline.GraphicData = [value + 1 for value in outline.GraphicData]


def another_patient(document: Dataset) -> None:
    document.PatientID = "SOMEBODY-ELSE"


def a_verified_document(document: Dataset) -> None:
    document.VerificationFlag = "VERIFIED"


NEIGHBOUR: list[str] = []


def _slice_uids(document: Dataset) -> set[str]:
    library = next(i for i in items_below(document) if concept_of(i).value == "111028")
    return {
        str(reference.ReferencedSOPInstanceUID)
        for child in items_below(library)
        for reference in child.get("ReferencedSOPSequence", [])
    }


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (another_area, "other numbers"),
        (another_area_shown, "shown otherwise"),
        (square_millimetres, "other numbers"),
        (area_under_the_name_of_volume, "other numbers"),
        (a_code_of_another_scheme, "other numbers"),
        (an_invented_height, "other numbers"),
        (a_group_less, "other numbers"),
        (a_flag_less, "other texts"),
        (another_flag, "other texts"),
        (another_verdict, "other texts"),
        (another_model, "other texts"),
        (swapped_kidney_segments, "another segment"),
        (swapped_kidney_sides, "another name"),
        (the_spleen_named_liver, "another name"),
        (the_neighbouring_slice, "another slice"),
        (another_image_number, "another image number"),
        (a_foreign_tracking_uid, "another segment"),
        (a_shifted_region, "another region"),
        (another_patient, "another patient"),
        (a_verified_document, "another patient"),
    ],
)
def test_each_fault_is_refused(
    fault: Callable[[Dataset], None],
    named: str,
    encoded: bytes,
    series: CtSeries,
    segmentations: list[Dataset],
) -> None:
    NEIGHBOUR[:] = [str(series.headers[6].SOPInstanceUID)]
    document = dcmread(BytesIO(encoded))
    fault(document)

    with pytest.raises(ImplausibleResult, match=named):
        verify_sr(part10_bytes(document), full_report(), series, segmentations)


def a_level_that_is_sure(document: Dataset) -> None:
    item(document, "l3", "LEVEL_OUTCOME").ConceptCodeSequence[0].CodeValue = "L3_FOUND"


def another_reason_for_doubt(document: Dataset) -> None:
    item(document, "l3", "LEVEL_REASON").TextValue = "no doubt"


@pytest.mark.parametrize("fault", [a_level_that_is_sure, another_reason_for_doubt])
def test_a_doubt_of_the_level_that_is_not_written_is_refused(
    fault: Callable[[Dataset], None], series: CtSeries, segmentations: list[Dataset]
) -> None:
    doubted = replace(
        full_report(), level_outcome=LevelOutcome.UNCERTAIN, level_reasons=("34 mm apart",)
    )
    encoded = encode_sr(doubted, series, segmentations, result_identity("sr"))
    verify_sr(encoded, doubted, series, segmentations)
    document = dcmread(BytesIO(encoded))
    fault(document)

    with pytest.raises(ImplausibleResult, match="other texts"):
        verify_sr(part10_bytes(document), doubted, series, segmentations)


def test_an_invented_doubt_is_refused(series: CtSeries, segmentations: list[Dataset]) -> None:
    invented = replace(full_report(), level_reasons=("34 mm apart",))
    encoded = encode_sr(invented, series, segmentations, result_identity("sr"))

    with pytest.raises(ImplausibleResult, match="other texts"):
        verify_sr(encoded, full_report(), series, segmentations)


def test_the_sound_document_is_accepted(
    encoded: bytes, series: CtSeries, segmentations: list[Dataset]
) -> None:
    verify_sr(encoded, full_report(), series, segmentations)


@pytest.mark.parametrize(
    ("written", "wanted"), [((), ("1.2.3",)), (("1.2.3",), ()), (("1.2.3",), ("1.2.4",))]
)
def test_a_document_that_replaces_another_report_than_it_should_is_refused(
    series: CtSeries, written: tuple[str, ...], wanted: tuple[str, ...]
) -> None:
    earlier = [
        EarlierDocument(
            role="sr",
            study_uid="1.2",
            series_uid="1.2.1",
            sop_uid=uid,
            sop_class_uid=Comprehensive3DSRStorage,
        )
        for uid in written
    ]
    encoded = encode_sr(full_report(), series, [], result_identity("sr"), predecessors=earlier)

    with pytest.raises(ImplausibleResult, match="another earlier report"):
        verify_sr(encoded, full_report(), series, [], wanted)
    verify_sr(encoded, full_report(), series, [], written)


def test_a_slice_that_does_not_lie_at_the_level_is_refused(series: CtSeries) -> None:
    level = full_report().level
    assert isinstance(level, Level)
    report = replace(full_report(), level=replace(level, z_mm=level.z_mm + 6))

    with pytest.raises(ImplausibleResult, match="another slice"):
        encode_sr(report, series, [], result_identity("sr"))


@pytest.mark.parametrize("source", ["", "L3 set by hand by ada at 2026-01-02 03:04 UTC"])
def test_another_hand_that_set_the_level_is_refused(series: CtSeries, source: str) -> None:
    level = full_report().level
    assert isinstance(level, Level)
    by_otto = replace(
        level, confidence=None, source="L3 set by hand by otto at 2026-01-02 03:04 UTC"
    )
    report = replace(full_report(), level=by_otto)
    encoded = encode_sr(report, series, [], result_identity("sr"))

    with pytest.raises(ImplausibleResult, match="other texts"):
        verify_sr(encoded, replace(report, level=replace(by_otto, source=source)), series, [])
    verify_sr(encoded, report, series, [])


def multi_frame(series: CtSeries) -> CtSeries:
    """The same slices as the frames of one image, the last slice being its first frame."""
    headers = []
    for header in series.headers:
        frame = Dataset()
        frame.update(header)
        frame.add_new("SOPClassUID", "UI", EnhancedCTImageStorage)
        frame.add_new("SOPInstanceUID", "UI", "2.25.77")
        headers.append(frame)
    numbers = tuple(range(len(headers), 0, -1))
    return replace(series, headers=tuple(headers), sop_uids=("2.25.77",), frame_numbers=numbers)


def test_a_slice_of_a_multi_frame_image_is_referred_to_by_its_frame(series: CtSeries) -> None:
    enhanced = multi_frame(series)
    encoded = encode_sr(full_report(), enhanced, [], result_identity("sr"))
    document = dcmread(BytesIO(encoded))

    frames = {
        reference.ReferencedFrameNumber
        for child in items_below(document)
        for reference in child.get("ReferencedSOPSequence", [])
    }
    assert frames == {len(series.headers) - 5}
    assert item(document, "l3", "LEVEL_IMAGE").TextValue == str(len(series.headers) - 5)


def test_another_frame_is_refused(series: CtSeries) -> None:
    enhanced = multi_frame(series)
    document = dcmread(BytesIO(encode_sr(full_report(), enhanced, [], result_identity("sr"))))
    for child in items_below(document):
        for reference in child.get("ReferencedSOPSequence", []):
            reference.ReferencedFrameNumber = 1

    with pytest.raises(ImplausibleResult, match="another slice"):
        verify_sr(part10_bytes(document), full_report(), enhanced, [])


@pytest.mark.parametrize(("row", "is_refused"), [(0, False), (63, False), (-64, True), (127, True)])
def test_a_tilted_slice_may_meet_the_level_anywhere_in_the_picture(
    row: int, is_refused: bool, tmp_path: Path
) -> None:
    angle = math.radians(5)
    normal, down = (0.0, -math.sin(angle), math.cos(angle)), (0.0, math.cos(angle), math.sin(angle))
    tilted = small_volume(spacing_mm=(1.0, 2.0, 2.0), axes_lps=(normal, down, (1.0, 0.0, 0.0)))
    series = load_series(save_all(small_datasets(tilted), tmp_path / "ct"))
    z_mm = float(position_mm(series.volume.affine_lps, [[5, row, 0]])[0, 2])
    level = Level(slice_index=5, z_mm=z_mm, confidence=0.9, extent_mm=(z_mm - 14, z_mm + 14))
    report = replace(full_report(), level=level)

    with pytest.raises(ImplausibleResult) if is_refused else nullcontext():
        encode_sr(report, series, [], result_identity("sr"))
