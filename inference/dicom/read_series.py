"""Read one CT series from its files: check it, stack it into Hounsfield units."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from inference.dicom.ct_series import CtSeries
from inference.dicom.frame_pixels import FramePixels
from inference.dicom.geometry import Plane, Stack, checked_plane, stack_planes
from inference.dicom.header_values import number, numbers, plain_text, text, whole_number
from inference.dicom.hounsfield import PixelFormat, pixel_format
from inference.dicom.patient import patient_from_header
from inference.dicom.quiet import quietly
from inference.dicom.read_file import SourceFile, broken, read_header
from inference.dicom.same_slices import Comparison, distinct_slices, in_headers, in_pixels
from inference.dicom.series_flags import (
    contrast_agent,
    mixture_flags,
    series_flags,
    spacing_flags,
)
from inference.dicom.series_identity import check_one_series
from inference.dicom.source_frames import SourceFrame, frames_of
from inference.dicom.suitability import unsuitable_because
from inference.dicom.undecodable import texts_to_keep
from inference.domain.analysis_profile import LossyPolicy
from inference.domain.errors import NoSuitableSeries, UnreadableInput, UnsupportedGeometry
from inference.domain.volume import Volume

MAX_VOXELS = 1_500_000_000
"""4096 slices of 512 × 512 fit; 3 GB as int16."""

_SEND_AGAIN = "Send the series again."


@quietly()
def load_series(paths: Sequence[Path], lossy: LossyPolicy = LossyPolicy.FLAG) -> CtSeries:
    """The series made of exactly these files, in any order.

    Raises UnreadableInput, NoSuitableSeries or UnsupportedGeometry.
    """
    return _load(_suitable(paths), lossy)


@quietly()
def check_headers(paths: Sequence[Path], lossy: LossyPolicy = LossyPolicy.FLAG) -> int:
    """Raises what `load_series` would as far as headers tell; gives the slices that copy another's position."""
    laid_out = _lay_out(_suitable(paths), lossy, in_headers)
    return laid_out.repeated


@dataclass(frozen=True, slots=True, kw_only=True)
class _LaidOut:
    """Slices from the first to the last."""

    frames: Sequence[SourceFrame]
    forms: Sequence[PixelFormat]
    stack: Stack
    repeated: int
    """Further images at the position of another."""


def _suitable(paths: Sequence[Path]) -> list[SourceFile]:
    if not paths:
        raise UnreadableInput(
            found="no files", wanted="the files of one CT series", advice=_SEND_AGAIN
        )
    files = _intact(paths)
    for file in files:
        if why := unsuitable_because(file.header):
            raise _no_series(Counter([why]))
    return files


def _no_series(unsuitable: Counter[str]) -> NoSuitableSeries:
    kinds = ", ".join(f"{count} × {why}" for why, count in unsuitable.most_common(5)) or "none"
    return NoSuitableSeries(
        found=f"no axial CT image (of others: {kinds})",
        wanted="one axial CT series",
        advice="Send the axial reconstruction of the abdomen.",
    )


def _intact(paths: Sequence[Path]) -> list[SourceFile]:
    """All files' headers; the damaged are counted, so that one message tells of all."""
    files: list[SourceFile] = []
    damage: list[UnreadableInput] = []
    for path in paths:
        try:
            files.append(read_header(path))
        except UnreadableInput as error:
            damage.append(error)
    if damage:
        raise broken(f"{damage[0].found} ({len(damage)} of {len(paths)} files are damaged)")
    return files


