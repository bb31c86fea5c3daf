"""The picture page as DICOM: the very pixels, the patient, where it comes from; the same job gives the same bytes."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from inference.dicom.ct_series import CtSeries
from inference.dicom.read_series import load_series
from inference.dicom.write_page import build_page, encode_page, image_number
from orthanc_plugin.node.pacs import SeriesFacts
from orthanc_plugin.node.study_choice import skip_reason
from tests.synthetic_series import result_identity, save_all, small_datasets

SLICE = 4


@pytest.fixture
def series(tmp_path: Path) -> CtSeries:
    datasets = small_datasets(order="ascending", first_instance_number=11)
    return load_series(save_all(datasets, tmp_path / "ct"))


@pytest.fixture
def picture() -> npt.NDArray[np.uint8]:
    """Every pixel another colour than its neighbours."""
    i, j, c = np.indices((60, 80, 3))
    return np.asarray((3 * i + 7 * j + 80 * c) % 256, np.uint8)


def read(encoded: bytes) -> Dataset:
    return dcmread(BytesIO(encoded))


def test_the_pixels_come_back(series: CtSeries, picture: npt.NDArray[np.uint8]) -> None:
    page = read(encode_page(picture, series, SLICE, result_identity("page")))

    assert page.SOPClassUID == SecondaryCaptureImageStorage
    assert (page.PhotometricInterpretation, page.BitsAllocated, page.Modality) == ("RGB", 8, "OT")
    np.testing.assert_array_equal(page.pixel_array, picture)


def test_it_belongs_to_the_patient_and_names_its_slice(
    series: CtSeries, picture: npt.NDArray[np.uint8]
) -> None:
    page = read(encode_page(picture, series, SLICE, result_identity("page")))

    header = series.headers[SLICE]
    assert (page.PatientName, page.PatientID) == (header.PatientName, header.PatientID)
    assert page.StudyInstanceUID == series.study_uid
    (source,) = page.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == header.SOPInstanceUID
    assert page.BurnedInAnnotation == "NO"
    assert "l3-tissue 1.0.0" in page.DerivationDescription


def test_the_same_job_gives_the_same_bytes(
    series: CtSeries, picture: npt.NDArray[np.uint8]
) -> None:
    identity = result_identity("page")
    other = replace(identity, sop_instance_uid="2.25.1")

    first = encode_page(picture, series, SLICE, identity)

    assert encode_page(picture, series, SLICE, identity) == first
    assert encode_page(picture, series, SLICE, other) != first


def test_the_number_of_the_slice_is_the_one_viewers_show(series: CtSeries) -> None:
    assert image_number(series, SLICE) == 11 + SLICE


def test_our_own_page_starts_no_job(series: CtSeries, picture: npt.NDArray[np.uint8]) -> None:
    page = build_page(picture, series, SLICE, result_identity("page"))
    facts = SeriesFacts(
        series_orthanc_id="s",
        series_uid=str(page.SeriesInstanceUID),
        study_orthanc_id="t",
        modality=str(page.Modality),
        manufacturer=str(page.Manufacturer),
        sop_uids={},
    )

    assert skip_reason(facts) == "own-result"
    assert skip_reason(replace(facts, manufacturer="")) == "not-ct"
