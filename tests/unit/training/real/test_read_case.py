"""A folder becomes a case; what the node refuses is told, and looked at where only its identity is missing."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from inference.dicom.read_series import load_series
from inference.dicom.write_seg import encode_seg
from inference.domain.analysis_profile import load_profile
from inference.domain.errors import ConfigurationInvalid, UnreadableInput
from inference.domain.labelmap import Structure
from inference.domain.seg_encoding import SegEncoding
from tests.synthetic_series import result_identity, save_all, small_datasets, small_labels
from tests.unit.training.real.phantom import l3_z_mm, masks, save_nifti, volume, write_case
from training.real.case import RealCase
from training.real.find_cases import find_cases
from training.real.read_case import read_case

PROFILE = load_profile("abdomen")


def read(path: Path) -> RealCase:
    return read_case(path, "case-001", PROFILE, None)


def test_a_nifti_case_is_the_right_way_up_with_masks_and_level(tmp_path: Path) -> None:
    case = read(write_case(tmp_path / "one"))

    assert case.volume is not None
    assert np.array_equal(case.volume.hu, volume().hu)
    assert np.allclose(case.volume.affine_lps, volume().affine_lps)
    liver = case.reference.of(Structure.LIVER)
    assert liver is not None
    assert np.array_equal(liver, masks()["liver"])
    assert case.l3_z_mm == pytest.approx(l3_z_mm(), abs=0.5)


def test_a_stated_level_wins_over_a_label(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "one")
    (folder / "l3.txt").write_text("slice 12")

    assert read(folder).l3_z_mm == pytest.approx(536.0)


def test_a_statement_that_contradicts_the_label_is_named(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "one")
    (folder / "l3.txt").write_text(f"z_mm {l3_z_mm() - 10:.1f}")
    assert read(folder).trouble == ""
    (folder / "l3.txt").write_text("slice 12")

    assert "mm from its label" in read(folder).trouble


def test_a_mask_that_marks_nothing_is_not_compared(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "one")
    save_nifti(np.zeros_like(masks()["liver"], np.uint8), folder / "labels" / "spleen.nii.gz")

    kept, problems = read(folder).reference.without_unreadable()

    assert kept.of(Structure.SPLEEN) is None
    assert kept.of(Structure.LIVER) is not None
    assert len(problems) == 1
    assert "a mask of spleen that marks nothing" in problems[0]


def test_labels_of_part_of_the_ct_are_not_compared(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "one")
    rows = masks()["liver"].shape[1]
    kept, _ = read(folder).reference.without_unreadable()
    assert kept.of(Structure.LIVER) is not None
    image = nibabel.load(folder / "labels" / "liver.nii.gz")
    part = np.asarray(image.dataobj)[:, : rows // 2]
    nibabel.save(nibabel.Nifti1Image(part, image.affine), folder / "labels" / "liver.nii.gz")

    kept, problems = read(folder).reference.without_unreadable()

    assert kept.of(Structure.LIVER) is None
    assert "covers 5" in problems[0]


def test_a_name_that_is_almost_ours_is_named_and_others_are_left_alone(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "one")
    for name in ("stomac", "lung_upper_lobe_left", "patient"):
        save_nifti(masks()["liver"].astype(np.uint8), folder / "labels" / f"{name}.nii.gz")

    trouble = read(folder).trouble

    assert "almost stomach" in trouble
    assert trouble.count("almost") == 1


def test_a_merged_label_map_is_read_with_its_table(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "one", with_labels=False)
    merged = masks()["liver"].astype(np.uint8) * 7 + masks()["subcutaneous_fat"].astype(np.uint8)
    save_nifti(merged, folder / "labels.nii.gz")
    (folder / "labels.json").write_text('{"1": "sat", "7": "liver", "8": "spleen"}')

    case = read(folder)

    liver = case.reference.of(Structure.LIVER)
    assert liver is not None
    assert np.array_equal(liver, masks()["liver"])
    assert case.reference.of(Structure.SPLEEN) is None


def test_a_dicom_case_comes_with_the_segmentation_beside_it(tmp_path: Path) -> None:
    paths = save_all(small_datasets(), tmp_path / "ct")
    series = load_series(paths)
    labels = small_labels(series.volume.affine_lps, series.volume.shape, (Structure.LIVER,))
    encoded = encode_seg(labels, series, result_identity(), SegEncoding.BINARY)
    (tmp_path / "ct" / "seg.dcm").write_bytes(encoded)

    case = read(tmp_path)

    assert case.rejection is None
    mask = case.reference.of(Structure.LIVER)
    assert mask is not None
    assert mask.sum() == (labels.labels == 1).sum()


def test_what_the_node_refuses_is_told_with_its_code(tmp_path: Path) -> None:
    save_all(small_datasets()[:3], tmp_path)

    case = read(tmp_path)

    assert case.volume is None
    assert case.rejection is not None
    assert case.rejection.reason_code == "too-few-slices"


def test_a_ct_under_another_name_is_asked_for_by_its_own(tmp_path: Path) -> None:
    (tmp_path / "image.nii.gz").write_bytes(b"not looked into")

    case = read(tmp_path)

    assert isinstance(case.rejection, UnreadableInput)
    assert "1 NIfTI file, none of them called ct.nii.gz" in str(case.rejection)
    assert "Rename the file" in case.rejection.advice


def test_labels_may_lie_above_the_dicom_files(tmp_path: Path) -> None:
    save_all(small_datasets(), tmp_path / "ct")
    (tmp_path / "labels.nii.gz").write_bytes(b"not looked into")

    assert read(tmp_path).rejection is None


def test_images_without_identity_are_refused_and_looked_at(tmp_path: Path) -> None:
    datasets = small_datasets()
    for dataset in datasets:
        dataset.SOPInstanceUID, dataset.PatientID, dataset.StudyInstanceUID = "", "", ""
    folder = tmp_path / "one"
    folder.mkdir()
    for number, dataset in enumerate(datasets):
        dataset.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    (folder / "readme.txt").write_text("nothing")

    case = read(folder)

    assert case.rejection is not None
    assert case.rejection.reason_code == "empty-uids"
    assert case.volume is not None
    assert case.volume.shape[0] == len(datasets)


def test_a_reference_that_cannot_be_read_costs_the_reference_not_the_case(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "one", with_labels=False)
    (folder / "l3.txt").write_text("somewhere")
    (folder / "labels.nii.gz").write_bytes(b"no image")
    (folder / "labels.json").write_text("{}")

    case = read(folder)

    assert case.volume is not None
    assert "states no level" in case.trouble
    assert "no NIfTI image" in case.trouble


@pytest.mark.parametrize("damage", ["cut short", "no affine"])
def test_a_damaged_mask_is_an_error_of_ours(tmp_path: Path, damage: str) -> None:
    folder = write_case(tmp_path / "one")
    liver = folder / "labels" / "liver.nii.gz"
    if damage == "cut short":
        liver.write_bytes(liver.read_bytes()[:400])
    else:
        sheared = np.diag([1.0, 0.9, 1.0, 1.0])
        sheared[0, 1] = 1.0
        nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 4), np.uint8), sheared), liver)

    case = read(folder)

    with pytest.raises(UnreadableInput, match=r"no NIfTI image|turned so far"):
        case.reference.of(Structure.LIVER)


def test_masks_of_unknown_names_alone_are_told(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "one", with_labels=False)
    save_nifti(masks()["liver"].astype(np.uint8), folder / "labels" / "ZQCANARYXK.nii.gz")

    case = read(folder)

    assert "found 1 masks of names that are not known" in case.trouble
    assert "zqcanaryxk" not in case.trouble.lower()


def test_grey_values_are_not_taken_for_hounsfield_units(tmp_path: Path) -> None:
    save_nifti(volume().hu.astype(np.int16) + 1000, tmp_path / "one" / "ct.nii.gz")

    case = read(tmp_path / "one")

    assert "a CT whose lowest value is 0" in str(case.rejection)


def test_a_label_beyond_255_does_not_come_round_as_another(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "one", with_labels=False)
    merged = masks()["liver"].astype(np.int16) * 263 + masks()["subcutaneous_fat"]
    save_nifti(merged, folder / "labels.nii.gz")
    (folder / "labels.json").write_text('{"1": "sat", "7": "spleen", "263": "liver"}')

    assert read(folder).reference.of(Structure.SPLEEN) is None


def test_an_image_of_several_volumes_is_told_not_raised(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    four = nibabel.Nifti1Image(np.zeros((4, 4, 4, 2), np.int16), np.eye(4))
    nibabel.save(four, tmp_path / "one" / "ct.nii.gz")

    case = read(tmp_path / "one")

    assert case.rejection is not None
    assert "of 4 dimensions" in str(case.rejection)


def test_a_sites_own_cases_are_numbered_and_public_ones_named(tmp_path: Path) -> None:
    for name in ("Zoe^Smith", "Adam^Brown", "philips_tilt"):
        (tmp_path / "real-ct" / name).mkdir(parents=True)

    found = find_cases([tmp_path])

    assert [(one.path.name, one.name) for one in found] == [
        ("Adam^Brown", "case-001"),
        ("Zoe^Smith", "case-002"),
        ("philips_tilt", "philips_tilt"),
    ]
    assert found[2].known is not None


def test_a_folder_is_a_case_or_a_folder_of_cases(tmp_path: Path) -> None:
    write_case(tmp_path / "all" / "one")
    save_all(small_datasets(), tmp_path / "all" / "two")
    (tmp_path / "all" / "two" / "labels").mkdir()

    assert [one.path.name for one in find_cases([tmp_path / "all"])] == ["one", "two"]
    assert [one.path.name for one in find_cases([tmp_path / "all" / "two"])] == ["two"]
    with pytest.raises(ConfigurationInvalid, match="no case"):
        find_cases([tmp_path / "all" / "one" / "labels"])
