"""A torso of boxes in TotalSegmentator's names, whole from T10 to the femora: a template in a second."""

import json
from functools import lru_cache
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt

from training.templates.build import template_of
from training.templates.maps import NamedMap
from training.templates.template import Template

STEP_MM = 5.0
SHAPE = (92, 46, 64)
MIDDLE = 32
BODIES = ("S1", "L5", "L4", "L3", "L2", "L1", "T12", "T11", "T10")
"""From below; each 6 slices high with one slice of disc above."""
FIRST_BODY_SLICE = 26


def body_slices(name: str) -> tuple[int, int]:
    """First slice and the one after the last."""
    first = FIRST_BODY_SLICE + 7 * BODIES.index(name)
    return first, first + 6


def boxes() -> dict[str, tuple[slice, slice, slice]]:
    """Slice, row, column of every class; column 0 is the patient's right."""
    result = {"spinal_cord": (slice(20, 92), slice(28, 30), slice(31, 33))}
    for side, mirror in (("right", 1), ("left", -1)):

        def across(a: int, b: int, mirror: int = mirror) -> slice:
            return slice(a, b) if mirror > 0 else slice(2 * MIDDLE - b, 2 * MIDDLE - a)

        result |= {
            f"autochthon_{side}": (slice(18, 92), slice(31, 37), across(22, 30)),
            f"iliopsoas_{side}": (slice(8, 66), slice(23, 28), across(23, 28)),
            f"kidney_{side}": (slice(58, 76), slice(24, 30), across(14, 21)),
            f"hip_{side}": (slice(4, 42), slice(20, 32), across(10, 13)),
            f"femur_{side}": (slice(0, 8), slice(20, 26), across(12, 17)),
            f"gluteus_maximus_{side}": (slice(4, 34), slice(33, 38), across(10, 20)),
            f"rib_{side}_12": (slice(70, 73), slice(30, 33), across(14, 26)),
            f"rib_{side}_11": (slice(76, 79), slice(18, 34), across(8, 10)),
            f"rib_{side}_10": (slice(82, 85), slice(12, 34), across(7, 9)),
            f"lung_lower_lobe_{side}": (slice(84, 92), slice(14, 33), across(11, 27)),
        }
    result |= {
        "liver": (slice(62, 84), slice(11, 26), slice(10, 26)),
        "spleen": (slice(68, 82), slice(20, 31), slice(48, 54)),
        "stomach": (slice(66, 80), slice(11, 19), slice(38, 48)),
        "aorta": (slice(36, 92), slice(20, 23), slice(33, 36)),
        "inferior_vena_cava": (slice(36, 86), slice(20, 23), slice(28, 31)),
        "colon": (slice(40, 64), slice(14, 20), slice(12, 18)),
        "small_bowel": (slice(14, 60), slice(12, 18), slice(24, 44)),
        "urinary_bladder": (slice(6, 18), slice(14, 22), slice(27, 37)),
        "sacrum": (slice(10, 26), slice(28, 33), slice(26, 38)),
    }
    for name in BODIES:
        first, last = body_slices(name)
        result[f"vertebrae_{name}"] = (slice(first, last), slice(23, 28), slice(28, 36))
    return result


def numbers() -> tuple[npt.NDArray[np.uint8], dict[int, str]]:
    """The merged map; every vertebra has an arch behind its canal."""
    voxels = np.zeros(SHAPE, np.uint8)
    names = dict(enumerate(boxes(), start=1))
    for number, name in names.items():
        voxels[boxes()[name]] = number
        if name.startswith("vertebrae_") and name != "vertebrae_S1":
            first, last = body_slices(name.removeprefix("vertebrae_"))
            voxels[first:last, 30:36, 31:33] = number
            voxels[first + 2 : last - 2, 26:28, 22:42] = number
    return voxels, names


@lru_cache(maxsize=1)
def tiny_template() -> Template:
    """Built once per test run."""
    voxels, names = numbers()
    affine = np.diag([STEP_MM, STEP_MM, STEP_MM, 1.0])[:, [2, 1, 0, 3]]
    return template_of(NamedMap(numbers=voxels, names=names, affine_lps=affine), "made for tests")


def ras(voxels: npt.NDArray[np.uint8]) -> nibabel.Nifti1Image:
    """As a NIfTI file holds it: x to the right hand's side first, y forwards, z to the head."""
    turned = voxels.transpose(2, 1, 0)[::-1, ::-1]
    return nibabel.Nifti1Image(turned, np.diag([STEP_MM, STEP_MM, STEP_MM, 1.0]))


def write_merged(folder: Path) -> Path:
    """One map and its table; returns the map's path."""
    voxels, names = numbers()
    path = folder / "torso.nii.gz"
    nibabel.save(ras(voxels), path)
    (folder / "torso.json").write_text(json.dumps({str(k): v for k, v in names.items()}))
    return path


def write_masks(folder: Path) -> None:
    """One file per class."""
    voxels, names = numbers()
    for number, name in names.items():
        nibabel.save(ras((voxels == number).astype(np.uint8)), folder / f"{name}.nii.gz")
