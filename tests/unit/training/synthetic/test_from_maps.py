"""Painting from label maps: orientation, L3, layers round the known tissues."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from inference.domain.errors import UnreadableInput
from inference.domain.volume import position_mm
from training.synthetic.from_maps import PaintedMaps, case_from_maps, read_nifti
from training.synthetic.labels import Tissue
from training.synthetic.map_names import tissue_of
from training.synthetic.painting import plain_acquisition

NAMES = {1: "vertebrae_L3", 2: "autochthon_left", 3: "autochthon_right", 4: "liver", 5: "colon"}


def write_maps(folder: Path) -> tuple[Path, Path]:
    """A tiny trunk in RAS with 4 mm voxels: L3, back muscles, a liver on the right, colon."""
    labels = np.zeros((70, 60, 16), np.int16)
    labels[30:40, 24:34, 5:11] = 1
    labels[18:30, 12:22] = 2
    labels[40:52, 12:22] = 3
    labels[48:58, 24:46, 6:] = 4
    labels[14:24, 30:42] = 5
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = (-138.0, -118.0, 500.0)
    path, names = folder / "labels.nii.gz", folder / "names.json"
    nibabel.save(nibabel.Nifti1Image(labels, affine), path)
    names.write_text(json.dumps(NAMES))
    return path, names


@pytest.fixture
def painted(tmp_path: Path) -> PaintedMaps:
    return case_from_maps(*write_maps(tmp_path), seed=1, acquisition=plain_acquisition(5.0))


def test_the_liver_comes_to_the_patients_right_side(painted: PaintedMaps) -> None:
    liver = np.argwhere(painted.tissue_labels == Tissue.LIVER)
    assert position_mm(painted.volume.affine_lps, liver)[:, 0].mean() < -30
    assert painted.volume.hu.shape == (16, 60 + 24, 70 + 24)
    assert position_mm(painted.volume.affine_lps, liver)[:, 0].min() == pytest.approx(-90.0)


def test_l3_is_read_off_its_label(painted: PaintedMaps) -> None:
    assert painted.l3_z_mm == pytest.approx(500.0 + 4.0 * 7.5)
    assert painted.l3_extent_mm == pytest.approx((518.0, 542.0))


def test_fat_wall_and_skin_surround_the_known_tissues(painted: PaintedMaps) -> None:
    middle = painted.tissue_labels[8]
    for tissue in (Tissue.SKIN, Tissue.SUBCUTANEOUS_FAT, Tissue.OBLIQUE, Tissue.VISCERAL_FAT):
        assert (middle == tissue).any(), tissue
    assert middle[0, 0] == Tissue.AIR
    assert np.isin(middle, (Tissue.BOWEL_WALL, Tissue.VERTEBRA_CORTICAL)).any()


def test_painting_is_reproducible(tmp_path: Path) -> None:
    path, names = write_maps(tmp_path)
    first, again = (case_from_maps(path, names, seed=4) for _ in range(2))
    assert np.array_equal(first.volume.hu, again.volume.hu)


def test_a_file_that_is_no_nifti_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "note.nii.gz"
    path.write_text("not an image")
    with pytest.raises(UnreadableInput, match="NIfTI"):
        read_nifti(path)


@pytest.mark.parametrize(
    ("name", "tissue"),
    [
        ("vertebrae_T12", Tissue.VERTEBRA_TRABECULAR),
        ("iliac_vena_left", Tissue.VEIN),
        ("portal_vein_and_splenic_vein", Tissue.PORTAL_SPLENIC_VEIN),
        ("brachiocephalic_trunk", Tissue.ARTERY),
        ("thyroid_gland", Tissue.PELVIC_ORGAN),
    ],
)
def test_names_become_tissues(name: str, tissue: Tissue) -> None:
    assert tissue_of(name) is tissue
