"""Prove what a Segmentation file says, from its bytes and the source files' headers alone.

Nothing of what wrote it is used here, nor the volume's affine: a frame lies where its source file says that slice lies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset

from inference.dicom.codes import STRUCTURE_CODES
from inference.dicom.ct_series import CtSeries
from inference.dicom.header_values import number, numbers, text
from inference.dicom.quiet import quietly
from inference.domain.errors import ImplausibleResult
from inference.domain.labelmap import LabelMap, Structure

FIRST_PIXEL_TOLERANCE_MM = 1e-3
"""Between a frame and its source slice; positions pass through 16 character decimal strings."""
CORNER_TOLERANCE_PIXELS = 0.5
"""At the far corners: the reader accepts slices whose orientation differs a little."""
THICKNESS_MM = 1e-3
STEP_TOLERANCE = 0.05
"""Of the mean distance between slices."""
EVEN_STEPS_MM = 1e-3
"""Slices whose steps differ by less have a step that a segmentation must state."""
MASK_TOLERANCE = 0.5
"""Of a step, between a slice of the mask and its source file: slices may be a little off an even grid."""
SIDEWAYS_TOLERANCE_MM = 0.3
"""However fine the pixels: the reader accepts slices this far off a straight line."""
# PS3.16 CID 244; written down once more, so that a mistake in codes.py does not prove itself.
_SIDE_CODES = {"left": "7771000", "right": "24028007"}

Vectors = npt.NDArray[np.float64]


@quietly()
def header_of(encoded: bytes) -> Dataset:
    """Everything of a Segmentation file but its pixels: what a report needs to refer to it."""
    return dcmread(BytesIO(encoded), stop_before_pixels=True)


@quietly()
def verify_seg(encoded: bytes, labels: LabelMap, series: CtSeries) -> None:
    """Prove that a Segmentation file holds exactly these labels at these places of this patient.

    Raises ImplausibleResult for any other voxel, place, side, slice reference, study or frame of reference.
    """
    sources = _Sources.of(series)
    _check_mask(labels, sources)
    try:
        segmentation = dcmread(BytesIO(encoded))
        frames = _frames(segmentation, sources)
        pixels = _Pixels.of(segmentation, len(frames))
        structures = _structures(segmentation)
    except ImplausibleResult:
        raise
    except Exception:  # noqa: BLE001 - a damaged file raises whatever its bytes happen to lead to
        raise _implausible("parts that cannot be read", "a complete object") from None
    _check_context(segmentation, series.headers)
    _check_steps(segmentation, sources)
    _check_order(frames, sources)
    _check_voxels(frames, pixels, structures, labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sources:
    """Where the source files themselves say that their slices lie."""

    slice_of: dict[tuple[str, int | None], int]
    """SOP Instance UID, and frame number where the image has many, to slice."""
    corners_mm: Vectors
    """[slice, corner, xyz]: first pixel, last of the first column, last of the first row."""
    thickness_mm: tuple[float | None, ...]
    """As stated; None where it is not."""
    normal: Vectors
    pixel_mm: float
    """The larger of the steps between rows and columns."""

    @classmethod
    def of(cls, series: CtSeries) -> "_Sources":
        planes = [
            _corners_mm(
                numbers(header, "ImagePositionPatient"),
                numbers(header, "ImageOrientationPatient"),
                numbers(header, "PixelSpacing"),
                (number(header, "Rows"), number(header, "Columns")),
            )
            for header in series.headers
        ]
        orientation = np.array(numbers(series.headers[0], "ImageOrientationPatient")).reshape(2, 3)
        return cls(
            slice_of={
                (text(h, "SOPInstanceUID"), series.frame_number(n)): n
                for n, h in enumerate(series.headers)
            },
            corners_mm=np.array(planes),
            thickness_mm=tuple(number(header, "SliceThickness") for header in series.headers),
            normal=np.cross(orientation[0], orientation[1]),
            pixel_mm=max(numbers(series.headers[0], "PixelSpacing") or (0.0,)),
        )

    @property
    def along_mm(self) -> Vectors:
        """Of each slice, along the normal."""
        along: Vectors = self.corners_mm[:, 0] @ self.normal
        return along


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """One frame as its functional groups describe it."""

    segment: int
    """0 where the pixels themselves are segment numbers."""
    slice_index: int
    rank: int
    """Its last Dimension Index Value: the order in which viewers stack frames."""


def _corners_mm(position: Any, orientation: Any, spacing: Any, shape: Sequence[Any]) -> Vectors:
    """PS3.3 C.7.6.2.1.1; Pixel Spacing is the step between rows, then between columns."""
    first = np.array(position, float)
    along_row, along_column = np.reshape(np.array(orientation, float), (2, 3))
    last_row = first + along_column * float(spacing[0]) * (float(shape[0]) - 1)
    last_column = first + along_row * float(spacing[1]) * (float(shape[1]) - 1)
    return np.array((first, last_row, last_column))


def _check_mask(labels: LabelMap, sources: _Sources) -> None:
    """Slice k of the mask is the k-th source file, not mirrored and not on another grid."""
    slices, rows, columns = labels.labels.shape
    if slices != len(sources.corners_mm):
        raise _implausible("a mask of another number of slices", "one slice per source file")
    index = np.array([(0, 0), (rows - 1, 0), (0, columns - 1)], float)
    steps = labels.affine_lps[:3, :3]
    claimed = (
        labels.affine_lps[:3, 3]
        + labels.places[:, None, None] * steps[:, 0]
        + (index @ steps[:, 1:].T)[None]
    )
    off_mm = claimed - sources.corners_mm
    along_mm = off_mm @ sources.normal
    sideways_mm = np.linalg.norm(off_mm - along_mm[..., None] * sources.normal, axis=-1)
    step_mm = float(np.linalg.norm(steps[:, 0]))
    if np.abs(along_mm).max() > MASK_TOLERANCE * step_mm or sideways_mm.max() > max(
        SIDEWAYS_TOLERANCE_MM, MASK_TOLERANCE * sources.pixel_mm
    ):
        raise _implausible("a mask at another place", "the grid of the source files")


def _frames(segmentation: Dataset, sources: _Sources) -> list[_Frame]:
    (shared,) = segmentation.SharedFunctionalGroupsSequence
    per_frame = segmentation.PerFrameFunctionalGroupsSequence
    if len(per_frame) != int(segmentation.NumberOfFrames):
        raise _implausible("another number of frames", "one group of attributes per frame")
    return [_frame(segmentation, group, shared, sources) for group in per_frame]


def _frame(segmentation: Dataset, group: Dataset, shared: Dataset, sources: _Sources) -> _Frame:
    """The frame, at the place of the slice that it refers to."""
    (source,) = _only(group, shared, "DerivationImageSequence").SourceImageSequence
    slice_index = sources.slice_of.get(
        (str(source.ReferencedSOPInstanceUID), source.get("ReferencedFrameNumber"))
    )
    if slice_index is None:
        raise _implausible("a frame made from no slice of the series", "references to its slices")
    measures = _only(group, shared, "PixelMeasuresSequence")
    found = _corners_mm(
        _only(group, shared, "PlanePositionSequence").ImagePositionPatient,
        _only(group, shared, "PlaneOrientationSequence").ImageOrientationPatient,
        measures.PixelSpacing,
        (segmentation.Rows, segmentation.Columns),
    )
    off_mm = np.linalg.norm(found - sources.corners_mm[slice_index], axis=-1)
    if off_mm[0] > FIRST_PIXEL_TOLERANCE_MM:
        raise _implausible("a frame at another place", "the position of the slice it refers to")
    if off_mm.max() > CORNER_TOLERANCE_PIXELS * sources.pixel_mm:
        raise _implausible(
            "a frame turned or stretched", "orientation and spacing of the slice it refers to"
        )
    thickness_mm = sources.thickness_mm[slice_index]
    if thickness_mm and abs(float(measures.SliceThickness) - abs(thickness_mm)) > THICKNESS_MM:
        raise _implausible("a frame of another thickness", "that of the slice it refers to")
    dimensions = _only(group, shared, "FrameContentSequence").DimensionIndexValues
    is_labelmap = segmentation.SegmentationType == "LABELMAP"
    identified = (
        0
        if is_labelmap
        else int(_only(group, shared, "SegmentIdentificationSequence").ReferencedSegmentNumber)
    )
    *channel, rank = [dimensions] if isinstance(dimensions, int) else dimensions
    if channel != ([] if is_labelmap else [identified]):
        raise _implausible("a frame indexed under another segment", "the index of its own segment")
    return _Frame(segment=identified, slice_index=slice_index, rank=int(rank))


def _only(group: Dataset, shared: Dataset, keyword: str) -> Dataset:
    """The frame's own item, or the one shared by all frames (PS3.3 C.7.6.16)."""
    (item,) = (group if keyword in group else shared)[keyword].value
    only: Dataset = item
    return only


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pixels:
    """The stored pixels: bits one after the other without padding (PS3.5 8.1.1), or one byte each."""

    stored: npt.NDArray[np.uint8]
    frame_size: int
    is_packed: bool

    @classmethod
    def of(cls, segmentation: Dataset, frames: int) -> "_Pixels":
        bits = int(segmentation.BitsAllocated)
        pixels = cls(
            stored=np.frombuffer(segmentation.PixelData, np.uint8),
            frame_size=int(segmentation.Rows) * int(segmentation.Columns),
            is_packed=bits == 1,
        )
        if bits not in (1, 8) or len(pixels.stored) * 8 < frames * pixels.frame_size * bits:
            raise _implausible("too few pixels", "every frame complete")
        return pixels

    def frame(self, number: int) -> npt.NDArray[np.uint8]:
        """One frame, flat; unpacked one by one, since all of them would be gigabytes."""
        start = number * self.frame_size
        if not self.is_packed:
            return self.stored[start : start + self.frame_size]
        first, skipped = divmod(start, 8)
        last = -(-(start + self.frame_size) // 8)
        bits = np.unpackbits(self.stored[first:last], bitorder="little")
        return bits[skipped : skipped + self.frame_size]


def _structures(segmentation: Dataset) -> list[Structure]:
    """The structure of each segment, by its coded type, side and region; segments are 1..N without gaps."""
    by_code = {code.key: structure for structure, code in STRUCTURE_CODES.items()}
    found = []
    for expected, segment in enumerate(segmentation.SegmentSequence, start=1):
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        side = _first_code(kind, "SegmentedPropertyTypeModifierCodeSequence")
        (region,) = segment.get("AnatomicRegionSequence") or (Dataset(),)
        region_side = _first_code(region, "AnatomicRegionModifierSequence")
        region_code = _first_code(segment, "AnatomicRegionSequence")
        key = (str(kind.CodeValue), side, region_code, region_side)
        if int(segment.SegmentNumber) != expected or key not in by_code:
            raise _implausible("an unknown segment", "segments 1..N of known structures")
        structure = by_code[key]
        coded = [code for code in (side, region_side) if code] or _sides_in(str(kind.CodeMeaning))
        if not coded == _sides_in(structure) == _sides_in(str(segment.SegmentLabel)):
            raise _implausible(
                "a segment with another side", "name, code and structure on one side"
            )
        found.append(structure)
    return found


def _sides_in(name: str) -> list[str]:
    """The codes of the sides that a name or a meaning tells: some concepts have their side in themselves."""
    words = name.lower().replace("_", " ").split()
    return [code for side, code in _SIDE_CODES.items() if side in words]


def _first_code(item: Dataset, keyword: str) -> str:
    codes: Any = item.get(keyword)
    return str(codes[0].CodeValue) if codes else ""


def _check_context(segmentation: Dataset, headers: Sequence[Dataset]) -> None:
    """Positions mean something in their own frame of reference only."""
    for keyword in ("FrameOfReferenceUID", "StudyInstanceUID", "PatientID"):
        found = text(segmentation, keyword)
        # An identifier that is not valid DICOM is left empty in results.
        is_left_out = keyword == "PatientID" and not found
        if not is_left_out and {found} != {text(header, keyword) for header in headers}:
            raise _implausible(f"another {keyword}", f"the {keyword} of the source files")


def _check_steps(segmentation: Dataset, sources: _Sources) -> None:
    """Readers that take the step from the header, not from positions, must get the right one or none."""
    along_mm = sources.along_mm
    mean_mm = float(along_mm[-1] - along_mm[0]) / (len(along_mm) - 1)
    off_mm = along_mm - (along_mm[0] + np.arange(len(along_mm)) * mean_mm)
    (shared,) = segmentation.SharedFunctionalGroupsSequence
    for group in (shared, *segmentation.PerFrameFunctionalGroupsSequence):
        for measures in group.get("PixelMeasuresSequence", ()):
            stated = measures.get("SpacingBetweenSlices")
            if stated is None and np.abs(np.diff(off_mm)).max() > EVEN_STEPS_MM:
                continue
            is_right = stated is not None and (
                abs(float(stated) - mean_mm) <= STEP_TOLERANCE * abs(mean_mm)
            )
            if not is_right or np.abs(off_mm).max() > MASK_TOLERANCE * abs(mean_mm):
                raise _implausible("another step between slices", "the step of the source files")


def _check_order(frames: Sequence[_Frame], sources: _Sources) -> None:
    """Viewers may stack by dimension index instead of by position."""
    along_mm = sources.along_mm
    places = {frame.rank: along_mm[frame.slice_index] for frame in frames}
    stacked = [places[rank] for rank in sorted(places)]
    is_consistent = all(places[frame.rank] == along_mm[frame.slice_index] for frame in frames)
    steps_mm = np.diff(stacked)
    if not is_consistent or not (np.all(steps_mm > 0) or np.all(steps_mm < 0)):
        raise _implausible("frames indexed in another order", "the order along the slice normal")


def _check_voxels(
    frames: Sequence[_Frame],
    pixels: _Pixels,
    structures: Sequence[Structure],
    labels: LabelMap,
) -> None:
    """Every frame is the mask of its slice, and together they are the whole mask."""
    segment_of_label = np.zeros(256, np.uint8)
    for label, structure in labels.structures.items():
        if structure in structures:
            segment_of_label[label] = structures.index(structure) + 1
    wanted = segment_of_label[labels.labels].reshape(len(labels.labels), -1)
    voxels = 0
    for position, frame in enumerate(frames):
        expected = wanted[frame.slice_index]
        if frame.segment > len(structures):
            raise _implausible("a frame of no segment", "frames of the segments described")
        if frame.segment:
            expected = (expected == frame.segment).view(np.uint8)
        if not np.array_equal(pixels.frame(position), expected):
            named = structures[frame.segment - 1].value if frame.segment else "a slice"
            raise _implausible(f"other voxels of {named}", "the mask that was measured")
        voxels += int(np.count_nonzero(expected))
    if voxels != np.count_nonzero(labels.labels):
        raise _implausible("another number of voxels", "every voxel of the mask, once")


def _implausible(found: str, wanted: str) -> ImplausibleResult:
    return ImplausibleResult(
        found=f"a segmentation with {found}", wanted=wanted, advice="Nothing is sent; report this."
    )
