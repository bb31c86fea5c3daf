"""A folder's series from headers alone: mixed, damaged, of every coding; and the same facts from an archive's texts."""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian

from inference.dicom.series_summary import NEEDED
from inference.dicom.survey import summary_from_texts, survey_folder
from inference.domain.errors import NoSuitableSeries, StudyRejected, UnreadableInput
from inference.domain.series_choice import SeriesSummary
from tests.synthetic_series import chosen_series, save_all, small_datasets, small_volume
from tests.synthetic_study import CORONAL, plain_series, study_of_seven

SECRET = "Hong_Gildong"


def summary_of(images: list[Dataset], folder: Path) -> SeriesSummary:
    """Of the only series."""
    save_all(images, folder)
    (summary,) = survey_folder(folder).summaries
    return summary


def test_geometry_is_told_from_positions(tmp_path: Path) -> None:
    summary = summary_of(plain_series(2, "Abdomen", slices=21, step_mm=4.0), tmp_path)

    assert (summary.images, summary.step_mm, summary.coverage_mm) == (21, 4.0, 80.0)
    assert (summary.missing_slices, summary.repeated_positions) == (0, 0)
    assert (summary.oblique_degrees, summary.tilt_degrees) == pytest.approx((0.0, 0.0))
    assert summary.field_of_view_mm == 400.0


def test_missing_and_repeated_slices_are_counted(tmp_path: Path) -> None:
    images = plain_series(2, "Abdomen")
    del images[10:12]
    images[3].ImagePositionPatient = images[4].ImagePositionPatient

    summary = summary_of(images, tmp_path)

    assert (summary.missing_slices, summary.repeated_positions) == (3, 1)


def test_tilt_is_the_angle_between_normal_and_advance(tmp_path: Path) -> None:
    images = plain_series(2, "Head")
    for number, image in enumerate(images):
        image.ImagePositionPatient = [0, 2.0 * number, 8.0 * number]

    assert summary_of(images, tmp_path).tilt_degrees == pytest.approx(14.04, abs=0.01)


def test_a_reformat_is_steep_to_the_axial_plane(tmp_path: Path) -> None:
    images = plain_series(2, "cor", axes=CORONAL)

    assert summary_of(images, tmp_path).oblique_degrees == pytest.approx(90.0)


def test_a_scout_among_the_slices_is_left_out_and_said(tmp_path: Path) -> None:
    images = plain_series(2, "Abdomen")
    images[0].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    save_all(images, tmp_path)

    (series,) = survey_folder(tmp_path).series

    assert series.summary.left_out == ("scout image",)
    assert len(series.paths) == len(images) - 1
    assert "LOCALIZER" not in series.summary.image_kinds


def test_the_injection_to_scan_time_is_told_from_tags(tmp_path: Path) -> None:
    tags: dict[str, object] = {"ContrastBolusStartTime": "101350.5", "AcquisitionTime": "101500"}

    assert summary_of(plain_series(2, "", tags=tags), tmp_path).contrast_delay_s == 70.0


@pytest.mark.parametrize(
    ("tags", "mas"),
    [
        ({"Exposure": "35"}, 35.0),
        ({"XRayTubeCurrent": 200, "ExposureTime": 500}, 100.0),
        ({}, None),
    ],
)
def test_exposure_is_stated_or_computed(
    tags: dict[str, object], mas: float | None, tmp_path: Path
) -> None:
    assert summary_of(plain_series(2, "", tags=tags), tmp_path).exposure_mas == mas


def test_a_damaged_file_costs_nothing_but_its_own_mention(tmp_path: Path) -> None:
    save_all(small_datasets(series_number=2), tmp_path / "ct")
    save_all(small_datasets(series_number=3), tmp_path / "more")
    (tmp_path / f"{SECRET}.dcm").write_bytes(b"\0" * 128 + b"DICM\xff\xff\xff\xff")
    (tmp_path / "notes.txt").write_text("no image")

    survey = survey_folder(tmp_path)

    assert [s.images for s in survey.summaries] == [12, 12]
    assert survey.unreadable == (1,)
    assert survey.damage.startswith("1 of 26 files cannot be read (number 1 by name)")
    assert SECRET not in survey.damage


def test_a_damaged_file_beside_one_series_is_one_of_its_slices(tmp_path: Path) -> None:
    save_all(small_datasets(), tmp_path)
    (tmp_path / "last.dcm").write_bytes(b"\0" * 128 + b"DICM\xff\xff\xff\xff")

    with pytest.raises(UnreadableInput, match="1 of 13 files are damaged"):
        chosen_series(tmp_path)


