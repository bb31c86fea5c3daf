"""NIfTI in and out: the same voxels in the same places as nibabel has, and a sentence for everything that is no CT."""

import gzip
import itertools
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from inference.domain.errors import HabitusError, UnreadableInput, UnsupportedGeometry
from inference.domain.volume import position_mm
from inference.nifti.ct_image import is_nifti, read_ct, write_labels

SHAPE = (20, 16, 12)
"""Of the file's index order R-A-S: columns, rows, slices."""
STEPS = (2.0, 2.5, 4.0)
ORIENTATIONS = [
    (axes, signs)
    for axes in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def ct() -> np.ndarray[Any, Any]:
    """Air about a body of soft tissue, a bone near the patient's right, back and head."""
    hu = np.full(SHAPE, -1000, np.int16)
    hu[3:17, 3:13, :] = 40
    hu[14:16, 4:6, 8:11] = 700
    return hu


def affine() -> np.ndarray[Any, Any]:
    matrix = np.diag([*STEPS, 1.0])
    matrix[:3, 3] = (-30.0, 12.0, 500.0)
    return matrix


def saved(path: Path, image: nibabel.Nifti1Image) -> Path:
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_every_orientation_gives_the_same_patient_and_labels_lie_where_they_belong(
    axes: tuple[int, int, int], signs: tuple[int, int, int], tmp_path: Path
) -> None:
    upright = nibabel.Nifti1Image(ct(), affine())
    turned = upright.as_reoriented(np.array(list(zip(axes, signs, strict=True)), float))
    path = saved(tmp_path / "ct.nii", turned)

    image = read_ct(path)

    # Canonical: slices to the head, rows to the back, columns to the patient's left.
    assert (image.volume.hu == ct()[::-1, ::-1, :].transpose(2, 1, 0)).all()
    bone = np.argwhere(image.volume.hu == 700).mean(axis=0)
    middle_ras = (affine() @ [14.5, 4.5, 9.0, 1.0])[:3]
    assert np.allclose(position_mm(image.volume.affine_lps, bone), middle_ras * [-1, -1, 1])

    write_labels((image.volume.hu == 700).astype(np.uint8), image, tmp_path / "labels.nii.gz")
    labels = nibabel.load(tmp_path / "labels.nii.gz")
    assert labels.get_data_dtype() == np.uint8
    assert (labels.affine == nibabel.load(path).affine).all()
    assert (np.asarray(labels.dataobj) == (np.asarray(turned.dataobj) == 700)).all()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("kind", "slope", "intercept"),
    [("i2", 1.0, 0.0), ("f4", 1.0, 0.0), ("u2", 1.0, -1024.0), ("i4", 0.5, 3.0), ("f8", 2.0, -5.0)],
)
def test_stored_numbers_become_hounsfield_units_as_in_nibabel(
    order: str, kind: str, slope: float, intercept: float, tmp_path: Path
) -> None:
    stored = ((ct() - intercept) / slope).astype(f"{order}{kind}")
    header = nibabel.Nifti1Header(endianness=order)
    header.set_data_dtype(stored.dtype)
    image = nibabel.Nifti1Image(stored, affine(), header)
    image.header.set_slope_inter(slope, intercept)
    path = saved(tmp_path / "ct.nii.gz", image)

    found = read_ct(path)

    theirs = np.rint(nibabel.load(path).get_fdata())
    assert (found.volume.hu == theirs[::-1, ::-1, :].transpose(2, 1, 0)).all()
    write_labels((found.volume.hu > 500).astype(np.uint8), found, tmp_path / "labels.nii.gz")
    labels = nibabel.load(tmp_path / "labels.nii.gz")
    assert (np.asarray(labels.dataobj) == (theirs > 500)).all()
    assert np.allclose(labels.affine, affine())


