"""Labelled CT of a few thousand voxels, and folders with the file names and numbers of real data sets."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt

from training.label_names import OUR_NUMBERS

SHAPE = (14, 30, 40)
"""Slices, rows, columns."""
STEP_MM = (8.0, 10.0, 10.0)
AIR, FAT, LIVER_HU = -1000, -100, 90
BOXES: Mapping[str, tuple[slice, slice, slice]] = {
    # Column 0 lies on the patient's right.
    "liver": (slice(6, 13), slice(8, 18), slice(6, 16)),
    "spleen": (slice(7, 12), slice(12, 20), slice(28, 33)),
    "kidney_right": (slice(3, 9), slice(19, 23), slice(12, 16)),
    "kidney_left": (slice(3, 9), slice(19, 23), slice(24, 28)),
    "pancreas": (slice(5, 8), slice(13, 16), slice(18, 24)),
    "aorta": (slice(0, 14), slice(18, 20), slice(19, 21)),
    "inferior_vena_cava": (slice(0, 14), slice(16, 18), slice(17, 19)),
    "adrenal_right": (slice(9, 11), slice(19, 21), slice(16, 18)),
    "adrenal_left": (slice(9, 11), slice(19, 21), slice(23, 25)),
    "gallbladder": (slice(4, 6), slice(9, 11), slice(12, 15)),
    "esophagus": (slice(11, 14), slice(15, 17), slice(21, 23)),
    "stomach": (slice(8, 12), slice(7, 11), slice(20, 28)),
    "duodenum": (slice(3, 5), slice(13, 15), slice(16, 18)),
    "portal_splenic_vein": (slice(8, 9), slice(13, 15), slice(18, 28)),
}
"""Slice, row and column of every organ."""
ABOUT = (slice(None), slice(5, 25), slice(3, 37))
"""The body."""

Numbers = Mapping[str, int]
Voxels = npt.NDArray[Any]


def ct(seed: int = 0) -> npt.NDArray[np.int16]:
    """A body of fat with organs; a seed gives noise of its own."""
    hu = np.full(SHAPE, AIR, np.int16)
    hu[ABOUT] = FAT
    for box in BOXES.values():
        hu[box] = LIVER_HU
    noise = np.random.default_rng(seed).integers(-6, 7, SHAPE)
    noisy: npt.NDArray[np.int16] = np.clip(hu + noise, -1024, 3071).astype(np.int16)
    return noisy


def labels(numbers: Numbers) -> npt.NDArray[np.uint8]:
    """Every organ that the numbers name; "kidney" is both."""
    result = np.zeros(SHAPE, np.uint8)
    for name, box in BOXES.items():
        number = numbers.get(name) or (numbers.get("kidney") if "kidney" in name else None)
        if number:
            result[box] = number
    return result


def affine_ras(step_mm: Sequence[float] = STEP_MM) -> npt.NDArray[np.float64]:
    """Of a file whose first index runs to the patient's right-to-left end, second forwards, third up."""
    slice_mm, row_mm, column_mm = step_mm
    affine = np.diag([column_mm, row_mm, slice_mm, 1.0])
    affine[:3, 3] = (-190.0, -150.0, 400.0)
    return affine