def _load(files: Sequence[SourceFile], lossy: LossyPolicy) -> CtSeries:
    kept_texts = texts_to_keep(files[0].header)
    laid_out = _lay_out(files, lossy, in_pixels())
    ordered, repeated = laid_out.frames, laid_out.repeated
    volume = _volume(ordered, laid_out.forms, laid_out.stack)
    first = ordered[0].header
    thickness_mm = number(first, "SliceThickness")
    return CtSeries(
        volume=volume,
        headers=tuple(frame.header for frame in ordered),
        frame_numbers=tuple(
            frame.frame_index + 1 if frame.is_of_many else None for frame in ordered
        ),
        patient=patient_from_header(first),
        study_uid=text(first, "StudyInstanceUID"),
        series_uid=text(first, "SeriesInstanceUID"),
        frame_of_reference_uid=text(first, "FrameOfReferenceUID"),
        sop_uids=tuple(sorted({text(file.header, "SOPInstanceUID") for file in files})),
        slice_thickness_mm=abs(thickness_mm) if thickness_mm else volume.spacing_mm[0],
        contrast=contrast_agent(ordered[0].file.header) or "unknown",
        kvp=_voltage_kv(first),
        kernel=plain_text(first, "ConvolutionKernel") or None,
        flags=(
            *spacing_flags(volume),
            *mixture_flags([frame.header for frame in ordered]),
            *series_flags(first, laid_out.forms, repeated=repeated, is_text_kept=bool(kept_texts)),
        ),
        kept_texts=kept_texts,
    )


def _voltage_kv(header: Dataset) -> float | None:
    """Zero stands for unknown where software filled the element in."""
    stated = number(header, "KVP")
    return stated if stated and stated > 0 else None


def _lay_out(
    files: Sequence[SourceFile], lossy: LossyPolicy, contradiction: Comparison
) -> _LaidOut:
    check_one_series([file.header for file in files])
    frames = [frame for file in files for frame in frames_of(file)]
    forms = [pixel_format(frame.header) for frame in frames]
    _check_lossless(forms, lossy)
    planes = [_plane(frame.header, form) for frame, form in zip(frames, forms, strict=True)]
    kept = distinct_slices(frames, planes, forms, contradiction)
    repeated = len(frames) - len(kept)
    stack = _stack([planes[index] for index in kept], repeated)
    return _LaidOut(
        frames=[frames[kept[index]] for index in stack.order],
        forms=[forms[kept[index]] for index in stack.order],
        stack=stack,
        repeated=repeated,
    )


def _stack(planes: Sequence[Plane], repeated: int) -> Stack:
    try:
        return stack_planes(planes)
    except UnsupportedGeometry as error:
        if not repeated:
            raise
        found = f"{error.found}, {repeated} more at the same position"
        raise replace(error, found=found) from None


def _check_lossless(forms: Sequence[PixelFormat], lossy: LossyPolicy) -> None:
    if lossy is LossyPolicy.REJECT and any(form.is_lossy for form in forms):
        raise UnsupportedGeometry(
            found="lossy compressed pixels",
            wanted="pixels that were never lossy, as the profile asks",
            advice="Send the original reconstruction.",
            reason="lossy",
        )


def _plane(header: Dataset, form: PixelFormat) -> Plane:
    return checked_plane(
        numbers(header, "ImagePositionPatient"),
        numbers(header, "ImageOrientationPatient"),
        numbers(header, "PixelSpacing"),
        (form.rows, form.columns),
        thickness_mm=number(header, "SliceThickness"),
        image_number=whole_number(header, "InstanceNumber"),
    )


def _volume(frames: Sequence[SourceFrame], forms: Sequence[PixelFormat], stack: Stack) -> Volume:
    shape = (len(frames), forms[0].rows, forms[0].columns)
    # Slices that are not evenly spaced are put on an even grid of their finest step for the networks.
    steps = len(frames) if stack.slice_places is None else float(stack.slice_places[-1])
    if steps * shape[1] * shape[2] > MAX_VOXELS:
        raise UnsupportedGeometry(
            found=f"{steps:.0f} slices of {shape[1]} × {shape[2]}",
            wanted=f"at most {MAX_VOXELS} voxels",
            advice="Send a thicker reconstruction.",
            reason="too-large",
        )
    is_whole = all(form.is_whole for form in forms)
    hu = np.empty(shape, np.int16 if is_whole else np.float32)
    pixels = FramePixels()
    for index, (frame, form) in enumerate(zip(frames, forms, strict=True)):
        hu[index] = pixels.hounsfield(frame, form)
    return Volume(hu=hu, affine_lps=stack.affine_lps, slice_places=stack.slice_places)