def test_a_place_stated_by_the_qform_alone_is_the_one_that_nibabel_finds(tmp_path: Path) -> None:
    angle = np.radians(4)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    matrix = affine()
    matrix[:3, :3] = turn @ np.diag([STEPS[0], STEPS[1], -STEPS[2]])
    image = nibabel.Nifti1Image(ct(), None)
    image.header.set_qform(matrix, code=1)
    path = saved(tmp_path / "ct.nii", image)

    found = read_ct(path)

    theirs = nibabel.load(path).affine
    assert np.allclose(found.header.affine_lps, np.diag([-1, -1, 1, 1]) @ theirs, atol=1e-4)


def test_labels_say_nothing_of_what_the_image_says_in_words(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(ct(), affine())
    image.header["descrip"] = b"DOE^JANE 1950"
    image.header["db_name"] = b"DOE"
    image.header["intent_name"] = b"DOE"
    found = read_ct(saved(tmp_path / "ct.nii.gz", image))

    write_labels(np.ones(found.volume.shape, np.uint8), found, tmp_path / "labels.nii.gz")

    assert b"DOE" not in gzip.decompress((tmp_path / "labels.nii.gz").read_bytes())


def _volume(hu: np.ndarray[Any, Any], matrix: np.ndarray[Any, Any] | None = None) -> Any:
    return nibabel.Nifti1Image(hu, affine() if matrix is None else matrix)


def _tilted() -> np.ndarray[Any, Any]:
    matrix = affine()
    matrix[1, 2] = 1.0
    return matrix


def _turned() -> np.ndarray[Any, Any]:
    angle = np.radians(20)
    turn = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    matrix = affine()
    matrix[:3, :3] = turn @ matrix[:3, :3]
    return matrix


def _without_place() -> Any:
    image = _volume(ct())
    image.set_sform(None, code=0)
    image.set_qform(None, code=0)
    return image


def _two_places() -> Any:
    image = _volume(ct())
    image.set_qform(affine(), code=1)
    moved = affine()
    moved[0, 3] += 5
    image.set_sform(moved, code=1)
    return image


@pytest.mark.parametrize(
    ("image", "refusal"),
    [
        (_volume(ct() + 1024), UnreadableInput),
        (_volume(((ct() + 1000) / 1700).astype(np.float32)), UnreadableInput),
        (_volume(ct().clip(-160, 240)), UnreadableInput),
        (_volume((ct() > 0).astype(np.uint8)), UnreadableInput),
        (_volume(np.where(ct() > 600, np.nan, ct()).astype(np.float32)), UnreadableInput),
        (_volume(np.stack([ct(), ct()], -1)), UnreadableInput),
        (_volume(ct(), _tilted()), UnsupportedGeometry),
        (_volume(ct(), _turned()), UnsupportedGeometry),
        (_volume(ct()[:, :, :5]), UnsupportedGeometry),
        (_without_place(), UnreadableInput),
        (_two_places(), UnreadableInput),
        (nibabel.Nifti2Image(ct(), affine()), UnreadableInput),
    ],
)
def test_what_is_no_axial_ct_in_hounsfield_units_is_refused(
    image: Any, refusal: type[HabitusError], tmp_path: Path
) -> None:
    with pytest.raises(refusal):
        read_ct(saved(tmp_path / "ct.nii.gz", image))


@pytest.mark.parametrize("damage", ["cut", "cut gzip", "no nifti", "empty"])
def test_a_broken_file_is_refused_in_a_sentence(damage: str, tmp_path: Path) -> None:
    whole = saved(tmp_path / "ct.nii", _volume(ct())).read_bytes()
    path = tmp_path / ("broken.nii.gz" if "gzip" in damage else "broken.nii")
    content = {
        "cut": whole[:-100],
        "cut gzip": gzip.compress(whole)[:-40],
        "no nifti": b"PK" + bytes(1000),
        "empty": b"",
    }
    path.write_bytes(content[damage])
    with pytest.raises(UnreadableInput):
        read_ct(path)


def test_a_file_is_known_by_its_name() -> None:
    assert is_nifti(Path("a/ct.NII.GZ"))
    assert not is_nifti(Path("a/ct.gz"))