def save(voxels: Voxels, path: Path, affine: npt.NDArray[np.float64] | None = None) -> Path:
    """As NIfTI in R-A-S order: the columns and rows of our order reversed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    turned = np.ascontiguousarray(voxels[:, ::-1, ::-1].transpose(2, 1, 0))
    nibabel.save(nibabel.Nifti1Image(turned, affine_ras() if affine is None else affine), path)
    return path


OURS: Numbers = {name: OUR_NUMBERS[name] for name in BOXES}
BTCV: Numbers = {
    "spleen": 1, "kidney_right": 2, "kidney_left": 3, "gallbladder": 4, "esophagus": 5, "liver": 6,
    "stomach": 7, "aorta": 8, "inferior_vena_cava": 9, "portal_splenic_vein": 10, "pancreas": 11,
    "adrenal_right": 12, "adrenal_left": 13,
}  # fmt: skip
FLARE22: Numbers = {
    "liver": 1, "kidney_right": 2, "spleen": 3, "pancreas": 4, "aorta": 5, "inferior_vena_cava": 6,
    "adrenal_right": 7, "adrenal_left": 8, "gallbladder": 9, "esophagus": 10, "stomach": 11,
    "duodenum": 12, "kidney_left": 13,
}  # fmt: skip
ABDOMENCT_1K: Numbers = {"liver": 1, "kidney": 2, "spleen": 3, "pancreas": 4}


def write_btcv(folder: Path, cases: int = 3) -> Path:
    """RawData as unpacked."""
    for n in range(1, cases + 1):
        save(ct(n), folder / f"RawData/Training/img/img{n:04d}.nii.gz")
        save(labels(BTCV), folder / f"RawData/Training/label/label{n:04d}.nii.gz")
    return folder


def write_flare22(folder: Path, cases: int = 3) -> Path:
    """The 50 labelled cases, fewer of them; returns their folder."""
    place = folder / "FLARE22_LabeledCase50"
    for n in range(1, cases + 1):
        save(ct(n), place / f"images/FLARE22_Tr_{n:04d}_0000.nii.gz")
        save(labels(FLARE22), place / f"labels/FLARE22_Tr_{n:04d}.nii.gz")
    return place


def write_abdomenct_1k(folder: Path) -> Path:
    """Two of the three parts, one in a folder within a folder, as archives unpack."""
    parts = {1: "AbdomenCT-1K-ImagePart1/AbdomenCT-1K-ImagePart1", 401: "AbdomenCT-1K-ImagePart2"}
    for n, part in parts.items():
        save(ct(n), folder / part / f"Case_{n:05d}_0000.nii.gz")
        save(labels(ABDOMENCT_1K), folder / f"Mask/Case_{n:05d}.nii.gz")
    return folder


def write_msd(
    folder: Path, task: str, prefix: str, names: Mapping[str, str], numbers: Numbers
) -> Path:
    """A task with dataset.json and the files that macOS leaves."""
    place = folder / task
    entries = []
    for n in (2, 10):
        name = f"{prefix}_{n}.nii.gz"
        save(ct(n), place / "imagesTr" / name)
        save(labels(numbers), place / "labelsTr" / name)
        for part in ("imagesTr", "labelsTr"):
            (place / part / f"._{name}").write_bytes(b"\x00\x05\x16\x07")
        for listed in (name, f"._{name}"):
            entries.append({"image": f"./imagesTr/{listed}", "label": f"./labelsTr/{listed}"})
    content = {
        "name": task.partition("_")[2],
        "tensorImageSize": "3D",
        "modality": {"0": "CT"},
        "labels": dict(names),
        "numTraining": 2,
        "training": entries,
        "test": ["./imagesTs/x.nii.gz"],
    }
    (place / "dataset.json").write_text(json.dumps(content))
    return place


def write_spleen(folder: Path) -> Path:
    """Task09."""
    return write_msd(
        folder, "Task09_Spleen", "spleen", {"0": "background", "1": "spleen"}, {"spleen": 1}
    )


def write_totalsegmentator(folder: Path, cases: Sequence[int] = (0, 4)) -> Path:
    """A mask per class under the program's own names, some of them nothing of ours."""
    theirs = {
        "liver": "liver",
        "spleen": "spleen",
        "kidney_right": "kidney_right",
        "kidney_left": "kidney_left",
        "adrenal_right": "adrenal_gland_right",
        "portal_splenic_vein": "portal_vein_and_splenic_vein",
    }
    for n in cases:
        place = folder / f"s{n:04d}"
        save(ct(n), place / "ct.nii.gz")
        for ours, name in theirs.items():
            save(labels({ours: 1}), place / "segmentations" / f"{name}.nii.gz")
        vertebra = np.zeros(SHAPE, np.uint8)
        vertebra[4:6, 20:23, 18:22] = 1
        save(vertebra, place / "segmentations/vertebrae_L3.nii.gz")
        save(np.ones(SHAPE, np.uint8), place / "segmentations/lung_upper_lobe_left.nii.gz")
    return folder


def write_plain(
    folder: Path, table: str, cases: Sequence[str] = ("A12_1", "A12_2", "B7_1")
) -> Path:
    """Pairs of one's own, with a labels.toml."""
    for n, case in enumerate(cases):
        save(ct(n + 50), folder / f"ct/{case}.nii.gz")
        save(labels({"liver": 1, "kidney": 7}), folder / f"masks/{case}_seg.nii.gz")
    (folder / "labels.toml").write_text(table)
    return folder


PLAIN_TABLE = """
images = "ct/{case}.nii.gz"
labels = "masks/{case}_seg.nii.gz"
patient = "^([A-Z][0-9]+)_"
[numbers]
1 = "liver"
7 = "kidneys"
9 = ""
"""
