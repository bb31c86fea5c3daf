"""NIfTI files: what a header says, checked before anything is allocated, and voxels in canonical index order."""

import gzip
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.domain.errors import ConfigurationInvalid, UnreadableInput
from inference.domain.volume import Affine, Volume, canonical

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
IMAGE_NAMES = ("*.nii.gz", "*.nii")
HU_LIMITS = (-1024, 3071)
MAX_VOXELS = 700_000_000
"""2,600 slices of 512 × 512; a compressed file of a few kilobytes may promise more than any machine holds."""
MAX_EXTENSION_BYTES = 4_000_000
HEADER_BYTES = 540
"""Of NIfTI-2, the longer of both."""
DISAGREEMENT_MM = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NiftiHeader:
    """What is known before a voxel is read."""

    shape: tuple[int, int, int]
    """In the order of the file."""
    affine_lps: Affine
    """Of the file's own index order."""
    has_place: bool
    """Whether the file says where the patient's left and head are."""
    disagreement_mm: float
    """The farthest that both statements of the place (sform, qform) put a corner apart; 0 where there is one."""
    label_names: dict[int, str]
    """That TotalSegmentator wrote into the file; empty in any other."""


def read_header(path: Path) -> NiftiHeader:
    """Raises UnreadableInput for what is no single volume of a sane size on a grid."""
    image = _opened(path)
    header = image.header
    shape = _shape(image.shape)
    affine: Affine = RAS_TO_LPS @ np.asarray(image.affine, float)
    _check_grid(affine)
    return NiftiHeader(
        shape=shape,
        affine_lps=affine,
        has_place=bool(header["sform_code"] > 0 or header["qform_code"] > 0),
        disagreement_mm=_disagreement_mm(header, shape),
        label_names=_label_names(header),
    )


def read_nifti(path: Path) -> Volume:
    """Any NIfTI image in canonical index order."""
    header = read_header(path)
    image = _opened(path)
    try:
        voxels = np.asarray(image.dataobj)
    except (OSError, EOFError, zlib.error, ValueError) as problem:
        raise _no_image(path) from problem
    if voxels.dtype.kind not in "iuf":
        raise UnreadableInput(
            found=f"a NIfTI image of {voxels.dtype.name} voxels",
            wanted="one number per voxel",
            advice="Convert colours or complex numbers to one value.",
        )
    with np.errstate(over="ignore", invalid="ignore"):
        # What float32 cannot hold becomes infinite and is found by whoever looks at values.
        whole = voxels.reshape(header.shape).astype(np.float32)
    return on_canonical_axes(whole, header.affine_lps)


def on_canonical_axes(voxels: npt.NDArray[np.float32], affine_lps: Affine) -> Volume:
    """Voxels in a file's own index order, put in ours: axes exchanged and reversed, never resampled."""
    axes = canonical_axes(affine_lps)
    arranged = affine_lps.copy()
    arranged[:, :3] = affine_lps[:, axes]
    return canonical(Volume(hu=voxels.transpose(axes), affine_lps=arranged))


def nifti_volume(path: Path) -> Volume:
    """A CT of a NIfTI file, in canonical order and whole HU."""
    return whole_hu(read_nifti(path))


def whole_hu(volume: Volume) -> Volume:
    """As int16 within what CT can say."""
    hu = np.clip(np.rint(volume.hu), *HU_LIMITS).astype(np.int16)
    return Volume(hu=hu, affine_lps=volume.affine_lps, slice_places=volume.slice_places)


def canonical_axes(affine_lps: Affine) -> list[int]:
    """Which index of the file runs along slices, rows and columns; raises UnreadableInput where two run along one."""
    cosines = affine_lps[:3, :3] / np.linalg.norm(affine_lps[:3, :3], axis=0)
    order = np.argmax(np.abs(cosines), axis=0)
    if len(set(order.tolist())) < 3:
        raise UnreadableInput(
            found="a grid turned so far that two of its axes run along one of the patient's",
            wanted="slices across the body",
            advice="Resample it to axial slices.",
        )
    return [int(np.flatnonzero(order == axis)[0]) for axis in (2, 1, 0)]


def _opened(path: Path) -> Any:
    try:
        import nibabel
        from nibabel.filebasedimages import ImageFileError
        from nibabel.spatialimages import HeaderDataError
    except ImportError as problem:
        raise ConfigurationInvalid(
            found="an environment without nibabel",
            wanted="nibabel, to read NIfTI",
            advice="Run make setup-dev.",
        ) from problem
    try:
        _check_start(path)
        image = nibabel.load(path)
    except (OSError, EOFError, ValueError, zlib.error, ImageFileError, HeaderDataError) as problem:
        raise _no_image(path) from problem
    if not isinstance(image, nibabel.Nifti1Pair):
        raise _no_image(path)
    return image


def _no_image(path: Path) -> UnreadableInput:
    # The name of the file is the user's own; nothing of its contents is repeated.
    return UnreadableInput(
        found=f"a file that is no NIfTI image, or a broken one ({path.name})",
        wanted="a readable .nii or .nii.gz",
        advice="Check the path, or copy the file again.",
    )


