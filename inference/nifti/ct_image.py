"""A CT in a NIfTI file: read in canonical order and Hounsfield units, and label maps written on its own grid."""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from inference.domain.errors import UnsupportedGeometry
from inference.domain.labelmap import LabelMap
from inference.domain.volume import Affine, Volume, axis_flips, canonical, flip
from inference.nifti.header import (
    FIELDS,
    HEADER_BYTES,
    MILLIMETRES,
    RAS_TO_LPS,
    NiftiHeader,
    parse_header,
    unreadable,
)

SUFFIXES = (".nii", ".nii.gz")
LOWEST_HU, HIGHEST_HU = -1024, 32767
AIR_HU, LEAST_AIR_SHARE = -800, 0.01
SOFT_TISSUE_HU, LEAST_SOFT_SHARE = (-150, 200), 0.02
MIN_SLICES, MAX_OBLIQUE_DEGREES, MAX_SHEAR_DEGREES = 10, 10.0, 0.5
"""As for DICOM (inference.dicom.geometry)."""
STEPS_MM = (0.05, 30.0)
LABEL_VOXELS_AT = 352
INTENT_LABEL = 1002
UINT8 = 2
SCANNER = 1
"""sform_code: places are the scanner's own."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CtImage:
    """What was read, and how its voxels go back into the file's own order."""

    volume: Volume
    """Whole HU, canonical order."""
    header: NiftiHeader
    axes: tuple[int, int, int]
    """Which index of the file runs along slices, rows and columns."""
    flips: tuple[bool, bool, bool]
    """Which of these ran against the canonical order."""

    def in_file_order(self, voxels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """[slice, row, column] of the canonical volume in the file's index order."""
        return flip(voxels, self.flips).transpose(np.argsort(self.axes))


def is_nifti(path: Path) -> bool:
    """By its name."""
    return path.name.lower().endswith(SUFFIXES)


def read_ct(path: Path) -> CtImage:
    """Raises UnreadableInput for what is no CT in Hounsfield units, UnsupportedGeometry for slices that are not axial."""
    header, hu = _hounsfield(path)
    axes = _axes(header.affine_lps)
    arranged = header.affine_lps.copy()
    arranged[:, :3] = header.affine_lps[:, list(axes)]
    turned = Volume(hu=hu.transpose(axes), affine_lps=arranged)
    _require_axial(turned)
    return CtImage(
        volume=canonical(turned), header=header, axes=axes, flips=axis_flips(turned.affine_lps)
    )


def _hounsfield(path: Path) -> tuple[NiftiHeader, npt.NDArray[np.int16]]:
    """In the file's index order."""
    try:
        with _opened(path) as stream:
            header = parse_header(stream.read(HEADER_BYTES))
            stream.read(header.voxels_at - HEADER_BYTES)
            count = int(np.prod(header.shape))
            packed = stream.read(count * header.stored.itemsize)
    except (OSError, EOFError, zlib.error) as problem:
        raise unreadable(
            "a file that cannot be unpacked or read", "a whole NIfTI-1 file"
        ) from problem
    if len(packed) != count * header.stored.itemsize:
        raise unreadable("a file that ends before its last voxel", "a whole NIfTI-1 file")
    stored = np.frombuffer(packed, header.stored).reshape(header.shape, order="F")
    if header.stored == np.dtype("<i2") and (header.slope, header.intercept) == (1, 0):
        # What nearly every converter writes, at a third of the memory.
        _require_hu(stored)
        return header, np.maximum(stored, np.int16(LOWEST_HU))
    values = stored.astype(np.float32) * np.float32(header.slope) + np.float32(header.intercept)
    _require_hu(values)
    return header, np.clip(np.rint(values), LOWEST_HU, HIGHEST_HU).astype(np.int16)


def write_labels(labels: npt.NDArray[np.uint8], image: CtImage, path: Path) -> None:
    """On the image's own grid, place and index order: viewers lay it over the image voxel by voxel."""
    _write(
        image.header.raw,
        ">" if image.header.is_big_endian else "<",
        image.in_file_order(labels),
        path,
    )


def write_label_map(labels: LabelMap, path: Path) -> None:
    """Of a series that was no NIfTI file: its own grid, columns first; raises UnsupportedGeometry for uneven slices."""
    if labels.slice_places is not None:
        raise UnsupportedGeometry(
            found="slices at uneven steps",
            wanted="even steps: NIfTI has no others",
            advice="Leave --nifti out: the DICOM Segmentation holds every slice's own place.",
        )
    header = np.zeros((), FIELDS)
    header["sizeof_hdr"], header["magic"] = HEADER_BYTES, b"n+1"
    affine = RAS_TO_LPS @ labels.affine_lps[:, [2, 1, 0, 3]]
    header["dim"][:4] = 3, *labels.labels.shape[::-1]
    header["pixdim"][:4] = 1, *np.linalg.norm(affine[:3, :3], axis=0)
    header["xyzt_units"], header["sform_code"] = MILLIMETRES, SCANNER
    header["srow"] = affine[:3]
    _write(header.tobytes(), "<", labels.labels.transpose(2, 1, 0), path)


def _write(raw: bytes, order: str, voxels: npt.NDArray[np.uint8], path: Path) -> None:
    """Voxels in the file's index order."""
    header = bytearray(raw)

    def put(offset: int, kind: str, *values: float) -> None:
        packed = np.array(values, f"{order}{kind}").tobytes()
        header[offset : offset + len(packed)] = packed

    put(40, "i2", 3)
    put(48, "i2", 1, 1, 1, 1)
    put(68, "i2", INTENT_LABEL, UINT8, 8)
    put(108, "f4", LABEL_VOXELS_AT, 1, 0)
    put(124, "f4", 0, 0)
    # What the image's header says in words may name a patient: auxiliary file, description, data base name, intent.
    for first, last in ((4, 32), (148, 252), (328, 344)):
        header[first:last] = bytes(last - first)
    # Without name and time in it, the same labels give the same bytes. Level 6 takes three times as long for a twelfth less.
    with (
        path.open("wb") as raw_file,
        gzip.GzipFile("", "wb", compresslevel=4, fileobj=raw_file, mtime=0) as packed,
    ):
        packed.write(bytes(header) + bytes(4))
        # Slice by slice: the last of a process's memory is needed here, beside networks and scan.
        for k in range(voxels.shape[2]):
            packed.write(voxels[:, :, k].tobytes(order="F"))


def _opened(path: Path) -> BinaryIO | gzip.GzipFile:
    return gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb")


def _require_hu(values: npt.NDArray[np.float32] | npt.NDArray[np.int16]) -> None:
    """NIfTI has no field that says so: air must be there, soft tissue too, and nothing may be windowed away."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise unreadable("voxels that are no number", "Hounsfield units everywhere")
    low, high = float(values.min()), float(values.max())
    air = float((values < AIR_HU).mean())
    soft = float(((values >= SOFT_TISSUE_HU[0]) & (values <= SOFT_TISSUE_HU[1])).mean())
    if low >= 0 or air < LEAST_AIR_SHARE or soft < LEAST_SOFT_SHARE or high > HIGHEST_HU:
        raise unreadable(
            f"values of {low:.4g} to {high:.4g}, {air:.1%} of them as thin as air, {soft:.1%} as dense as soft tissue",
            "a CT in Hounsfield units with the air about the patient",
            "Convert the original DICOM images again, with slope and intercept applied and nothing windowed or cropped away.",
        )


def _axes(affine_lps: Affine) -> tuple[int, int, int]:
    cosines = np.abs(affine_lps[:3, :3] / np.linalg.norm(affine_lps[:3, :3], axis=0))
    order = np.argmax(cosines, axis=0).tolist()
    if sorted(order) != [0, 1, 2]:
        raise _unsupported("two axes along one of the patient's", "axial slices")
    return order.index(2), order.index(1), order.index(0)


def _require_axial(volume: Volume) -> None:
    cosines = volume.affine_lps[:3, :3] / np.linalg.norm(volume.affine_lps[:3, :3], axis=0)
    oblique = np.degrees(np.arccos(np.clip(np.abs(cosines).max(axis=0).min(), -1, 1)))
    shear = np.degrees(
        np.arcsin(np.clip(np.abs((cosines.T @ cosines)[np.triu_indices(3, 1)]).max(), 0, 1))
    )
    steps = volume.spacing_mm
    for found, wanted, holds in (
        (f"{len(volume.hu)} slices", f"at least {MIN_SLICES}", len(volume.hu) >= MIN_SLICES),
        (
            f"slices {oblique:.1f}° off the axial plane",
            f"at most {MAX_OBLIQUE_DEGREES:g}°",
            oblique <= MAX_OBLIQUE_DEGREES,
        ),
        (
            f"a stack sheared by {shear:.2f}°",
            f"at most {MAX_SHEAR_DEGREES:g}°",
            shear <= MAX_SHEAR_DEGREES,
        ),
        (
            " × ".join(f"{step:.3g}" for step in steps) + " mm",
            f"steps of {STEPS_MM[0]:g} to {STEPS_MM[1]:g} mm",
            min(steps) >= STEPS_MM[0] and max(steps) <= STEPS_MM[1],
        ),
    ):
        if not holds:
            raise _unsupported(found, wanted)


def _unsupported(found: str, wanted: str) -> UnsupportedGeometry:
    return UnsupportedGeometry(
        found=found,
        wanted=wanted,
        advice="Resample it to straight axial slices of the whole field.",
    )