def test_only_damaged_files_are_unreadable(tmp_path: Path) -> None:
    (tmp_path / "x.dcm").write_bytes(b"\0" * 128 + b"DICM")

    with pytest.raises(UnreadableInput, match="1 damaged"):
        survey_folder(tmp_path)


def test_two_patients_in_one_folder_are_refused(tmp_path: Path) -> None:
    save_all(small_datasets(seed=1), tmp_path / "a")
    save_all(small_datasets(seed=2), tmp_path / "b")

    with pytest.raises(StudyRejected) as refusal:
        chosen_series(tmp_path)

    assert refusal.value.reason == "several-patients"
    assert "SYN00" not in str(refusal.value)


def test_the_series_that_covers_more_of_the_body_is_taken(tmp_path: Path) -> None:
    short = small_volume(shape=(20, 16, 16), spacing_mm=(1.0, 1.0, 1.0))
    long = small_volume(shape=(12, 16, 16), spacing_mm=(5.0, 1.0, 1.0))
    save_all(small_datasets(short, series_number=2), tmp_path / "short")
    save_all(small_datasets(long, series_number=3), tmp_path / "long")

    assert chosen_series(tmp_path).volume.shape[0] == 12


def test_a_series_with_a_gap_gives_way_to_a_whole_one(tmp_path: Path) -> None:
    good = small_volume(shape=(12, 16, 16), spacing_mm=(1.0, 1.0, 1.0))
    save_all(small_datasets(good, series_number=2), tmp_path / "good")
    with_gap = small_datasets(small_volume(shape=(20, 16, 16)), series_number=3)
    del with_gap[7]
    save_all(with_gap, tmp_path / "gap")

    assert chosen_series(tmp_path).volume.shape[0] == 12


def test_a_dose_page_alone_is_no_series(tmp_path: Path) -> None:
    save_all(study_of_seven()["dose page"], tmp_path)

    with pytest.raises(NoSuitableSeries, match="1 × a page of dose"):
        chosen_series(tmp_path)


def texts_of(image: Dataset) -> dict[str, str]:
    """As an archive's REST interface tells them."""
    texts = {}
    for keyword in NEEDED:
        value = image.get(keyword)
        if value not in (None, ""):
            is_list = not isinstance(value, str) and hasattr(value, "__len__")
            texts[keyword] = "\\".join(map(str, value)) if is_list else str(value)
    return texts


@pytest.mark.parametrize("name", list(study_of_seven()))
def test_an_archives_texts_give_the_same_summary_as_the_files(name: str, tmp_path: Path) -> None:
    images = study_of_seven()[name]

    from_texts = summary_from_texts([texts_of(image) for image in images], ["CT"])

    assert from_texts == summary_of(images, tmp_path)


def test_texts_that_do_not_parse_are_absent() -> None:
    texts = texts_of(plain_series(2, "")[0]) | {
        "SliceThickness": "five",
        "ImagePositionPatient": "1\\2",
        "SeriesNumber": "x",
    }

    summary = summary_from_texts([texts], ["CT"])

    assert (summary.thickness_mm, summary.coverage_mm, summary.number) == (None, None, None)


def test_numbers_beyond_all_bounds_are_absent() -> None:
    texts = texts_of(plain_series(2, "")[0]) | {
        "SeriesNumber": "99999999999999999999",
        "NumberOfFrames": "99999999999999999999",
        "ImagePositionPatient": "1e308\\-1e308\\1e308",
    }

    summary = summary_from_texts([texts, texts | {"SOPInstanceUID": "1.2.3"}], ["CT"])

    assert (summary.number, summary.images, summary.coverage_mm) == (None, 2, None)


def test_functional_groups_of_a_multiframe_ct_are_read(tmp_path: Path) -> None:
    image = plain_series(2, "Enhanced", slices=1)[0]
    image.SOPClassUID = EnhancedCTImageStorage
    frames = []
    for number in range(20):
        plane, frame = Dataset(), Dataset()
        plane.ImagePositionPatient = [0, 0, 3.0 * number]
        frame.PlanePositionSequence = [plane]
        frames.append(frame)
    measures, orientation, shared = Dataset(), Dataset(), Dataset()
    measures.SliceThickness, measures.PixelSpacing = "3", ["0.8", "0.8"]
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    image.SharedFunctionalGroupsSequence, image.PerFrameFunctionalGroupsSequence = [shared], frames
    image.NumberOfFrames = 20
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "SliceThickness"):
        delattr(image, keyword)
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian

    summary = summary_of([image], tmp_path)

    assert (summary.images, summary.coverage_mm, summary.thickness_mm) == (20, 57.0, 3.0)
