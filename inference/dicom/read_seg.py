"""Read a Segmentation back and compare it with a label map voxel by voxel in patient space."""

from io import BytesIO
from typing import Any

import highdicom as hd
import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from inference.dicom.codes import STRUCTURE_CODES
from inference.dicom.ct_series import CtSeries
from inference.dicom.header_values import numbers, text
from inference.dicom.quiet import quietly
from inference.domain.errors import ImplausibleResult
from inference.domain.labelmap import LabelMap, Structure
from inference.domain.volume import Affine, affine_from_axes, index_at, position_mm

WRITTEN_TOLERANCE_MM = 1e-3
"""Between a frame and its source slice; positions pass through 16 character decimal strings."""
GRID_TOLERANCE = (0.3, 0.5, 0.5)
"""Of a voxel, between a frame and the even grid: the reader accepts slices a little off it."""


@quietly()
def header_of(encoded: bytes) -> Dataset:
    """Everything of a Segmentation file but its pixels: what a report needs to refer to it."""
    return dcmread(BytesIO(encoded), stop_before_pixels=True)


@quietly()
def verify_seg(encoded: bytes, labels: LabelMap, series: CtSeries) -> None:
    """Prove that a Segmentation file holds exactly these labels at these places.

    Structures are told by their codes, places by the frames' own geometry, so a swapped side, a shifted
    slice or a wrong reference is found. Raises ImplausibleResult.
    """
    segmentation = hd.seg.segread(BytesIO(encoded))
    structures = _structures(segmentation)
    found_voxels = dict.fromkeys(structures.values(), 0)
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    slice_of_source = {
        text(header, "SOPInstanceUID"): index for index, header in enumerate(series.headers)
    }
    for number, frame in enumerate(segmentation.PerFrameFunctionalGroupsSequence, start=1):
        identification = _functional_group(frame, shared, "SegmentIdentificationSequence")
        segment = int(identification.ReferencedSegmentNumber)
        structure = structures[segment]
        pixels = segmentation.get_stored_frame(number).astype(bool)
        affine = _frame_affine(frame, shared)
        slice_index = _slice_index(affine, pixels.shape, labels)
        derivation = _functional_group(frame, shared, "DerivationImageSequence")
        source = derivation.SourceImageSequence[0].ReferencedSOPInstanceUID
        if slice_of_source.get(str(source)) != slice_index:
            raise _implausible("a frame that refers to another slice", "the slice it was made from")
        position = numbers(series.headers[slice_index], "ImagePositionPatient") or ()
        if not np.allclose(affine[:3, 3], position, rtol=0, atol=WRITTEN_TOLERANCE_MM):
            raise _implausible("a frame beside its source slice", "the position of that slice")
        if not np.array_equal(pixels, _slice_mask(labels, structure, slice_index)):
            raise _implausible(f"other voxels of {structure.value}", "the mask that was measured")
        found_voxels[structure] += int(pixels.sum())
    _check_complete(found_voxels, labels)


def _implausible(found: str, wanted: str) -> ImplausibleResult:
    return ImplausibleResult(
        found=f"a segmentation with {found}", wanted=wanted, advice="Nothing is sent; report this."
    )


def _structures(segmentation: Dataset) -> dict[int, Structure]:
    """Segment number to structure, by the coded type, its laterality and its region."""
    by_code = {
        _code_key(
            code.kind.value,
            code.modifier.value if code.modifier else "",
            code.region.value if code.region else "",
        ): structure
        for structure, code in STRUCTURE_CODES.items()
    }
    found: dict[int, Structure] = {}
    for expected, segment in enumerate(segmentation.SegmentSequence, start=1):
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        key = _code_key(
            kind.CodeValue,
            _first_code(kind, "SegmentedPropertyTypeModifierCodeSequence"),
            _first_code(segment, "AnatomicRegionSequence"),
        )
        if int(segment.SegmentNumber) != expected or key not in by_code:
            raise _implausible("an unknown segment", "segments 1..N of known structures")
        found[expected] = by_code[key]
    return found


def _code_key(kind: str, modifier: str, region: str) -> tuple[str, str, str]:
    return str(kind), str(modifier), str(region)


def _first_code(item: Dataset, keyword: str) -> str:
    codes: Any = item.get(keyword)
    return str(codes[0].CodeValue) if codes else ""


def _functional_group(frame: Dataset, shared: Dataset, keyword: str) -> Dataset:
    """The frame's own group, or the one shared by all frames (a single segment or frame is shared)."""
    holder = frame if keyword in frame else shared
    items: Any = holder.get(keyword)
    if not items:
        raise _implausible(f"no {keyword}", "a place, segment and source for every frame")
    group: Dataset = items[0]
    return group


def _frame_affine(frame: Dataset, shared: Dataset) -> Affine:
    measures = _functional_group(frame, shared, "PixelMeasuresSequence")
    plane = _functional_group(frame, shared, "PlaneOrientationSequence")
    orientation = np.array(plane.ImageOrientationPatient, float)
    position = _functional_group(frame, shared, "PlanePositionSequence").ImagePositionPatient
    column_axis, row_axis = orientation.reshape(2, 3)
    row_mm, column_mm = (float(step) for step in measures.PixelSpacing)
    return affine_from_axes(
        [float(coordinate) for coordinate in position],
        [np.cross(column_axis, row_axis), row_axis, column_axis],
        (float(measures.SpacingBetweenSlices), row_mm, column_mm),
    )


def _slice_index(frame: Affine, shape: tuple[int, ...], labels: LabelMap) -> int:
    """The label map's slice that the whole frame lies on, corner by corner, one step up included."""
    rows, columns = shape
    corners = np.array([(0, 0, 0), (0, rows - 1, 0), (0, 0, columns - 1), (1, 0, 0)], float)
    found = index_at(labels.affine_lps, position_mm(frame, corners))
    slice_index = round(float(found[0, 0]))
    expected = corners + np.array([slice_index, 0, 0])
    is_inside = 0 <= slice_index < labels.labels.shape[0] and shape == labels.labels.shape[1:]
    if not is_inside or np.any(np.abs(found - expected) > GRID_TOLERANCE):
        raise _implausible("a frame at another place", "frames on the grid of the mask")
    return slice_index


def _slice_mask(labels: LabelMap, structure: Structure, slice_index: int) -> Any:
    wanted = [label for label, named in labels.structures.items() if named == structure]
    return np.isin(labels.labels[slice_index], wanted)


def _check_complete(found_voxels: dict[Structure, int], labels: LabelMap) -> None:
    counts = np.bincount(labels.labels.ravel(), minlength=256)
    wanted: dict[Structure, int] = {}
    for label, structure in labels.structures.items():
        wanted[structure] = wanted.get(structure, 0) + int(counts[label])
    if {s: n for s, n in wanted.items() if n} != found_voxels:
        raise _implausible("another number of voxels", "every voxel of the mask, once")
