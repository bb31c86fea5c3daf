"""References of real cases lie on the anatomy they name; the folder is the user's, named by HABITUS_REAL_CT."""

import os
from pathlib import Path

import numpy as np
import pytest

from inference.domain.analysis_profile import load_profile
from inference.domain.labelmap import Structure
from training.real.case import RealCase
from training.real.example_ct import CUT_FIELDS, cut, example_case
from training.real.find_cases import find_cases
from training.real.known_cases import known_cases
from training.real.read_case import read_case
from training.real.score import slice_of

JPEG_2000 = "totalseg_jpeg2000_upper_abdomen"


@pytest.fixture(scope="module")
def real() -> Path:
    folder = Path(os.environ.get("HABITUS_REAL_CT", ""))
    if not os.environ.get("HABITUS_REAL_CT") or not (folder / "anatomy").is_dir():
        pytest.skip("HABITUS_REAL_CT names no folder with anatomy/")
    return folder


@pytest.fixture(scope="module")
def example(real: Path) -> RealCase:
    return example_case(real / "anatomy" / "example_ct.nii.gz", "example_ct", None)


def mean_hu(case: RealCase, structure: Structure) -> float:
    mask = case.reference.of(structure)
    assert mask is not None
    assert case.volume is not None
    return float(np.median(case.volume.hu[mask]))


def test_every_public_case_is_found_and_named(real: Path) -> None:
    names = [one.name for one in find_cases([real])]

    assert {"example_ct", JPEG_2000, "kits_liver_slab", "vertebra_l3_crop"} <= set(names)
    assert set(names) <= set(known_cases())


def test_masks_of_the_example_lie_on_tissue_of_their_density(example: RealCase) -> None:
    assert 30 < mean_hu(example, Structure.LIVER) < 80
    assert 20 < mean_hu(example, Structure.SKELETAL_MUSCLE) < 80
    assert -120 < mean_hu(example, Structure.SUBCUTANEOUS_FAT) < -80
    assert -120 < mean_hu(example, Structure.VISCERAL_FAT) < -70


def test_the_examples_l3_is_the_middle_of_its_body(example: RealCase) -> None:
    # The sketch that this grew from read 73.9 off the same label; the label's own middle is 72.
    assert example.volume is not None
    assert example.l3_z_mm is not None
    place = (example.l3_z_mm - example.volume.affine_lps[2, 3]) / 3.0

    assert place == pytest.approx(73.9, abs=0.4)


def test_cut_fields_hold_the_whole_body_or_none_of_it(example: RealCase) -> None:
    vertebra = example.reference.l3
    assert vertebra is not None
    assert example.volume is not None
    for field in CUT_FIELDS:
        part = cut(example, field)
        assert part.volume is not None
        if field.has_l3:
            assert part.l3_z_mm is not None
            k = slice_of(part.volume, part.l3_z_mm)
            assert 5 <= k < part.volume.shape[0] - 5, field.name


def test_images_without_identity_and_labels_in_another_order_lie_on_each_other(real: Path) -> None:
    path = real / "real-ct" / JPEG_2000

    case = read_case(path, JPEG_2000, load_profile("abdomen"), known_cases()[JPEG_2000])

    assert case.rejection is not None
    assert case.rejection.reason_code == "empty-uids"
    assert case.is_l3_absent
    assert 80 < mean_hu(case, Structure.LIVER) < 150
    assert mean_hu(case, Structure.AORTA) > 130
    bone = case.reference.mask("vertebrae_t12")
    assert bone is not None
    assert case.volume is not None
    assert float(np.median(case.volume.hu[bone])) > 150
