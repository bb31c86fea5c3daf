"""The geometries of the conformance run: synthetic CTs written as scanners write them, and what is true about them."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom.uid
from pydicom.dataset import Dataset
from pydicom.uid import UID
from scipy.spatial.transform import Rotation

from inference.domain.analysis_profile import HuWindows
from inference.domain.labelmap import TISSUES, Structure
from inference.domain.volume import Affine, Volume, flip, position_mm
from inference.stages.segment_tissue import tissues_from_compartments
from training.synthetic.case import SyntheticCase, explicit_field, make_case
from training.synthetic.demo_series import header_of
from training.synthetic.labels import COMPARTMENT_LUT, ORGAN_LUT
from training.synthetic.series import SeriesHeader, SliceOrder, build_datasets

GEOMETRIES_PATH = Path(__file__).with_name("geometries.toml")
TISSUE_LABELS: Mapping[int, Structure] = dict(enumerate(TISSUES, start=1))
ORGAN_LABELS: Mapping[int, Structure] = dict(enumerate(tuple(Structure)[:14], start=1))
"""Numbers of ORGAN_LUT: FLARE22's thirteen, then the portal and splenic vein."""

# PS3.3 C.7.3.1.1.2: how a scanner lays its rows and columns, by how the patient lies.
_REVERSED_AXES = {
    "HFS": (False, False, False),
    "HFP": (False, True, True),
    "FFS": (False, False, True),
    "FFP": (False, True, False),
}

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """How one synthetic CT lies, is sampled and is written."""

    name: str
    slice_mm: float
    """Step between slices."""
    thickness_mm: float
    pixel_mm: tuple[float, float]
    """Row step, column step."""
    matrix: tuple[int, int]
    """Rows, columns."""
    z_mm: tuple[float, float]
    """Field of view from the middle of L3."""
    order: SliceOrder
    patient_position: str = "HFS"
    turn_degrees: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """About the patient's x, y and z axis."""
    offset_mm: tuple[float, float, float] = (0.0, 0.0, -812.5)
    transfer_syntax: str = "ExplicitVRLittleEndian"

    @property
    def half_voxel_mm(self) -> float:
        """Half the shortest edge of a voxel: what centroids may differ by."""
        return min(self.slice_mm, *self.pixel_mm) / 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth:
    """What is known about a written series without reading it."""

    centroids_mm: Mapping[Structure, Points]
    """Of the masks in patient space, from the canonical grid, before it is laid out as a series."""
    organs_of_slice: Mapping[str, npt.NDArray[np.uint8]]
    """Labels [row, column] by SOP Instance UID."""
    tissues_of_slice: Mapping[str, npt.NDArray[np.uint8]]
    l3_sop_uid: str
    """The slice nearest to the middle of L3."""
    l3_half_height_mm: float


def load_geometries() -> tuple[Geometry, ...]:
    """Those of the table, in its order."""
    rows = tomllib.loads(GEOMETRIES_PATH.read_text(encoding="utf-8"))["geometry"]
    return tuple(_geometry(row) for row in rows)


def _geometry(row: Mapping[str, Any]) -> Geometry:
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in row.items()}
    return Geometry(**{"thickness_mm": row["slice_mm"], **values})


