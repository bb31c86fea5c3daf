"""The header of a NIfTI-1 file: what it says is checked before a voxel is read (nifti1.h, nifti.nimh.nih.gov/nifti-1)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.domain.errors import UnreadableInput
from inference.domain.volume import Affine

HEADER_BYTES = 348
SECOND_VERSION_BYTES = 540
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
MAX_VOXELS = 700_000_000
"""2,600 slices of 512 × 512; a compressed file of a few kilobytes may promise more than any machine holds."""
MAX_EXTENSION_BYTES = 4_000_000
DISAGREEMENT_MM = 0.5
MILLIMETRES, UNSTATED_UNIT, SPATIAL_UNITS = 2, 0, 7
FIELDS = np.dtype(
    {
        "names": [
            *("sizeof_hdr", "dim", "datatype", "pixdim", "vox_offset", "scl_slope", "scl_inter"),
            *("xyzt_units", "qform_code", "sform_code", "quatern", "qoffset", "srow", "magic"),
        ],
        "formats": [
            *("<i4", ("<i2", 8), "<i2", ("<f4", 8), "<f4", "<f4", "<f4"),
            *("u1", "<i2", "<i2", ("<f4", 3), ("<f4", 3), ("<f4", (3, 4)), "S4"),
        ],
        "offsets": [0, 40, 70, 76, 108, 112, 116, 123, 252, 254, 256, 268, 280, 344],
        "itemsize": HEADER_BYTES,
    }
)
NUMBERS = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
"""numpy's names of the data types that hold one number."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NiftiHeader:
    """Of one file with a single volume."""

    raw: bytes
    """As it stands in the file."""
    shape: tuple[int, int, int]
    """In the file's index order, the first running fastest."""
    affine_lps: Affine
    """Of the file's index order."""
    stored: np.dtype[np.generic]
    """How voxels are stored."""
    voxels_at: int
    """Bytes into the file."""
    slope: float
    intercept: float
    is_big_endian: bool


def parse_header(raw: bytes) -> NiftiHeader:
    """Raises UnreadableInput."""
    if len(raw) < HEADER_BYTES:
        raise unreadable("a file that ends within its header", "a whole NIfTI-1 file")
    sizes = {order: int.from_bytes(raw[:4], order) for order in ("little", "big")}
    if SECOND_VERSION_BYTES in sizes.values():
        raise unreadable("a NIfTI-2 file", "NIfTI-1", "Save it as NIfTI-1 (nibabel, ITK-SNAP).")
    if HEADER_BYTES not in sizes.values():
        raise unreadable("a file that is no NIfTI image", "a .nii or .nii.gz of a CT")
    is_big = sizes["big"] == HEADER_BYTES
    fields = np.frombuffer(raw[:HEADER_BYTES], FIELDS.newbyteorder(">") if is_big else FIELDS)[0]
    if bytes(fields["magic"]) != b"n+1":
        raise unreadable("a header without its voxels (.hdr, .img)", "header and voxels in a file")
    datatype = int(fields["datatype"])
    if datatype not in NUMBERS:
        raise unreadable(f"voxels of NIfTI data type {datatype}", "one number per voxel")
    offset = float(fields["vox_offset"])
    if not HEADER_BYTES <= offset <= MAX_EXTENSION_BYTES:
        raise unreadable(
            f"voxels that begin {offset:.3g} bytes into the file", "352, or a little more"
        )
    slope, intercept = float(fields["scl_slope"]), float(fields["scl_inter"])
    is_scaled = np.isfinite([slope, intercept]).all() and slope != 0
    shape = _shape(fields["dim"])
    return NiftiHeader(
        raw=bytes(raw[:HEADER_BYTES]),
        shape=shape,
        affine_lps=_affine(fields, shape),
        stored=np.dtype(NUMBERS[datatype]).newbyteorder(">" if is_big else "<"),
        voxels_at=int(offset),
        slope=slope if is_scaled else 1.0,
        intercept=intercept if is_scaled else 0.0,
        is_big_endian=is_big,
    )


def unreadable(found: str, wanted: str, advice: str = "") -> UnreadableInput:
    """Nothing of the file's contents is repeated: its texts may name a patient."""
    return UnreadableInput(
        found=found,
        wanted=wanted,
        advice=advice or "Convert the original DICOM images again, or analyse these themselves.",
    )


def _shape(dim: npt.NDArray[np.int16]) -> tuple[int, int, int]:
    """A fourth dimension of one volume is none."""
    count = int(dim[0])
    sizes = [int(size) for size in dim[1 : 1 + max(0, min(count, 7))]]
    if not 3 <= count <= 7 or min(sizes) < 1 or any(size != 1 for size in sizes[3:]):
        raise unreadable(f"an image of {count} dimensions", "one of three: a single volume")
    first, second, third = sizes[:3]
    if first * second * third > MAX_VOXELS:
        raise unreadable(
            f"a header that promises {first} × {second} × {third} voxels", f"at most {MAX_VOXELS}"
        )
    return first, second, third


def _affine(fields: np.void, shape: tuple[int, int, int]) -> Affine:
    """By the sform, else by the qform; a file that states neither does not say where left is."""
    if int(fields["xyzt_units"]) & SPATIAL_UNITS not in (MILLIMETRES, UNSTATED_UNIT):
        raise unreadable("lengths in metres or micrometres", "millimetres")
    stated = [
        form(fields)
        for code, form in (("sform_code", _sform), ("qform_code", _qform))
        if int(fields[code]) > 0
    ]
    if not stated:
        raise unreadable("a header that does not say where left and head are", "sform or qform")
    for affine in stated:
        _check_grid(affine)
    apart_mm = _corners_apart_mm(stated[0], stated[-1], shape)
    if not apart_mm <= DISAGREEMENT_MM:
        raise unreadable(
            f"sform and qform that put a corner {apart_mm:.3g} mm apart", "one place in space"
        )
    lps: Affine = RAS_TO_LPS @ stated[0]
    return lps


def _sform(fields: np.void) -> Affine:
    return np.vstack([fields["srow"].astype(float), [0, 0, 0, 1]])


def _qform(fields: np.void) -> Affine:
    """nifti_quatern_to_mat44: the first component of the unit quaternion follows from the others."""
    b, c, d = (float(part) for part in fields["quatern"])
    a = float(np.sqrt(max(0.0, 1 - b * b - c * c - d * d)))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    steps = fields["pixdim"][1:4].astype(float)
    # A negative first pixdim says that the third axis is mirrored.
    steps[2] *= -1 if fields["pixdim"][0] < 0 else 1
    affine = np.eye(4)
    affine[:3, :3] = rotation * steps
    affine[:3, 3] = fields["qoffset"]
    return affine


def _check_grid(affine: Affine) -> None:
    is_whole = bool(np.isfinite(affine).all())
    lengths = np.linalg.norm(affine[:3, :3], axis=0) if is_whole else np.zeros(3)
    if min(lengths) <= 0 or abs(float(np.linalg.det(affine[:3, :3] / lengths))) < 1e-3:
        raise unreadable("a grid that is none", "three finite steps in three directions")


def _corners_apart_mm(first: Affine, second: Affine, shape: tuple[int, int, int]) -> float:
    corners = np.stack(np.meshgrid(*[(0, size - 1) for size in shape], indexing="ij"), -1)
    corners = np.c_[corners.reshape(-1, 3), np.ones(8)]
    return float(np.linalg.norm((corners @ (first - second).T)[:, :3], axis=1).max())
