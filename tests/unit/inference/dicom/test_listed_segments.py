"""From a network that labels what TotalSegmentator labels to segments and numbers that others read."""

from dataclasses import replace
from io import BytesIO

import highdicom as hd
import numpy as np
import numpy.typing as npt
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from inference.dicom.codes import STRUCTURE_CODES
from inference.dicom.ct_series import CtSeries
from inference.dicom.read_series import load_series
from inference.dicom.read_sr import measurements_from_sr
from inference.dicom.source_images import part10_bytes
from inference.dicom.verify_sr import verify_sr
from inference.dicom.write_seg import build_seg, encode_seg
from inference.dicom.write_sr import encode_sr
from inference.domain.errors import ImplausibleResult
from inference.domain.labelmap import LISTED, LabelMap, Structure
from inference.domain.manifest import UNREPORTED
from inference.domain.measurement import Report
from inference.domain.seg_encoding import SegEncoding
from inference.domain.volume import Volume, affine_from_axes
from inference.segment_organs import segment_organs
from inference.stages.measure import measure_organs
from tests.synthetic_series import result_identity, save_all, small_datasets
from tests.totalsegmentator_names import TOTAL
from tests.unit.inference.dicom.full_report import full_report
from tests.unit.inference.fake_predictors import FakePredictor, make_manifest
from tests.unit.inference.nnunet.test_recipe_in_manifest import RECIPE
from training.label_names import reported_as

STEPS_MM = (3.0, 2.0, 2.0)
SHAPE = (24, 48, 64)
UNKNOWN = f"{UNREPORTED}lung_nodule"
LABELS = ("background", *(reported_as(name) or "" for name in TOTAL), UNKNOWN)
STRUCTURES = {number: Structure(name) for number, name in enumerate(LABELS[1:-1], start=1)}
COLON, RIB = Structure("colon"), Structure("rib_right_12")
SPLEEN_ML_AND_MORE = (slice(2, 22), slice(0, 44), slice(0, 4))


def drawn() -> npt.NDArray[np.uint8]:
    """Numbers of labels: the spleen and the unknown in boxes, all others as rods of two voxels' width, some in pieces."""
    truth = np.zeros(SHAPE, np.uint8)
    for number in range(2, len(LABELS)):
        row, column = divmod(number - 2, 13)
        truth[3:9, 4 * row + 2 : 4 * row + 4, 4 * column + 8 : 4 * column + 10] = number
    truth[SPLEEN_ML_AND_MORE] = 1
    truth[23, 46, 2] = 1
    # A second loop of bowel far away, and the tip of a rib of which one slice shows one voxel.
    truth[21:23, 2:4, 60:62] = LABELS.index(COLON)
    truth[22, 46, 60] = LABELS.index(RIB)
    return truth


@pytest.fixture(scope="module")
def volume() -> Volume:
    """Every label has Hounsfield units of its own."""
    hu = drawn().astype(np.int16) * 8
    affine = affine_from_axes((-64.0, -48.0, 0.0), np.eye(3)[::-1], STEPS_MM)
    return Volume(hu=hu, affine_lps=affine)


def network() -> FakePredictor:
    recipe = replace(
        RECIPE, spacing_mm=STEPS_MM, clip=(0.0, 1000.0), mean=0.0, sd=1.0, channels=len(LABELS)
    )
    manifest = replace(make_manifest(labels=LABELS), recipe=recipe)
    centres = (8.0 * np.arange(len(LABELS))).reshape(1, -1, 1, 1, 1)

    return FakePredictor(manifest, lambda batch: -np.abs(batch - centres).astype(np.float32))


@pytest.fixture(scope="module")
def organs(volume: Volume) -> LabelMap:
    return segment_organs(volume, network(), (0.0,), lambda _stage, _share: None)


@pytest.fixture(scope="module")
def series(volume: Volume, tmp_path_factory: pytest.TempPathFactory) -> CtSeries:
    return load_series(save_all(small_datasets(volume), tmp_path_factory.mktemp("ct")))


@pytest.fixture(scope="module")
def segmentation(organs: LabelMap, series: CtSeries) -> Dataset:
    return build_seg(organs, series, result_identity("organs"))


@pytest.fixture(scope="module")
def report(volume: Volume, organs: LabelMap) -> Report:
    return replace(
        full_report(), level=None, body_composition=(), organs=measure_organs(volume, organs)
    )


@pytest.fixture(scope="module")
def encoded_sr(report: Report, series: CtSeries, segmentation: Dataset) -> bytes:
    return encode_sr(report, series, [segmentation], result_identity("sr"))


