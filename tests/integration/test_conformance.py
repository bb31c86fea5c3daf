"""The first geometries of `make conformance` are clean, and every check of it sees the fault it is there for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from inference.domain.labelmap import Structure
from inference.domain.measurement import Report
from tests.conformance.__main__ import FIRST_SEED, missing_programs, table
from tests.conformance.checks import Row, check_geometry, check_results
from tests.conformance.comparison import centroids_by_headers
from tests.conformance.geometry_cases import Geometry, load_geometries, write_case
from tests.conformance.other_readers import Centroids
from tests.conformance.truth_analysis import true_analysis, write_objects
from tests.conformance.validators import (
    Validator,
    dcentvfy,
    dciodvfy,
    dcm2pnm,
    dsrdump,
    highdicom_segread,
    is_warning,
    pydicom_strict,
)
from tests.synthetic_series import chosen_series

pytestmark = [
    pytest.mark.validators,
    pytest.mark.skipif(bool(missing_programs()), reason=f"not installed: {missing_programs()}"),
]


def small_geometry() -> Geometry:
    """Little to write; feet first, so that no axis runs the usual way."""
    first = load_geometries()[0]
    return replace(first, name="small", matrix=(72, 96), pixel_mm=(5.0, 4.0), z_mm=(-40, 60))


class Written:
    """Results of one geometry, to be broken."""

    def __init__(self, folder: Path) -> None:
        self.geometry = small_geometry()
        self.ct_folder = folder / "ct"
        truth = write_case(self.geometry, self.ct_folder, seed=FIRST_SEED)
        self.series = chosen_series(self.ct_folder)
        self.analysis = true_analysis(self.series, truth)
        self.files = write_objects(self.series, self.analysis, folder / "results")
        self.report: Report = self.analysis.report
        self.centroids: Centroids = truth.centroids_mm


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return Written(tmp_path_factory.mktemp("written"))


def broken(path: Path, folder: Path, fault: Callable[[Dataset], None]) -> Path:
    """A copy of an object with a fault in it."""
    dataset = dcmread(path)
    fault(dataset)
    target = folder / path.name
    dataset.save_as(target, enforce_file_format=True)
    return target


def errors_of(row: Row) -> dict[str, list[str]]:
    return {name: list(errors) for name, errors in row.errors.items() if errors}


@pytest.mark.parametrize("number", [0, 1])
def test_the_first_geometries_are_clean(number: int, tmp_path: Path) -> None:
    geometry = load_geometries()[number]

    rows = check_geometry(geometry, tmp_path, seed=FIRST_SEED + number)

    assert [errors_of(row) for row in rows] == [{}] * len(rows)
    assert {row.what.partition(" (")[0] for row in rows} >= {
        "CT",
        "SEG",
        "SEG LABELMAP",
        "SR",
        "SR of LABELMAP",
        "picture page",
        "all together",
    }
    assert max(off for row in rows for off in row.off_mm.values()) < 0.01


def test_there_are_twelve_geometries_of_different_names() -> None:
    names = [geometry.name for geometry in load_geometries()]

    assert len(set(names)) == len(names) == 12


def shift_by_a_voxel(segmentation: Dataset) -> None:
    for frame in segmentation.PerFrameFunctionalGroupsSequence:
        x, y, z = frame.PlanePositionSequence[0].ImagePositionPatient
        frame.PlanePositionSequence[0].ImagePositionPatient = [x + 4, y, z]


def mirror(segmentation: Dataset) -> None:
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    x, y, z, *rest = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [-x, -y, -z, *rest]


def swap_pixel_spacing(segmentation: Dataset) -> None:
    measures = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.PixelSpacing = list(reversed(measures.PixelSpacing))


@pytest.mark.parametrize("fault", [shift_by_a_voxel, mirror, swap_pixel_spacing])
def test_a_segmentation_at_another_place_is_found_by_both_readers(
    fault: Callable[[Dataset], None], written: Written, tmp_path: Path
) -> None:
    path = broken(written.files["seg-organs"], tmp_path, fault)

    (row,) = check_results(
        written.geometry, {"seg-organs": path}, written.report, written.centroids
    )

    assert {"highdicom", "dcmqi"} <= errors_of(row).keys()


def test_swapped_kidneys_are_found_by_both_readers(written: Written, tmp_path: Path) -> None:
    def swap(segmentation: Dataset) -> None:
        kidneys = [s for s in segmentation.SegmentSequence if "kidney" in s.SegmentLabel]
        sides = [
            s.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence
            for s in kidneys
        ]
        for kidney, side in zip(kidneys, reversed(sides), strict=True):
            kind = kidney.SegmentedPropertyTypeCodeSequence[0]
            kind.SegmentedPropertyTypeModifierCodeSequence = side

    path = broken(written.files["seg-organs"], tmp_path, swap)
    (row,) = check_results(
        written.geometry, {"seg-organs": path}, written.report, written.centroids
    )

    found = errors_of(row)
    assert [line.split()[0] for line in found["highdicom"]] == ["kidney_left", "kidney_right"]
    assert [line.split()[0] for line in found["dcmqi"]] == ["kidney_left", "kidney_right"]


def test_a_number_that_differs_or_is_missing_is_found(written: Written) -> None:
    wrong = replace(
        written.report,
        body_composition=tuple(
            replace(m, value=m.value * 1.0001) for m in written.report.body_composition
        ),
    )
    files = {"sr": written.files["sr"]}

    (row,) = check_results(written.geometry, files, wrong, written.centroids)
    (clean,) = check_results(written.geometry, files, written.report, written.centroids)

    assert len(errors_of(row)["dcmqi"]) == len([m for m in wrong.body_composition if m.value])
    assert errors_of(clean) == {}
    assert clean.numbers > 50


def without_value_type(document: Dataset) -> None:
    del document.ContentSequence[0].ValueType


def without_completion(document: Dataset) -> None:
    del document.CompletionFlag


@pytest.mark.parametrize(
    ("validator", "fault"), [(dciodvfy, without_completion), (dsrdump, without_value_type)]
)
def test_a_report_against_the_standard_is_found(
    validator: Validator, fault: Callable[[Dataset], None], written: Written, tmp_path: Path
) -> None:
    path = broken(written.files["sr"], tmp_path, fault)

    assert [line for line in validator(path) if not is_warning(line)] != []


@pytest.mark.parametrize("validator", [dsrdump, dcm2pnm, pydicom_strict, highdicom_segread])
def test_what_is_no_dicom_is_found(validator: Validator, tmp_path: Path) -> None:
    path = tmp_path / "text.dcm"
    path.write_bytes(b"no DICOM")

    assert validator(path) != []


def test_a_value_against_its_representation_is_found(written: Written, tmp_path: Path) -> None:
    content = written.files["sr"].read_bytes()
    date = b"DA\x08\x00" + str(dcmread(written.files["sr"]).StudyDate).encode()
    path = tmp_path / "sr.dcm"
    path.write_bytes(content.replace(date, b"DA\x08\x00tomorrow"))

    assert pydicom_strict(path) != []


def test_a_deflated_object_is_read_like_any_other(written: Written, tmp_path: Path) -> None:
    deflated = dcmread(written.files["seg-tissues"])
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    deflated.save_as(tmp_path / "deflated.dcm", enforce_file_format=True)

    assert dciodvfy(tmp_path / "deflated.dcm") == dciodvfy(written.files["seg-tissues"])


def test_objects_of_two_patients_are_found(written: Written, tmp_path: Path) -> None:
    def rename(document: Dataset) -> None:
        document.PatientID = "OTHER"

    other = broken(written.files["sr"], tmp_path, rename)

    assert dcentvfy([written.files["seg-organs"], written.files["sr"]]) == []
    assert dcentvfy([written.files["seg-organs"], other]) != []


def test_centroids_by_the_slices_own_headers_are_the_true_ones(written: Written) -> None:
    assert written.analysis.organs is not None

    found = centroids_by_headers(written.analysis.organs, written.series)

    assert Structure.LIVER in found
    for structure, centroid in found.items():
        assert centroid == pytest.approx(written.centroids[structure], abs=1e-3)


def test_the_table_names_each_error(written: Written) -> None:
    row = Row(geometry="g", what="SEG", errors={"dcmqi": ["liver is missing"], "pydicom": []})

    text = table([row])

    assert "g, SEG, dcmqi: liver is missing" in text
    assert "1 errors in 2 readings" in text
