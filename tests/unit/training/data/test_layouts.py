"""Every layout with its real file names and numbers comes back as our names on the image's grid."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import nibabel
import numpy as np
import pytest

from inference.domain.errors import ConfigurationInvalid, UnreadableInput
from inference.domain.volume import position_mm
from tests.unit.training.data.tiny import (
    BOXES,
    PLAIN_TABLE,
    SHAPE,
    affine_ras,
    ct,
    labels,
    save,
    write_abdomenct_1k,
    write_btcv,
    write_flare22,
    write_msd,
    write_plain,
    write_spleen,
    write_totalsegmentator,
)
from tests.unit.training.templates.tiny_torso import tiny_template
from training.data.cases import FoundCases, LabelledVolume
from training.data.layouts.registry import LAYOUTS, find_cases, guessed_layout, layout_named
from training.label_names import OUR_NUMBERS, data_set

FLARE_NAMES = frozenset(BOXES) - {"portal_splenic_vein"}
BTCV_NAMES = frozenset(BOXES) - {"duodenum"}


def write_plain_pairs(folder: Path) -> Path:
    return write_plain(folder, PLAIN_TABLE)


LAID_OUT: dict[str, tuple[Callable[[Path], Path], frozenset[str], tuple[str, ...]]] = {
    "btcv": (write_btcv, BTCV_NAMES, ("img0001", "img0002", "img0003")),
    "flare22": (
        write_flare22,
        FLARE_NAMES,
        ("FLARE22_Tr_0001", "FLARE22_Tr_0002", "FLARE22_Tr_0003"),
    ),
    "abdomenct-1k": (
        write_abdomenct_1k,
        frozenset({"liver", "kidney", "spleen", "pancreas"}),
        ("Case_00001", "Case_00401"),
    ),
    "msd": (write_spleen, frozenset({"spleen"}), ("spleen_10", "spleen_2")),
    "totalsegmentator": (
        write_totalsegmentator,
        frozenset(
            {
                "liver", "spleen", "kidney_right", "kidney_left", "adrenal_right",
                "portal_splenic_vein", "vertebra_l3",
            }
        ),
        ("s0000", "s0004"),
    ),
    "plain": (write_plain_pairs, frozenset({"liver", "kidney"}), ("A12_1", "A12_2", "B7_1")),
}  # fmt: skip


def found_in(folder: Path, name: str) -> FoundCases:
    return find_cases(folder, layout_named(name))


def boxes_of(read: LabelledVolume) -> dict[str, tuple[int, ...]]:
    """First and last index of every structure along each axis."""
    named = {number: name for name, number in OUR_NUMBERS.items()}
    result = {}
    for number in np.unique(read.labels[read.labels > 0]).tolist():
        where = np.argwhere(read.labels == number)
        result[named[number]] = (*where.min(0).tolist(), *(where.max(0) + 1).tolist())
    return result


def wanted_boxes(names: frozenset[str]) -> dict[str, tuple[int, ...]]:
    """As drawn; both kidneys under one name span from one to the other."""
    found = {
        name: (*(s.indices(n)[0] for s, n in zip(box, SHAPE, strict=True)),
               *(s.indices(n)[1] for s, n in zip(box, SHAPE, strict=True)))
        for name, box in BOXES.items()
    }  # fmt: skip
    if "kidney" in names:
        right, left = found["kidney_right"], found["kidney_left"]
        found["kidney"] = (*right[:3], *left[3:])
    if "vertebra_l3" in names:
        found["vertebra_l3"] = (4, 20, 18, 6, 23, 22)
    return {name: found[name] for name in names}


@pytest.mark.parametrize("name", LAID_OUT)
def test_a_layout_is_guessed_and_read(name: str, tmp_path: Path) -> None:
    write, names, cases = LAID_OUT[name]
    folder = write(tmp_path)

    layout = guessed_layout(folder)
    found = find_cases(folder, layout)
    read = found.cases[0].read()

    assert layout.name == name
    assert found.problems == ()
    assert tuple(sorted(case.name for case in found.cases)) == cases
    assert read.names == names
    assert read.volume.hu.dtype == np.int16
    assert read.labels.shape == read.volume.shape == SHAPE
    assert boxes_of(read) == wanted_boxes(names)
    liver_or_spleen = "liver" if "liver" in names else "spleen"
    inside = read.volume.hu[read.labels == OUR_NUMBERS[liver_or_spleen]]
    assert 80 < inside.mean() < 100


def test_the_liver_lies_on_the_patients_right(tmp_path: Path) -> None:
    read = found_in(write_flare22(tmp_path, 1), "flare22").cases[0].read()

    def x_mm(name: str) -> float:
        where = np.argwhere(read.labels == OUR_NUMBERS[name])
        return float(position_mm(read.volume.affine_lps, where)[:, 0].mean())

    assert x_mm("liver") < x_mm("spleen") - 100


def test_files_stored_in_another_index_order_give_the_same_case(tmp_path: Path) -> None:
    wanted = found_in(write_flare22(tmp_path / "a", 1), "flare22").cases[0].read()
    place = write_flare22(tmp_path / "b", 1)
    for path in sorted(place.rglob("*.nii.gz")):
        turned = nibabel.load(path).as_reoriented(np.array([[2, -1], [0, 1], [1, -1]]))
        nibabel.save(turned, path)

    read = found_in(place, "flare22").cases[0].read()

    np.testing.assert_array_equal(read.volume.hu, wanted.volume.hu)
    np.testing.assert_array_equal(read.labels, wanted.labels)
    np.testing.assert_allclose(read.volume.affine_lps, wanted.volume.affine_lps)


def test_a_data_set_above_its_usual_folder_is_found_too(tmp_path: Path) -> None:
    write_flare22(tmp_path / "x", 1)
    btcv = write_btcv(tmp_path / "y", 1) / "RawData" / "Training"

    assert guessed_layout(tmp_path / "x").name == "flare22"
    assert guessed_layout(btcv).name == "btcv"


def test_numbers_are_those_that_the_data_sets_publish() -> None:
    # Written again from other sources than the table: challenge pages and public loaders.
    assert [data_set("flare22").table.meanings[n] for n in (1, 2, 3, 4, 5, 12, 13)] == [
        "liver", "kidney_right", "spleen", "pancreas", "aorta", "duodenum", "kidney_left",
    ]  # fmt: skip
    assert [data_set("btcv").table.meanings[n] for n in (1, 2, 3, 6, 10, 11, 12, 13)] == [
        "spleen", "kidney_right", "kidney_left", "liver", "portal_splenic_vein", "pancreas",
        "adrenal_right", "adrenal_left",
    ]  # fmt: skip
    assert "duodenum" not in data_set("btcv").table.names
    assert dict(data_set("abdomenct-1k").table.meanings) == {
        1: "liver", 2: "kidney", 3: "spleen", 4: "pancreas",
    }  # fmt: skip


def test_a_tumour_counts_to_the_organ_that_the_task_labels(tmp_path: Path) -> None:
    names = {"0": "background", "1": "pancreas", "2": "cancer"}
    place = write_msd(tmp_path, "Task07_Pancreas", "pancreas", names, {"pancreas": 1, "spleen": 2})

    read = found_in(place, "msd").cases[0].read()

    assert read.names == {"pancreas"}
    assert set(np.unique(read.labels).tolist()) == {0, OUR_NUMBERS["pancreas"]}
    assert read.labels[BOXES["spleen"]].all()


def test_a_task_without_anything_of_ours_is_refused(tmp_path: Path) -> None:
    names = {"0": "background", "1": "cancer"}
    place = write_msd(tmp_path, "Task06_Lung", "lung", names, {"spleen": 1})

    with pytest.raises(ConfigurationInvalid, match="nothing of ours"):
        found_in(place, "msd")


@pytest.mark.parametrize(
    "path", ["../elsewhere/x.nii.gz", "/etc/passwd", "a/../../x.nii.gz", 7, ""]
)
def test_a_path_out_of_the_folder_is_refused(path: object, tmp_path: Path) -> None:
    place = write_spleen(tmp_path)
    content = json.loads((place / "dataset.json").read_text())
    content["training"][0]["image"] = path
    (place / "dataset.json").write_text(json.dumps(content))

    with pytest.raises(UnreadableInput, match="out of the data set"):
        found_in(place, "msd")


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    place = write_spleen(tmp_path)
    outside = save(ct(1), tmp_path / "outside.nii.gz")
    image = place / "imagesTr/spleen_2.nii.gz"
    image.unlink()
    image.symlink_to(outside)

    with pytest.raises(UnreadableInput, match="out of the data set"):
        found_in(place, "msd")


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"training": 3, "labels": {"1": "spleen"}},
        {"training": [3], "labels": {"1": "spleen"}},
        {"training": [], "labels": ["spleen"]},
        {"training": [], "labels": {"one": "spleen"}},
        {"training": [], "labels": {"99999999": "spleen"}},
        [],
    ],
)
@pytest.mark.parametrize("layout", ["msd", "nnunet"])
def test_a_dataset_json_that_says_nothing_is_refused(
    layout: str, content: object, tmp_path: Path
) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps(content))

    with pytest.raises((ConfigurationInvalid, UnreadableInput)):
        found_in(tmp_path, layout)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_that_a_path_has_not_finds_nothing_or_says_so(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("nothing")

    for path in (tmp_path, tmp_path / "file", tmp_path / "gone"):
        with suppress(ConfigurationInvalid):
            assert found_in(path, name).cases == ()


def write_nnunet(folder: Path, stated: dict[str, object]) -> Path:
    save(ct(1), folder / "imagesTr/case_1_0000.nii.gz")
    save(
        labels({"kidney_right": 1, "kidney_left": 2, "spleen": 3}),
        folder / "labelsTr/case_1.nii.gz",
    )
    content = {"channel_names": {"0": "CT"}, "labels": stated, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def test_nnunet_folders_are_read_by_their_own_names(tmp_path: Path) -> None:
    folder = write_nnunet(
        tmp_path, {"background": 0, "right kidney": 1, "left kidney": 2, "spleen": 3}
    )

    assert guessed_layout(folder).name == "nnunet"
    assert found_in(folder, "nnunet").cases[0].read().names == {
        "kidney_right", "kidney_left", "spleen",
    }  # fmt: skip


@pytest.mark.parametrize("order", [1, -1])
def test_regions_of_nnunet_are_what_their_parts_are(order: int, tmp_path: Path) -> None:
    regions: dict[str, object] = {"kidney": [1, 2, 3], "masses": [2, 3], "tumor": 2}
    named = dict([*regions.items()][::order])
    folder = write_nnunet(tmp_path, {"background": 0, **named})

    read = found_in(folder, "nnunet").cases[0].read()

    for drawn in ("kidney_right", "kidney_left", "spleen"):
        assert (read.labels[BOXES[drawn]] == OUR_NUMBERS["kidney"]).all()


def merged_totalsegmentator(folder: Path, extension: bytes | None) -> Path:
    place = folder / "s0001"
    save(ct(1), place / "ct.nii.gz")
    path = save(labels({"liver": 5, "pancreas": 7}), place / "segmentations.nii.gz")
    if extension is not None:
        image = nibabel.load(path)
        voxels = np.asarray(image.dataobj)
        marked = nibabel.Nifti1Image(voxels, image.affine)
        marked.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, extension))
        nibabel.save(marked, path)
    return folder


V2_TABLE = (
    b'<?xml version="1.0" encoding="UTF-8"?> <CaretExtension><VolumeInformation Index="0"><LabelTable>\n'
    b'<Label Key="5" Red="1.0" Green="0.5" Blue="0.0" Alpha="1"><![CDATA[liver]]></Label>\n'
    b'<Label Key="7" Red="0.0" Green="0.5" Blue="1.0" Alpha="1"><![CDATA[pancreas]]></Label>\n'
    b"</LabelTable></VolumeInformation></CaretExtension>"
)
"""As TotalSegmentator's nifti_ext_header.py writes it."""


