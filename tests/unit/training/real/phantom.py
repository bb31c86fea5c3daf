"""A body of boxes with one bright vertebra, and networks of arithmetic that see it."""

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt

from inference.domain.analysis_profile import load_profile
from inference.domain.volume import Volume, affine_from_axes, flip
from inference.pipeline import Models
from inference.stages.projections import LANDMARKS
from inference.stages.spine_chain import CHAIN
from tests.unit.inference.fake_predictors import FakePredictor, Float, make_manifest

SHAPE = (72, 60, 80)
SPACING_MM = (3.0, 4.0, 4.0)
ORIGIN_MM = (-158.0, -118.0, 500.0)
L3_SLICES = (28, 36)
"""First and one after the last: 84 to 108 mm above the first slice's middle."""
BONE_HU, MUSCLE_HU, FAT_HU, LIVER_HU = 700, 50, -100, 180
AIR = -1000


def l3_z_mm() -> float:
    """The middle of its body."""
    return ORIGIN_MM[2] + SPACING_MM[0] * ((L3_SLICES[0] + L3_SLICES[1] - 1) / 2)


def volume(shape: tuple[int, int, int] = SHAPE) -> Volume:
    """Canonical order: fat about muscle, a vertebra behind, a liver on the right, a couch below."""
    hu = np.full(shape, AIR, np.int16)
    hu[:, 10:46, 12:68] = FAT_HU
    hu[:, 14:42, 16:64] = MUSCLE_HU
    hu[20:56, 16:28, 18:36] = LIVER_HU
    hu[L3_SLICES[0] : L3_SLICES[1], 30:38, 36:46] = BONE_HU
    hu[:, 52:53, 10:70] = 0
    axes = ((0, 0, 1), (0, 1, 0), (1, 0, 0))
    return Volume(hu=hu, affine_lps=affine_from_axes(ORIGIN_MM, axes, SPACING_MM))


def masks() -> dict[str, npt.NDArray[np.bool_]]:
    """The truth by the names that other software gives."""
    hu = volume().hu
    vertebra = np.zeros(SHAPE, np.bool_)
    vertebra[L3_SLICES[0] : L3_SLICES[1], 30:38, 36:46] = True
    # A spinous process that hangs below the body, behind the canal.
    vertebra[L3_SLICES[0] - 6 : L3_SLICES[0] + 2, 42:46, 40:42] = True
    canal = np.zeros(SHAPE, np.bool_)
    canal[:, 39:41, 40:42] = True
    return {
        "liver": hu == LIVER_HU,
        "skeletal_muscle": hu == MUSCLE_HU,
        "subcutaneous_fat": hu == FAT_HU,
        "vertebrae_L3": vertebra,
        "spinal_cord": canal,
    }


def save_nifti(voxels: npt.NDArray[np.generic], path: Path) -> None:
    """As RAS: the same places in space, axes against ours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    slice_mm, row_mm, column_mm = SPACING_MM
    turned = flip(np.asarray(voxels), (False, True, True)).transpose(2, 1, 0)
    affine = np.diag([column_mm, row_mm, slice_mm, 1.0])
    # LPS x and y of the last column and row are RAS's first.
    affine[0, 3] = -(ORIGIN_MM[0] + column_mm * (voxels.shape[2] - 1))
    affine[1, 3] = -(ORIGIN_MM[1] + row_mm * (voxels.shape[1] - 1))
    affine[2, 3] = ORIGIN_MM[2]
    nibabel.save(nibabel.Nifti1Image(turned, affine), path)


def write_case(folder: Path, *, with_labels: bool = True) -> Path:
    """A site's case as NIfTI."""
    save_nifti(volume().hu, folder / "ct.nii.gz")
    if with_labels:
        for name, mask in masks().items():
            save_nifti(mask.astype(np.uint8), folder / "labels" / f"{name}.nii.gz")
    return folder


ROWS_APART = 11
"""Between the middles of neighbouring vertebrae, in rows of 3 mm."""


def _level(batch: Float) -> Float:
    """L3 where the projection is bright, as probability logits."""
    curves = np.full((1, len(LANDMARKS), batch.shape[2]), -8.0, np.float32)
    rows = np.flatnonzero((batch[0, 0] > 0.6).any(axis=1))
    if rows.size:
        middle = rows.mean()
        for place, _ in enumerate(CHAIN):
            away = np.arange(batch.shape[2]) - middle - ROWS_APART * (CHAIN.index("L3") - place)
            curves[0, place] = 6 - away**2
    return curves


def _by_hu(batch: Float, limits: tuple[float, ...]) -> Float:
    """One channel per range between the limits."""
    label = np.digitize(batch[:, 0], limits)
    return np.stack([(label == n) * 5.0 for n in range(len(limits) + 1)], axis=1).astype(np.float32)


def _tissue(batch: Float) -> Float:
    """Muscle, fat under the skin, nothing else, by HU of −200..1000 mapped to 0..1."""
    air, fat, muscle, beyond = np.moveaxis(_by_hu(batch, (0.02, 0.13, 0.3)), 1, 0)
    return np.stack([np.maximum(air, beyond), muscle, fat, np.zeros_like(air)], axis=1)


def _organs(batch: Float) -> Float:
    """Liver by HU."""
    before, liver, after = np.moveaxis(_by_hu(batch, (0.3, 0.5)), 1, 0)
    return np.stack([np.maximum(before, after), liver], axis=1)


def _predictor(
    task: str, layout: str, shape: tuple[int, ...], labels: tuple[str, ...]
) -> FakePredictor:
    manifest = make_manifest(task=task, layout=layout, shape=shape, labels=labels)
    spacing = {"l3-tissue": (4.0, 4.0), "organs": (4.0, 4.0, 4.0)}.get(task, (3.0, 4.0))
    spec = replace(manifest.input, hu_window=(-200.0, 1000.0), spacing_mm=spacing)
    function = {"l3-level": _level, "l3-tissue": _tissue, "organs": _organs}[task]
    return FakePredictor(replace(manifest, input=spec), function)


def models(*, with_organs: bool = True) -> Models:
    """Networks that see the phantom."""
    tissues = ("background", "skeletal_muscle", "subcutaneous_fat", "visceral_fat")
    return Models(
        profile=load_profile("abdomen"),
        level=_predictor("l3-level", "NCHW", (1, 2, 256, 192), LANDMARKS),
        tissue=_predictor("l3-tissue", "NCHW", (1, 1, 96, 96), tissues),
        organs=_predictor("organs", "NCZYX", (1, 1, 32, 32, 32), ("background", "liver"))
        if with_organs
        else None,
        providers=("cpu",),
    )
