"""Files become a volume in Hounsfield units, or a typed error that names no patient."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSNearLossless,
    MediaStorageDirectoryStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from inference.dicom import read_file, read_series
from inference.dicom.hounsfield import pixel_format
from inference.dicom.quiet import quietly
from inference.dicom.read_series import load_series
from inference.dicom.series_flags import contrast_agent
from inference.domain.analysis_profile import LossyPolicy
from inference.domain.errors import (
    NoSuitableSeries,
    UnreadableInput,
    UnsupportedGeometry,
)
from inference.domain.volume import canonical, position_mm
from tests.synthetic_series import chosen_series, save_all, small_datasets, small_volume
from training.synthetic.series import SeriesHeader, SliceOrder, write_series


def refusal_of(datasets: list[Dataset], folder: Path) -> str:
    with quietly(), pytest.raises(UnsupportedGeometry) as refusal:
        load_series(save_all(datasets, folder))
    return refusal.value.reason


@pytest.mark.parametrize("order", ["ascending", "descending", "shuffled"])
def test_every_order_of_instances_gives_the_same_volume(order: SliceOrder, tmp_path: Path) -> None:
    volume = small_volume()
    paths = write_series(volume, SeriesHeader(order=order), tmp_path)

    series = load_series(paths[::-1])

    assert np.array_equal(series.volume.hu, volume.hu)
    assert np.allclose(series.volume.affine_lps, volume.affine_lps)
    assert series.volume.hu.dtype == np.int16


def test_headers_come_in_volume_order_and_without_pixels(tmp_path: Path) -> None:
    volume = small_volume()
    paths = write_series(volume, SeriesHeader(order="shuffled"), tmp_path)

    series = load_series(sorted(paths))

    heights = [float(header.ImagePositionPatient[2]) for header in series.headers]

    assert heights == [position_mm(volume.affine_lps, (k, 0, 0))[2] for k in range(12)]
    assert not any("PixelData" in header for header in series.headers)


def test_facts_of_the_series_are_kept(tmp_path: Path) -> None:
    header = SeriesHeader(
        seed=7, contrast_agent="Iohexol", slice_thickness_mm=5.0, kernel="B20f", kvp=100
    )
    series = load_series(write_series(small_volume(), header, tmp_path))

    assert series.series_uid == header.series_uid
    assert series.study_uid == header.study_uid
    assert series.frame_of_reference_uid == header.frame_of_reference_uid
    assert series.sop_uids == tuple(sorted(header.sop_uid(k) for k in range(12)))
    assert (series.contrast, series.kernel, series.kvp) == ("Iohexol", "B20f", 100)
    assert (series.slice_thickness_mm, series.patient.height_m) == (5.0, 1.75)


def test_contrast_is_unknown_when_the_scanner_does_not_say(tmp_path: Path) -> None:
    assert load_series(save_all(small_datasets(), tmp_path)).contrast == "unknown"


@pytest.mark.parametrize(
    "axes_lps",
    [
        ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
        ((0, 0, 1), (0, -1, 0), (-1, 0, 0)),  # prone: the table side is in front
        ((0, 0, -1), (0, 1, 0), (-1, 0, 0)),  # seen from above: the normal points to the feet
        ((0, 0, -1), (0, -1, 0), (1, 0, 0)),
    ],
)
def test_every_orientation_puts_each_voxel_at_its_own_place(
    axes_lps: tuple[tuple[int, ...], ...], tmp_path: Path
) -> None:
    volume = small_volume(axes_lps=axes_lps)
    series = load_series(save_all(small_datasets(volume, order="shuffled"), tmp_path))

    assert np.array_equal(series.volume.hu, volume.hu)
    assert np.allclose(series.volume.affine_lps, volume.affine_lps)
    assert np.array_equal(canonical(series.volume).hu, canonical(volume).hu)


def test_rows_and_columns_keep_their_own_spacing(tmp_path: Path) -> None:
    volume = small_volume(spacing_mm=(3.0, 0.9, 0.6))

    series = load_series(save_all(small_datasets(volume), tmp_path))

    assert series.volume.spacing_mm == pytest.approx((3.0, 0.9, 0.6))


@pytest.mark.parametrize(
    ("keyword", "value", "reason"),
    [
        ("RescaleType", "US", "not-hu"),
        ("RescaleSlope", None, "not-hu"),
        ("RescaleIntercept", "0\\1", "not-hu"),
        ("RescaleSlope", "0", "not-hu"),
        ("SOPInstanceUID", "", "empty-uids"),
        ("SeriesInstanceUID", "....", "empty-uids"),
        ("StudyInstanceUID", "1.2.", "empty-uids"),
        ("PatientID", "", "empty-patient-id"),
        ("SOPClassUID", "", "empty-uids"),
        ("StudyInstanceUID", "", "empty-uids"),
        ("SeriesInstanceUID", "", "empty-uids"),
        ("FrameOfReferenceUID", None, "empty-uids"),
        ("PhotometricInterpretation", "RGB", "pixel-format"),
        ("Rows", 60000, "pixel-format"),
        ("BitsAllocated", 32, "pixel-format"),
        ("ImagePositionPatient", None, "mixed-geometry"),
        ("PixelSpacing", ["0.8", "-0.8"], "mixed-geometry"),
    ],
)
def test_headers_that_cannot_be_measured_are_refused_with_a_code(
    keyword: str, value: object, reason: str, tmp_path: Path
) -> None:
    datasets = small_datasets()
    with quietly():
        for dataset in datasets:
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)

    assert refusal_of(datasets, tmp_path) == reason


def lossy_datasets() -> list[Dataset]:
    datasets = small_datasets()
    datasets[4].LossyImageCompression = "01"
    datasets[4].LossyImageCompressionRatio = "6"
    return datasets


def test_lossy_slices_are_measured_and_flagged(tmp_path: Path) -> None:
    series = load_series(save_all(lossy_datasets(), tmp_path))

    assert len(series.flags) == 1
    assert series.flags[0].startswith("1 of 12 slices were compressed with loss")


def test_a_profile_may_refuse_lossy_slices(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedGeometry) as refusal:
        load_series(save_all(lossy_datasets(), tmp_path), LossyPolicy.REJECT)

    assert refusal.value.reason == "lossy"


@pytest.mark.parametrize(
    ("syntax", "said", "is_lossy"),
    [
        (JPEGBaseline8Bit, "", True),
        (JPEGLSNearLossless, "00", True),
        (JPEG2000, "", True),
        (JPEG2000, "00", False),
        (HTJ2K, "", True),
        (JPEG2000Lossless, "", False),
        (JPEG2000Lossless, "01", True),
    ],
)
def test_loss_is_told_by_the_transfer_syntax_or_the_header(
    syntax: UID, said: str, is_lossy: bool
) -> None:
    header = small_datasets()[0]
    header.file_meta.TransferSyntaxUID = syntax
    header.LossyImageCompression = said

    assert pixel_format(header).is_lossy == is_lossy


def test_more_voxels_than_the_limit_are_refused_before_memory_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_series, "MAX_VOXELS", 12 * 64 * 48 - 1)

    assert refusal_of(small_datasets(), tmp_path) == "too-large"


def test_a_file_larger_than_any_slice_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_file, "MAX_FILE_BYTES", 1000)
    datasets = small_datasets()
    for dataset in datasets:
        dataset.compress(RLELossless, generate_instance_uid=False)

    with pytest.raises(UnreadableInput, match="larger"):
        load_series(save_all(datasets, tmp_path))


def test_one_slice_is_refused(tmp_path: Path) -> None:
    assert refusal_of(small_datasets()[:1], tmp_path) == "too-few-slices"


def test_a_missing_slice_is_refused(tmp_path: Path) -> None:
    datasets = small_datasets()

    assert refusal_of(datasets[:5] + datasets[6:], tmp_path) == "slice-gap"


def test_the_same_file_twice_is_used_once(tmp_path: Path) -> None:
    datasets = small_datasets()

    series = load_series(save_all([*datasets, datasets[3]], tmp_path))

    assert np.array_equal(series.volume.hu, small_volume().hu)
    assert series.flags == ("1 identical copies of slices were left out",)


def with_copy(change: Callable[[Dataset], None]) -> list[Dataset]:
    datasets = small_datasets()
    copied = deepcopy(datasets[3])
    copied.SOPInstanceUID = UID(f"{copied.SOPInstanceUID}.1")
    copied.file_meta.MediaStorageSOPInstanceUID = copied.SOPInstanceUID
    change(copied)
    return [*datasets, copied]


def test_a_slice_that_a_second_sender_recoded_is_used_once(tmp_path: Path) -> None:
    datasets = with_copy(lambda copy: copy.compress(RLELossless, generate_instance_uid=False))

    forwards = load_series(save_all(datasets, tmp_path / "a"))
    backwards = load_series(save_all(datasets[::-1], tmp_path / "b"))

    assert np.array_equal(forwards.volume.hu, small_volume().hu)
    uids = [[str(h.SOPInstanceUID) for h in series.headers] for series in (forwards, backwards)]
    assert uids[0] == uids[1]
    assert len(forwards.sop_uids) == 13


def brighter(dataset: Dataset) -> None:
    dataset.RescaleIntercept = "-1023"


def test_two_different_images_at_one_position_are_refused(tmp_path: Path) -> None:
    assert refusal_of(with_copy(brighter), tmp_path) == "duplicate-position"


def test_one_uid_for_two_slices_is_refused(tmp_path: Path) -> None:
    datasets = small_datasets()
    datasets[4].SOPInstanceUID = datasets[3].SOPInstanceUID

    assert refusal_of(datasets, tmp_path) == "duplicate-position"


def test_many_copies_of_few_slices_are_too_few(tmp_path: Path) -> None:
    datasets = small_datasets()[:6]

    assert refusal_of([*datasets, *datasets], tmp_path) == "too-few-slices"


def test_damaged_files_are_counted(tmp_path: Path) -> None:
    paths = save_all(small_datasets(), tmp_path)
    for path in paths[3:5]:
        path.write_bytes(path.read_bytes()[:300])

    with pytest.raises(UnreadableInput, match="2 of 12 files are damaged"):
        load_series(paths)


def test_a_negative_slice_thickness_is_taken_without_its_sign(tmp_path: Path) -> None:
    datasets = small_datasets()
    for dataset in datasets:
        dataset.SliceThickness = "-5"

    assert load_series(save_all(datasets, tmp_path)).slice_thickness_mm == 5


def test_a_contrast_agent_is_cut_to_plain_text() -> None:
    header = Dataset()
    header.add_new("ContrastBolusAgent", "UT", "Iohexol 350 mg/ml <script>" + "x" * 200)

    assert contrast_agent(header) == ("Iohexol 350 mg/ml script " + "x" * 200)[:64]


@pytest.mark.parametrize(
    ("characters", "name", "is_readable"),
    [
        ("ISO_IR 192", "홍^길동".encode(), True),
        ("\\ISO 2022 IR 149", b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", True),
        ("ISO_IR 192", b"\xb1\xe8^\xff", False),
        ("NO SUCH SET", b"Hong^Gildong", False),
    ],
)
def test_a_name_that_cannot_be_decoded_is_flagged(
    characters: str, name: bytes, is_readable: bool, tmp_path: Path
) -> None:
    datasets = small_datasets()
    placeholder = "X" * (len(name) + len(name) % 2)
    for dataset in datasets:
        dataset.SpecificCharacterSet = "ISO_IR 6"
        dataset.PatientName = placeholder
    paths = save_all(datasets, tmp_path)
    for path in paths:
        with quietly():
            header = dcmread(path)
            header.SpecificCharacterSet = characters
            header.save_as(path)
        content = path.read_bytes().replace(placeholder.encode(), name.ljust(len(placeholder)))
        path.write_bytes(content)

    flags = load_series(paths).flags

    assert any("character set" in flag for flag in flags) != is_readable


def test_slices_of_two_patients_are_refused_without_naming_them(tmp_path: Path) -> None:
    datasets = small_datasets(patient_id="SECRET-1")
    datasets[4].PatientID = "SECRET-2"

    with pytest.raises(UnsupportedGeometry) as refusal:
        load_series(save_all(datasets, tmp_path))

    assert refusal.value.reason == "mixed-geometry"
    assert "SECRET" not in str(refusal.value)


def as_scout(dataset: Dataset) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


def as_projection(dataset: Dataset) -> None:
    dataset.ImageType = ["DERIVED", "SECONDARY", "AXIAL", "MIP"]


def as_capture(dataset: Dataset) -> None:
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage


def as_magnetic_resonance(dataset: Dataset) -> None:
    dataset.Modality = "MR"


@pytest.mark.parametrize(
    "change",
    [as_scout, as_projection, as_capture, as_magnetic_resonance],
)
@pytest.mark.parametrize("read", [lambda f: load_series(sorted(f.iterdir())), chosen_series])
def test_images_that_are_no_axial_ct_are_no_series(
    change: Callable[[Dataset], None], read: Callable[[Path], object], tmp_path: Path
) -> None:
    datasets = small_datasets()
    for dataset in datasets:
        change(dataset)
    save_all(datasets, tmp_path)

    with pytest.raises(NoSuitableSeries):
        read(tmp_path)


@pytest.mark.parametrize(
    "image_type",
    [
        ("DERIVED", "PRIMARY", "AXIAL"),
        ("DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"),
        ("ORIGINAL", "PRIMARY"),
        (),
    ],
)
def test_image_type_alone_does_not_unmake_an_axial_series(
    image_type: tuple[str, ...], tmp_path: Path
) -> None:
    datasets = small_datasets(image_type=image_type)

    assert load_series(save_all(datasets, tmp_path)).volume.shape == (12, 64, 48)


def test_a_missing_folder_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match="no such folder"):
        chosen_series(tmp_path / "absent")


def test_an_empty_folder_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match="empty folder"):
        chosen_series(tmp_path)


def test_a_folder_without_dicom_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image here")

    with pytest.raises(UnreadableInput, match="none of them DICOM"):
        chosen_series(tmp_path)


def test_no_files_are_unreadable() -> None:
    with pytest.raises(UnreadableInput):
        load_series([])


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM\xff"]
)
def test_a_file_that_is_not_dicom_is_unreadable(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.dcm"
    path.write_bytes(content)

    with pytest.raises(UnreadableInput):
        load_series([path])


def test_a_missing_file_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput):
        load_series([tmp_path / "absent.dcm"])


def test_a_folder_is_searched_past_other_files(tmp_path: Path) -> None:
    save_all(small_datasets(series_number=2), tmp_path / "study" / "a")
    scouts = small_datasets(series_number=3)
    for scout in scouts:
        as_scout(scout)
    save_all(scouts, tmp_path / "study" / "b")
    (tmp_path / "README").write_text("text")
    directory = small_datasets(series_number=4)[0]
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    del directory.SeriesInstanceUID, directory.SOPClassUID
    directory.save_as(tmp_path / "DICOMDIR", enforce_file_format=True)

    series = chosen_series(tmp_path)

    assert series.series_uid == SeriesHeader(series_number=2).series_uid


def test_a_directory_file_alone_is_no_series(tmp_path: Path) -> None:
    directory = small_datasets()[0]
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    del directory.SOPClassUID
    directory.save_as(tmp_path / "DICOMDIR", enforce_file_format=True)

    with pytest.raises(NoSuitableSeries):
        chosen_series(tmp_path)
