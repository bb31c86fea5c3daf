"""Real CT with anyone's labels, read as a training reads it; the folder is the user's, named by HABITUS_REAL_CT."""

import os
from pathlib import Path

import numpy as np
import pytest

from inference.domain.volume import position_mm
from training.data.checks import checked
from training.data.layouts.registry import find_cases, guessed_layout
from training.data.problems import errors_of
from training.label_names import OUR_NUMBERS


@pytest.fixture(scope="module")
def real() -> Path:
    folder = Path(os.environ.get("HABITUS_REAL_CT", ""))
    if not os.environ.get("HABITUS_REAL_CT") or not (folder / "anatomy").is_dir():
        pytest.skip("HABITUS_REAL_CT names no folder with anatomy/")
    return folder


def test_a_merged_map_of_a_whole_trunk_has_nothing_against_it(real: Path, tmp_path: Path) -> None:
    place = tmp_path / "s0001"
    place.mkdir()
    anatomy = real / "anatomy"
    (place / "ct.nii.gz").symlink_to(anatomy / "example_ct.nii.gz")
    (place / "labels.nii.gz").symlink_to(anatomy / "example_ct_labels.nii.gz")
    (place / "labels.json").symlink_to(anatomy / "example_ct_labels.json")

    result = checked(find_cases(tmp_path, guessed_layout(tmp_path)))
    facts = result.examinations[0].facts

    assert result.problems == ()
    assert facts is not None
    assert 800 < facts.volumes_ml["liver"] < 2500
    assert 0 < facts.mean_hu["aorta"] < 400
    assert {
        "kidney_left",
        "kidney_right",
        "spleen",
        "pancreas",
        "vertebra_l3",
    } <= facts.volumes_ml.keys()


def test_a_crop_stored_in_sagittal_slices_lies_as_its_labels_do(real: Path, tmp_path: Path) -> None:
    source = real / "real-ct" / "vertebra_l3_crop"
    (tmp_path / "l3_ct.nii.gz").symlink_to(source / "ct.nii.gz")
    (tmp_path / "l3_vertebra.nii.gz").symlink_to(source / "vertebra.nii.gz")
    (tmp_path / "labels.toml").write_text(
        'images = "{case}_ct.nii.gz"\nlabels = "{case}_vertebra.nii.gz"\n'
        '[numbers]\n21 = ""\n22 = "L3"\n23 = ""\n'
    )

    found = find_cases(tmp_path, guessed_layout(tmp_path))
    read = found.cases[0].read()
    inside = read.labels == OUR_NUMBERS["vertebra_l3"]

    assert errors_of(checked(found).problems) == []
    assert read.names == {"vertebra_l3"}
    # The vertebra is denser than what surrounds it, and its middle is the crop's.
    assert np.median(read.volume.hu[inside]) > np.median(read.volume.hu[~inside]) + 50
    middle = position_mm(read.volume.affine_lps, np.argwhere(inside)).mean(0)
    whole = position_mm(read.volume.affine_lps, (np.array(read.labels.shape) - 1) / 2)
    assert np.abs(middle - whole).max() < 25


def test_segmentations_of_three_slices_are_refused_by_the_nodes_own_rules(real: Path) -> None:
    folder = real / "real-ct" / "dcmqi_seg_examples"

    found = find_cases(folder, guessed_layout(folder))
    problems = errors_of(checked(found).problems)

    assert len(found.cases) == 3
    assert {problem.found for problem in problems} == {
        "3 slices", "a slice whose values are not Hounsfield units",
    }  # fmt: skip