def test_a_merged_map_that_names_its_numbers_is_read(tmp_path: Path) -> None:
    folder = merged_totalsegmentator(tmp_path, V2_TABLE)

    read = found_in(folder, "totalsegmentator").cases[0].read()

    assert read.names == {"liver", "pancreas"}
    assert boxes_of(read) == wanted_boxes(frozenset({"liver", "pancreas"}))


def test_a_merged_map_without_names_is_not_guessed(tmp_path: Path) -> None:
    folder = merged_totalsegmentator(tmp_path, None)

    found = found_in(folder, "totalsegmentator")

    assert found.cases == ()
    assert "does not say what its numbers mean" in found.problems[0].found
    assert found.problems[0].case == "s0001"


def test_a_merged_map_with_names_beside_it_is_read(tmp_path: Path) -> None:
    folder = merged_totalsegmentator(tmp_path, None)
    (folder / "s0001/segmentations.json").write_text('{"5": "liver", "7": "aorta"}')

    assert found_in(folder, "totalsegmentator").cases[0].read().names == {"liver", "aorta"}


@pytest.mark.parametrize(
    "table", ['{"99999999999": "liver"}', '{"-1": "liver"}', '{"a": "b"}', "[]"]
)
def test_a_table_that_is_none_is_a_problem_of_its_case(table: str, tmp_path: Path) -> None:
    folder = merged_totalsegmentator(tmp_path, None)
    (folder / "s0001/segmentations.json").write_text(table)

    found = found_in(folder, "totalsegmentator")

    assert [problem.case for problem in found.problems] == ["s0001"]


