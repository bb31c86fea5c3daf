"""Anatomy label maps from a folder: one merged map with its table of names, or a mask file per class."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference.domain.errors import ConfigurationInvalid, UnreadableInput
from inference.domain.volume import Affine, Volume, canonical

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
IMAGE_NAMES = ("*.nii.gz", "*.nii")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NamedMap:
    """Class numbers [slice, row, column] in canonical order, and what they mean."""

    numbers: npt.NDArray[np.uint8]
    names: dict[int, str]
    affine_lps: Affine


def read_nifti(path: Path) -> Volume:
    """Any NIfTI image in canonical index order."""
    try:
        import nibabel
        from nibabel.filebasedimages import ImageFileError
    except ImportError as problem:
        raise ConfigurationInvalid(
            found="an environment without nibabel",
            wanted="nibabel, to read NIfTI",
            advice="Run make setup-dev.",
        ) from problem
    try:
        image = nibabel.load(path)
        voxels = np.asarray(image.dataobj)
    except (OSError, ImageFileError) as problem:
        raise UnreadableInput(
            found=f"a file that is no NIfTI image ({path.name})",
            wanted="a readable .nii or .nii.gz",
            advice="Check the path.",
        ) from problem
    if voxels.ndim != 3:
        raise UnreadableInput(
            found=f"a NIfTI image of {voxels.ndim} dimensions",
            wanted="one of three: a single volume",
            advice="Take one volume out of it.",
        )
    affine: Affine = RAS_TO_LPS @ image.affine
    order = np.argmax(np.abs(affine[:3, :3]), axis=0)
    axes = [int(np.flatnonzero(order == axis)[0]) for axis in (2, 1, 0)]
    arranged = affine.copy()
    arranged[:, :3] = affine[:, axes]
    return canonical(Volume(hu=voxels.transpose(axes).astype(np.float32), affine_lps=arranged))


def read_maps(source: Path) -> NamedMap:
    """The map of a folder, or of a NIfTI file with its table of names beside it."""
    if source.is_file():
        return _merged(source, _table_beside(source))
    images = sorted(path for pattern in IMAGE_NAMES for path in source.glob(pattern))
    tables = sorted(source.glob("*.json"))
    if not images:
        raise UnreadableInput(
            found=f"no NIfTI files in {source.name}",
            wanted="one label map with a table of names, or one mask per class",
            advice="Name the folder that TotalSegmentator wrote.",
        )
    if len(tables) > 1:
        raise UnreadableInput(
            found=f"{len(tables)} tables of names in {source.name}",
            wanted="one label map",
            advice="Name the .nii.gz file itself; its .json is found beside it.",
        )
    return _merged(images[0], tables[0]) if tables else _single_masks(images)


def _table_beside(image: Path) -> Path:
    return image.with_name(_class_name(image) + ".json")


def _class_name(image: Path) -> str:
    return image.name.removesuffix(".gz").removesuffix(".nii")


def _read_names(path: Path) -> dict[int, str]:
    """Label number to class name."""
    try:
        return {int(k): str(v) for k, v in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, AttributeError) as problem:
        raise UnreadableInput(
            found=f"no table of names in {path.name}",
            wanted='a JSON object such as {"1": "liver"}',
            advice="Check the path, and that the table belongs to the label map.",
        ) from problem


def _merged(image: Path, table: Path) -> NamedMap:
    names = _read_names(table)
    volume = read_nifti(image)
    return NamedMap(
        numbers=volume.hu.astype(np.uint8),
        names={number: name for number, name in names.items() if 0 < number < 256},
        affine_lps=volume.affine_lps,
    )


def _single_masks(images: Sequence[Path]) -> NamedMap:
    """Masks numbered by the alphabet; where two overlap the later one wins."""
    numbers: npt.NDArray[np.uint8] | None = None
    affine, names = np.eye(4), {}
    for number, image in enumerate(images[:255], start=1):
        mask = read_nifti(image)
        if numbers is None:
            numbers, affine = np.zeros(mask.shape, np.uint8), mask.affine_lps
        elif mask.shape != numbers.shape:
            raise UnreadableInput(
                found=f"{image.name} on a grid of its own",
                wanted="masks of one CT",
                advice="Take only files of one patient into the folder.",
            )
        numbers[mask.hu > 0] = number
        names[number] = _class_name(image)
    assert numbers is not None
    return NamedMap(numbers=numbers, names=names, affine_lps=affine)