def write_case(geometry: Geometry, folder: Path, *, seed: int) -> Truth:
    """Write the CT series of a geometry and return what is true about it."""
    case = make_case(
        seed,
        spacing_mm=(geometry.slice_mm, *geometry.pixel_mm),
        shape_rc=geometry.matrix,
        field=explicit_field(*geometry.z_mm),
    )
    organs = ORGAN_LUT[case.tissue_labels]
    tissues = _tissues(case)
    placed = _placement(geometry) @ case.volume.affine_lps
    reversed_axes = _REVERSED_AXES[geometry.patient_position]
    affine = _reversed_affine(placed, case.volume.shape, reversed_axes)
    header = _header(geometry, case, seed)
    hu = flip(case.volume.hu, reversed_axes)
    for dataset in build_datasets(Volume(hu=hu, affine_lps=affine), header):
        _save(dataset, folder, pydicom.uid.__dict__[geometry.transfer_syntax])
    uids = [header.sop_uid(index) for index in range(case.volume.shape[0])]
    return Truth(
        centroids_mm=_centroids(organs, ORGAN_LABELS, placed)
        | _centroids(tissues, TISSUE_LABELS, placed),
        organs_of_slice=dict(zip(uids, flip(organs, reversed_axes), strict=True)),
        tissues_of_slice=dict(zip(uids, flip(tissues, reversed_axes), strict=True)),
        l3_sop_uid=uids[_l3_slice(case)],
        l3_half_height_mm=(case.anatomy.l3_extent_mm[1] - case.anatomy.l3_extent_mm[0]) / 2,
    )


def _l3_slice(case: SyntheticCase) -> int:
    first_mm, step_mm = float(case.volume.affine_lps[2, 3]), case.volume.spacing_mm[0]
    return round((case.anatomy.l3_z_mm - first_mm) / step_mm)


def _tissues(case: SyntheticCase) -> npt.NDArray[np.uint8]:
    """The tissues of the slices around the middle of L3, as the pipeline makes them."""
    compartments = COMPARTMENT_LUT[case.tissue_labels]
    reach = max(1, round(15.0 / case.volume.spacing_mm[0]))
    middle = _l3_slice(case)
    compartments[: middle - reach] = 0
    compartments[middle + reach + 1 :] = 0
    return tissues_from_compartments(case.volume, compartments, HuWindows()).labels


def _placement(geometry: Geometry) -> Affine:
    """The rigid movement from the body frame to the patient coordinates of the series."""
    placement = np.eye(4)
    placement[:3, :3] = Rotation.from_euler("xyz", geometry.turn_degrees, degrees=True).as_matrix()
    placement[:3, 3] = geometry.offset_mm
    return placement


def _reversed_affine(
    affine: Affine, shape: tuple[int, int, int], axes: tuple[bool, bool, bool]
) -> Affine:
    reversed_affine = affine.copy()
    for axis, is_reversed in enumerate(axes):
        if is_reversed:
            reversed_affine[:3, 3] += reversed_affine[:3, axis] * (shape[axis] - 1)
            reversed_affine[:3, axis] *= -1
    return reversed_affine


def _header(geometry: Geometry, case: SyntheticCase, seed: int) -> SeriesHeader:
    painted = header_of(case, seed, geometry.name)
    return SeriesHeader(
        seed=seed,
        sex=painted.sex,
        age_years=painted.age_years,
        height_m=painted.height_m,
        weight_kg=painted.weight_kg,
        contrast_agent=painted.contrast_agent,
        series_description=painted.series_description,
        slice_thickness_mm=geometry.thickness_mm,
        order=geometry.order,
        patient_position=geometry.patient_position,
    )


def _centroids(
    labels: npt.NDArray[np.uint8], structures: Mapping[int, Structure], affine: Affine
) -> dict[Structure, Points]:
    return {
        structure: position_mm(affine, np.argwhere(labels == label).mean(axis=0))
        for label, structure in structures.items()
        if (labels == label).any()
    }


def _save(dataset: Dataset, folder: Path, syntax: UID) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{int(dataset.InstanceNumber):05d}.dcm"
    if syntax.is_compressed and not syntax.is_deflated:
        dataset.compress(syntax, generate_instance_uid=False)
    else:
        dataset.file_meta.TransferSyntaxUID = syntax
        if not syntax.is_little_endian:
            words = np.frombuffer(dataset.PixelData, "<u2")
            dataset.PixelData = words.astype(">u2").tobytes()
    dataset.save_as(
        path,
        enforce_file_format=True,
        implicit_vr=syntax.is_implicit_VR,
        little_endian=syntax.is_little_endian,
    )
