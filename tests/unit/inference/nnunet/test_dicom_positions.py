"""Feet first, prone, or sent in another order: an imported network labels the same places of the patient."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from inference.dicom.read_series import load_series
from inference.domain.analysis_profile import LossyPolicy
from inference.domain.labelmap import Structure
from inference.domain.volume import Volume, affine_from_axes, canonical
from inference.level_slices import on_source_grid
from inference.segment_organs import segment_organs
from tests.synthetic_series import save_all
from tests.unit.inference.nnunet.test_organs_by_recipe import network
from training.synthetic.series import SeriesHeader, build_datasets

STEPS = (3.0, 2.0, 2.0)
AIR, FAT, ORGAN = -900, 1, 100
POSITIONS = {
    "head first, supine": (),
    "feet first, supine": (0, 2),
    "head first, prone": (1, 2),
    "feet first, prone": (0, 1),
    "head first, slices from the head down": (0,),
}
"""Axes [slice, row, column] that run the other way in the files."""


def patient() -> Volume:
    """An organ on the right, in front, in the lower half: no two positions look alike."""
    hu = np.full((24, 48, 56), AIR, np.int16)
    hu[:, 8:42, 6:50] = FAT
    hu[4:11, 12:22, 10:24] = ORGAN
    return Volume(hu=hu, affine_lps=affine_from_axes((-56.0, -48.0, 30.0), np.eye(3)[::-1], STEPS))


def stored(volume: Volume, axes: tuple[int, ...]) -> Volume:
    affine = volume.affine_lps.copy()
    for axis in axes:
        affine[:3, 3] += affine[:3, axis] * (volume.shape[axis] - 1)
        affine[:3, axis] *= -1
    return Volume(hu=np.flip(volume.hu, axes).copy(), affine_lps=affine)


def places_mm(
    mask: np.typing.NDArray[np.bool_], affine: np.typing.NDArray[np.float64]
) -> set[tuple[float, ...]]:
    """Patient coordinates of every voxel inside."""
    inside = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
    return {tuple(place) for place in np.round(inside, 2).tolist()}


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("orientation", ["LPS", "RAS"])
def test_the_same_patient_is_labelled(position: str, orientation: str, tmp_path: Path) -> None:
    scan = patient()
    files = save_all(
        build_datasets(stored(scan, POSITIONS[position]), SeriesHeader(slice_thickness_mm=3.0)),
        tmp_path,
    )
    flipped = POSITIONS[position]
    lies = [-1 if 2 in flipped else 1, 0, 0, 0, -1 if 1 in flipped else 1, 0]
    assert list(dcmread(files[0]).ImageOrientationPatient) == lies
    # As they come in over the network: in any order.
    arrived = [files[k] for k in np.random.default_rng(1).permutation(len(files))]
    series = load_series(arrived, LossyPolicy.FLAG)

    organs = segment_organs(
        canonical(series.volume), network(orientation), (0.0,), lambda _stage, _share: None
    )

    on_files = on_source_grid(series.volume, organs)
    found = places_mm(on_files.mask(Structure.LIVER), on_files.affine_lps)
    assert found == places_mm(scan.hu == ORGAN, scan.affine_lps)