def _check_start(path: Path) -> None:
    """What nibabel would mend silently (steps) or read whole (extensions lie before the voxels, NIfTI-1.1)."""
    is_packed = path.suffix == ".gz"
    with gzip.open(path) if is_packed else path.open("rb") as stream:
        start = stream.read(HEADER_BYTES)
    if len(start) < 348:
        raise EOFError
    order = "<" if struct.unpack_from("<i", start)[0] in (348, HEADER_BYTES) else ">"
    is_second = struct.unpack_from(f"{order}i", start)[0] == HEADER_BYTES == len(start)
    (offset,) = struct.unpack_from(
        f"{order}q" if is_second else f"{order}f", start, 168 if is_second else 108
    )
    steps = struct.unpack_from(
        f"{order}3d" if is_second else f"{order}3f", start, 112 if is_second else 80
    )
    _check_steps(np.array(steps, float))
    if not 0 <= offset <= MAX_EXTENSION_BYTES:
        raise UnreadableInput(
            found=f"a NIfTI image whose voxels begin {offset:.3g} bytes into the file",
            wanted=f"at most {MAX_EXTENSION_BYTES}",
            advice="Save it again without its extensions.",
        )


def _shape(stated: tuple[int, ...]) -> tuple[int, int, int]:
    """A fourth dimension of one volume is none."""
    if len(stated) < 3 or any(size != 1 for size in stated[3:]):
        raise UnreadableInput(
            found=f"a NIfTI image of {len(stated)} dimensions",
            wanted="one of three: a single volume",
            advice="Take one volume out of it.",
        )
    first, second, third = (int(size) for size in stated[:3])
    voxels = first * second * third
    if voxels > MAX_VOXELS or min(first, second, third) < 1:
        raise UnreadableInput(
            found=f"a header that promises {first} × {second} × {third} voxels",
            wanted=f"at least one and at most {MAX_VOXELS}",
            advice="Crop it, or resample it to thicker slices.",
        )
    return first, second, third


def _check_steps(steps_mm: npt.NDArray[np.float64]) -> None:
    if not np.isfinite(steps_mm).all() or (steps_mm <= 0).any():
        stated = " × ".join(f"{step:g}" for step in steps_mm)
        raise UnreadableInput(
            found=f"voxels of {stated} mm",
            wanted="three positive, finite steps",
            advice="Convert the original DICOM images again.",
        )


def _check_grid(affine: Affine) -> None:
    whole = bool(np.isfinite(affine).all())
    lengths = np.linalg.norm(affine[:3, :3], axis=0) if whole else np.full(3, np.nan)
    _check_steps(lengths)
    if abs(float(np.linalg.det(affine[:3, :3] / lengths))) < 1e-3:
        raise UnreadableInput(
            found="a grid whose axes lie in one plane",
            wanted="three directions",
            advice="Convert the original DICOM images again.",
        )


def _disagreement_mm(header: Any, shape: tuple[int, int, int]) -> float:
    if not (header["sform_code"] > 0 and header["qform_code"] > 0):
        return 0.0
    try:
        forms = [np.asarray(form, float) for form in (header.get_sform(), header.get_qform())]
    except ValueError:
        return float("inf")
    return corners_apart_mm(forms[0], forms[1], shape)


def corners_apart_mm(first: Affine, second: Affine, shape: tuple[int, int, int]) -> float:
    """The farthest that two placements put one corner of a grid apart."""
    corners = np.stack(np.meshgrid(*[(0, size - 1) for size in shape], indexing="ij"), -1)
    corners = np.c_[corners.reshape(-1, 3), np.ones(8)]
    apart = (corners @ (first - second).T)[:, :3]
    return float(np.linalg.norm(apart, axis=1).max())


def _label_names(header: Any) -> dict[int, str]:
    """TotalSegmentator's table in a header extension (its nifti_ext_header.py); taken by pattern: no XML parser meets a file."""
    found: dict[int, str] = {}
    for extension in header.extensions:
        content = extension.get_content()
        text = content.decode("utf-8", "replace") if isinstance(content, bytes) else str(content)
        for key, name in re.findall(
            r'<Label Key="(\d{1,5})"[^>]*><!\[CDATA\[([\w ]{1,80})\]\]>', text
        ):
            found[int(key)] = name
    return found


def write_nifti(voxels: npt.NDArray[Any], affine_lps: Affine, path: Path) -> None:
    """An array [slice, row, column] so that its last index runs fastest in the file, as SimpleITK reads it."""
    import nibabel

    path.parent.mkdir(parents=True, exist_ok=True)
    affine = RAS_TO_LPS @ affine_lps[:, [2, 1, 0, 3]]
    image = nibabel.Nifti1Image(np.ascontiguousarray(voxels.transpose(2, 1, 0)), affine)
    image.header.set_xyzt_units("mm")
    aside = path.with_name(f".{path.name}")
    nibabel.save(image, aside)
    aside.replace(path)