def test_everything_that_is_no_organ_of_ours_stays_as_the_network_labels_it(
    organs: LabelMap,
) -> None:
    expected = drawn()
    expected[expected == LABELS.index(UNKNOWN)] = 0
    # Of ours a speck far from the spleen goes, and rods of 0.3 ml are too small for organs.
    expected[23][expected[23] == 1] = 0
    for number, structure in STRUCTURES.items():
        if not structure.is_listed and structure != Structure.SPLEEN:
            expected[expected == number] = 0

    np.testing.assert_array_equal(organs.labels, expected)
    assert organs.structures == STRUCTURES


@pytest.mark.parametrize("encoding", SegEncoding)
def test_highdicom_reads_every_segment_with_its_codes_and_voxels(
    encoding: SegEncoding, organs: LabelMap, series: CtSeries
) -> None:
    encoded = encode_seg(organs, series, result_identity("organs"), encoding)

    segmentation = hd.seg.segread(BytesIO(encoded))

    read = segmentation.get_volume(combine_segments=True, allow_missing_positions=True)
    to_index = np.linalg.inv(series.volume.affine_lps) @ read.affine
    slices = [round((to_index @ (k, 0, 0, 1))[0]) for k in range(len(read.array))]
    assert len(segmentation.SegmentSequence) == 1 + len(LISTED)
    for described in segmentation.SegmentSequence:
        structure = Structure(described.tracking_id)
        code = STRUCTURE_CODES[structure]
        assert described.segmented_property_type == code.kind
        assert described.segmented_property_category == code.category
        assert described.segment_label == code.label
        assert [hd.sr.CodedConcept.from_dataset(c) for c in _sides(described)] == [
            side for side in (code.modifier, code.region_modifier) if side
        ]
        assert described.anatomic_regions == ([code.region] if code.region else [])
        np.testing.assert_array_equal(
            read.array == described.segment_number, organs.mask(structure)[slices]
        )


def _sides(segment: Dataset) -> list[Dataset]:
    kind = segment.SegmentedPropertyTypeCodeSequence[0]
    found = list(kind.get("SegmentedPropertyTypeModifierCodeSequence", []))
    for region in segment.get("AnatomicRegionSequence", []):
        found += region.AnatomicRegionModifierSequence
    return found


def test_the_object_does_not_call_bones_abdominal_organs(segmentation: Dataset) -> None:
    assert "Organs and other structures" in segmentation.SeriesDescription


def test_the_report_has_the_volume_of_each(encoded_sr: bytes) -> None:
    document = dcmread(BytesIO(encoded_sr))

    volumes = {
        m.tracking_id: m.value for m in measurements_from_sr(document) if m.concept == "118565006"
    }
    voxel_ml = np.prod(STEPS_MM) / 1000
    assert volumes[COLON.value] == pytest.approx((24 + 8) * voxel_ml)
    assert volumes[RIB.value] == pytest.approx((24 + 1) * voxel_ml)
    assert len(volumes) == 1 + len(LISTED)


@pytest.mark.parametrize("attribute", ["code", "side"])
def test_a_report_that_puts_a_cyst_elsewhere_is_refused(
    attribute: str,
    encoded_sr: bytes,
    report: Report,
    series: CtSeries,
    segmentation: Dataset,
) -> None:
    document = dcmread(BytesIO(encoded_sr))
    (site,) = [
        item
        for group in document.ContentSequence[-1].ContentSequence
        if group.ContentSequence[0].get("TextValue") == "kidney_cyst_left"
        for item in group.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "363698007"
    ]
    verify_sr(part10_bytes(document), report, series, [segmentation])
    place = site.ConceptCodeSequence[0]
    side = site.ContentSequence[0].ConceptCodeSequence[0]
    if attribute == "code":
        assert place.CodeValue == "64033007"
        place.CodeValue = "10200004"
    else:
        assert side.CodeValue == "7771000"
        side.CodeValue = "24028007"

    with pytest.raises(ImplausibleResult, match="a structure under another name"):
        verify_sr(part10_bytes(document), report, series, [segmentation])


def test_a_cyst_of_the_other_kidney_is_not_read_back_as_this_one(
    series: CtSeries, organs: LabelMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, right = (Structure(f"kidney_cyst_{side}") for side in ("left", "right"))
    codes = {side: STRUCTURE_CODES[side] for side in (left, right)}
    for one, other in ((left, right), (right, left)):
        swapped = replace(codes[one], region_modifier=codes[other].region_modifier)
        monkeypatch.setitem(STRUCTURE_CODES, one, swapped)

    with pytest.raises(ImplausibleResult, match="another side"):
        encode_seg(organs, series, result_identity("organs"))
