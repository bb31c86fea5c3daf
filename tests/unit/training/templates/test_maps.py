"""Label maps are read merged or as single masks, in the patient's orientation."""

import json
from pathlib import Path

import numpy as np
import pytest

from inference.domain.errors import UnreadableInput
from inference.domain.volume import position_mm
from tests.unit.training.templates.tiny_torso import numbers, write_masks, write_merged
from training.nifti import read_nifti
from training.synthetic.labels import Tissue
from training.templates.map_names import Layer, meaning_of
from training.templates.maps import NamedMap, read_maps


def classes(maps: NamedMap) -> dict[str, int]:
    """Voxels of every class by name."""
    return {name: int((maps.numbers == number).sum()) for number, name in maps.names.items()}


def test_a_merged_map_comes_back_in_canonical_order(tmp_path: Path) -> None:
    voxels, names = numbers()

    maps = read_maps(write_merged(tmp_path))

    np.testing.assert_array_equal(maps.numbers, voxels)
    assert maps.names == names


def test_the_liver_lies_on_the_patients_right(tmp_path: Path) -> None:
    maps = read_maps(write_merged(tmp_path))
    number = {name: number for number, name in maps.names.items()}
    x = {
        name: position_mm(maps.affine_lps, np.argwhere(maps.numbers == number[name]))[:, 0].mean()
        for name in ("liver", "spleen")
    }
    assert x["liver"] < x["spleen"]


def test_single_masks_hold_the_same_classes(tmp_path: Path) -> None:
    merged, single = tmp_path / "merged", tmp_path / "single"
    merged.mkdir()
    single.mkdir()
    write_masks(single)

    assert classes(read_maps(single)) == classes(read_maps(write_merged(merged).parent))


def test_a_folder_with_several_tables_asks_for_the_file(tmp_path: Path) -> None:
    write_merged(tmp_path)
    (tmp_path / "other.json").write_text("{}")

    with pytest.raises(UnreadableInput, match="2 tables of names"):
        read_maps(tmp_path)


def test_an_empty_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match="no NIfTI"):
        read_maps(tmp_path)


def test_a_table_that_is_none_is_reported(tmp_path: Path) -> None:
    path = write_merged(tmp_path)
    (tmp_path / "torso.json").write_text(json.dumps(["liver"]))

    with pytest.raises(UnreadableInput, match="no table of names"):
        read_maps(path)


def test_a_file_that_is_no_nifti_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "note.nii.gz"
    path.write_text("not an image")

    with pytest.raises(UnreadableInput, match="NIfTI"):
        read_nifti(path)


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("vertebrae_T12", (Layer.SPINE, Tissue.VERTEBRA_TRABECULAR)),
        ("vertebrae_S1", (Layer.FRAME, Tissue.VERTEBRA_TRABECULAR)),
        ("iliac_vena_left", (Layer.VISCERA, Tissue.VEIN)),
        ("portal_vein_and_splenic_vein", (Layer.VISCERA, Tissue.PORTAL_SPLENIC_VEIN)),
        ("brachiocephalic_trunk", (Layer.VISCERA, Tissue.ARTERY)),
        ("humerus_left", (Layer.LEFT_OUT, Tissue.AIR)),
        ("thyroid_gland", (Layer.VISCERA, Tissue.PELVIC_ORGAN)),
    ],
)
def test_names_become_layers_and_tissues(name: str, meaning: tuple[Layer, Tissue]) -> None:
    assert meaning_of(name) == meaning