def test_scans_of_one_patient_are_known_by_the_users_pattern(tmp_path: Path) -> None:
    found = found_in(write_plain(tmp_path, PLAIN_TABLE), "plain")

    assert {case.name: case.patient for case in found.cases} == {
        "A12_1": "A12", "A12_2": "A12", "B7_1": "B7",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("liver", "livver"), "livver"),
        (("ct/{case}", "../ct/{case}"), "path below the folder"),
        (("ct/{case}", "/ct/{case}"), "path below the folder"),
        (("ct/{case}.nii.gz", "ct/all.nii.gz"), "{case}"),
        (("^([A-Z][0-9]+)_", "^([A-Z"), "pattern"),
        (("^([A-Z][0-9]+)_", "^(Q)"), "no patient"),
        (("1 =", "0 ="), "whole numbers from 1"),
        (("images =", "imgs ="), "imgs"),
    ],
)
def test_a_mistake_in_the_users_table_is_named(
    change: tuple[str, str], says: str, tmp_path: Path
) -> None:
    folder = write_plain(tmp_path, PLAIN_TABLE.replace(*change))

    with pytest.raises(ConfigurationInvalid) as refused:
        found_in(folder, "plain")

    assert says in str(refused.value)


def test_a_table_in_json_does_as_well(tmp_path: Path) -> None:
    folder = write_plain(tmp_path, "")
    (folder / "labels.toml").unlink()
    table = {
        "images": "ct/{case}.nii.gz",
        "labels": "masks/{case}_seg.nii.gz",
        "numbers": {"1": "liver", "7": "kidney"},
    }
    (folder / "labels.json").write_text(json.dumps(table))

    assert len(find_cases(folder, guessed_layout(folder)).cases) == 3


