"""Conversion: what nnU-Net reads is what the data set holds, in one order of axes; wrong data writes nothing."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.unit.training.data.tiny import (
    BOXES,
    FLARE22,
    ct,
    labels,
    save,
    write_abdomenct_1k,
    write_flare22,
)
from training.__main__ import main
from training.data.layouts.registry import find_cases, layout_named
from training.data.splits import Split
from training.label_names import OUR_NUMBERS
from training.nnunet.convert import folds_of
from training.nnunet.workspace import open_workspace


def convert(folder: Path, work: Path, *more: str) -> int:
    return main(
        ["nnunet", "convert", str(folder), "--work", str(work), "--labels", "flare22", *more]
    )


def test_images_and_labels_come_back_as_they_were(tmp_path: Path) -> None:
    place = write_flare22(tmp_path, 5)

    assert convert(place, tmp_path / "work", "--folds", "2", "--test", "0.2") == 0

    raw = open_workspace(tmp_path / "work").raw
    test_name = next((raw / "imagesTs").glob("*")).name.removesuffix("_0000.nii.gz")
    again = {case.name: case for case in find_cases(raw, layout_named("nnunet")).cases}
    first = find_cases(place, layout_named("flare22")).cases
    assert set(again) == {case.name for case in first} - {test_name}
    for case in first:
        if case.name != test_name:
            wanted, found = case.read(), again[case.name].read()
            np.testing.assert_array_equal(found.volume.hu, wanted.volume.hu)
            np.testing.assert_array_equal(found.labels, wanted.labels)
            np.testing.assert_allclose(found.volume.affine_lps, wanted.volume.affine_lps)


def test_files_lie_in_the_nodes_order_of_axes(tmp_path: Path) -> None:
    import nibabel

    convert(write_flare22(tmp_path, 5), tmp_path / "work")

    raw = open_workspace(tmp_path / "work").raw
    image = nibabel.load(raw / "imagesTr/FLARE22_Tr_0001_0000.nii.gz")
    label = nibabel.load(raw / "labelsTr/FLARE22_Tr_0001.nii.gz")
    # SimpleITK gives the last index of the file first: slices to the head, rows to the back, columns to the left.
    assert nibabel.aff2axcodes(image.affine) == ("L", "P", "S")
    array = np.asarray(label.dataobj).transpose(2, 1, 0)
    assert (array[BOXES["liver"]] == 1).all()
    assert np.asarray(image.dataobj).dtype == np.int16


def test_the_split_goes_by_patient_and_nnunet_is_given_it(tmp_path: Path) -> None:
    convert(write_flare22(tmp_path, 5), tmp_path / "work", "--folds", "2", "--test", "0.2")

    raw = open_workspace(tmp_path / "work").raw
    splits = json.loads((raw / "splits_final.json").read_text())
    description = json.loads((raw / "dataset.json").read_text())
    assert [sorted(split["val"]) for split in splits] == [
        sorted(splits[1]["train"]),
        sorted(splits[0]["train"]),
    ]
    assert description["numTraining"] == 4
    assert description["channel_names"] == {"0": "CT"}
    assert not description["habitus"]["is_synthetic"]


def test_a_hold_out_is_fold_0() -> None:
    split = Split(seed=0, parts={"train": ("b", "a"), "validation": ("c",), "test": ("d",)})

    assert folds_of(split) == [{"train": ["a", "b"], "val": ["c"]}]


def test_merged_kidneys_can_be_told_apart(tmp_path: Path) -> None:
    place = write_abdomenct_1k(tmp_path / "data")
    names = "liver,kidney_right,kidney_left"
    asked = ["nnunet", "convert", str(place), "--labels", names, "--folds", "2"]

    assert main([*asked, "--work", str(tmp_path / "a")]) == 1
    assert main([*asked, "--work", str(tmp_path / "b"), "--kidneys-by-side"]) == 0

    assert not list((tmp_path / "a").rglob("dataset.json"))
    raw = open_workspace(tmp_path / "b").raw
    case = next(c for c in find_cases(raw, layout_named("nnunet")).cases if "401" in c.name).read()
    assert (case.labels[BOXES["kidney_right"]] == OUR_NUMBERS["kidney_right"]).all()
    assert (case.labels[BOXES["kidney_left"]] == OUR_NUMBERS["kidney_left"]).all()


def test_wrong_data_stops_with_the_table_and_leaves_no_data_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = write_flare22(tmp_path, 5)
    save(labels(FLARE22)[:-1], place / "labels/FLARE22_Tr_0002.nii.gz")

    assert convert(place, tmp_path / "work") == 1

    assert "FLARE22_Tr_0002 | label" in capsys.readouterr().err
    assert not list((tmp_path / "work").rglob("*.nii.gz"))


def test_a_conversion_that_was_stopped_can_be_made_again_and_a_whole_one_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = write_flare22(tmp_path, 5)
    left_over = tmp_path / "work/nnUNet_raw/Dataset701_CT/imagesTr/x_0000.nii.gz"
    save(ct(), left_over)

    assert convert(place, tmp_path / "work") == 0
    assert not left_over.exists()
    assert convert(place, tmp_path / "work") == 2
    assert "one holds one data set" in capsys.readouterr().err
