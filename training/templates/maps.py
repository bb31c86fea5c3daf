"""Anatomy label maps from a folder: one merged map with its table of names, or a mask file per class."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference.domain.errors import UnreadableInput
from inference.domain.volume import Affine
from training.nifti import IMAGE_NAMES, read_nifti


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NamedMap:
    """Class numbers [slice, row, column] in canonical order, and what they mean."""

    numbers: npt.NDArray[np.uint8]
    names: dict[int, str]
    affine_lps: Affine


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


def read_names(path: Path) -> dict[int, str]:
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
    names = read_names(table)
    volume = read_nifti(image)
    return NamedMap(
        # A larger number would come round as another label.
        numbers=np.where((volume.hu >= 0) & (volume.hu < 256), volume.hu, 0).astype(np.uint8),
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