def test_synthetic_cases_are_made_when_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "synthetic.toml").write_text(
        "first_seed = 3\ncases = 2\nspacing_mm = [24.0, 12.0, 12.0]\nrows_columns = [36, 44]\n"
    )

    found = find_cases(tmp_path, guessed_layout(tmp_path))
    read = found.cases[0].read()

    assert [case.name for case in found.cases] == ["torso-0000003", "torso-0000004"]
    assert {"liver", "portal_splenic_vein", "skeletal_muscle", "visceral_fat"} <= read.names
    liver = read.volume.hu[read.labels == OUR_NUMBERS["liver"]]
    fat = read.volume.hu[read.labels == OUR_NUMBERS["subcutaneous_fat"]]
    assert liver.mean() > 20 > -50 > fat.mean()


def test_patients_are_painted_from_templates_that_lie_beside_the_table(tmp_path: Path) -> None:
    tiny_template().write(tmp_path / "tiny.npz")
    (tmp_path / "synthetic.toml").write_text(
        'cases = 1\nspacing_mm = [24.0, 12.0, 12.0]\nrows_columns = [36, 44]\ntemplates = ["tiny.npz"]\n'
    )

    (case,) = found_in(tmp_path, "synthetic").cases

    assert case.name == "painted-0000000"
    assert (case.read().labels == OUR_NUMBERS["liver"]).any()


def test_seeds_that_belong_to_evaluation_are_refused(tmp_path: Path) -> None:
    (tmp_path / "synthetic.toml").write_text("first_seed = 999_999\ncases = 2\n")

    with pytest.raises(ConfigurationInvalid, match="evaluation"):
        found_in(tmp_path, "synthetic")


def test_a_folder_of_two_layouts_is_not_guessed(tmp_path: Path) -> None:
    write_flare22(tmp_path, 1)
    (tmp_path / "synthetic.toml").write_text("cases = 1\n")

    with pytest.raises(ConfigurationInvalid, match=r"flare22 and of synthetic.*--layout"):
        guessed_layout(tmp_path)


def test_a_folder_of_no_layout_says_which_there_are(tmp_path: Path) -> None:
    save(ct(), tmp_path / "some/where.nii.gz")

    with pytest.raises(ConfigurationInvalid, match="no known layout") as refused:
        guessed_layout(tmp_path)

    assert all(name in str(refused.value) for name in LAYOUTS)


def test_an_affine_that_is_not_axis_aligned_in_name_only_is_kept(tmp_path: Path) -> None:
    # A grid turned by less than a degree: resampling would blur, so it is read as it lies.
    turn = np.radians(0.5)
    affine = affine_ras()
    rotation = np.array(
        [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    )
    affine[:3, :3] = rotation @ affine[:3, :3]
    place = tmp_path / "FLARE22_LabeledCase50"
    save(ct(), place / "images/FLARE22_Tr_0001_0000.nii.gz", affine)
    save(labels({"liver": 1}), place / "labels/FLARE22_Tr_0001.nii.gz", affine)

    read = found_in(place, "flare22").cases[0].read()

    assert boxes_of(read) == wanted_boxes(frozenset({"liver"}))
