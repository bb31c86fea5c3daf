"""DICOM Segmentations written by anyone, as masks on the grid of the series they belong to."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage

from inference.dicom.codes import L3_VERTEBRA, STRUCTURE_CODES
from inference.dicom.quiet import quietly
from inference.dicom.read_file import has_dicom_mark
from inference.domain.errors import UnreadableInput
from inference.domain.labelmap import Structure
from inference.domain.volume import Volume
from training.label_names import plain, structure_named
from training.real.reference import Mask, Reference, on_grid, remembered

LABEL_MAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
SEGMENTATIONS = (SegmentationStorage, LABEL_MAP_STORAGE)


@quietly()
def segmentations_in(folder: Path, frame_of_reference_uid: str) -> list[Path]:
    """Segmentation files below a folder that lie in the same space as the series."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and has_dicom_mark(path):
            header = dcmread(path, stop_before_pixels=True, force=True)
            same_space = header.get("FrameOfReferenceUID") == frame_of_reference_uid
            if header.get("SOPClassUID") in SEGMENTATIONS and same_space:
                found.append(path)
    return found


def reference_from_segs(paths: list[Path], volume: Volume) -> Reference:
    """All segments of the files by plain name; raises UnreadableInput."""
    readers: dict[str, Callable[[], Mask]] = {}
    for path in paths:
        readers |= _segments(path, volume)
    return Reference(readers=readers)


@quietly()
def _segments(path: Path, volume: Volume) -> Mapping[str, Callable[[], Mask]]:
    import highdicom

    try:
        segmentation = highdicom.seg.segread(path)
        names = {
            int(number): name_of(segmentation.get_segment_description(number))
            for number in segmentation.segment_numbers
        }
    except Exception:  # noqa: BLE001 - anyone's file raises whatever its contents lead to
        raise _unreadable() from None

    @quietly()
    def one(number: int) -> Mask:
        try:
            segment = segmentation.get_volume(segment_numbers=[number], rtol=0.05)
        except Exception:  # noqa: BLE001 - as above
            raise _unreadable() from None
        voxels = np.asarray(segment.array)
        mask = voxels.reshape(voxels.shape[:3]) > 0
        return on_grid(mask, np.asarray(segment.affine, float), volume)

    def reader(name: str) -> Callable[[], Mask]:
        # A structure may come in several segments, such as two pieces of one muscle.
        numbers = [number for number, named in names.items() if named == name]
        return remembered(lambda: np.logical_or.reduce([one(number) for number in numbers]))

    return {name: reader(name) for name in names.values()}


def _unreadable() -> UnreadableInput:
    return UnreadableInput(
        found="a Segmentation that cannot be read as a stack of masks",
        wanted="a DICOM Segmentation of the series, its frames evenly spaced",
        advice="Convert it to one NIfTI mask per structure in labels/.",
    )


def name_of(segment: Dataset) -> str:
    """Plain name by the segment's codes (PS3.3 C.8.20.4), by its label where these are not ours."""
    kind, side = (
        _code(segment, "SegmentedPropertyTypeCodeSequence"),
        _side(segment),
    )
    if kind == (L3_VERTEBRA.value, L3_VERTEBRA.scheme_designator):
        return "vertebrae_l3"
    label = plain(str(segment.get("SegmentLabel", "")))
    # A label that is a known name wins: one type code stands for two fats.
    if structure_named(label) is None:
        for structure in Structure:
            code = STRUCTURE_CODES[structure]
            wanted_side = code.modifier.value if code.modifier else ""
            if (code.kind.value, code.kind.scheme_designator) == kind and wanted_side == side:
                return structure.value
    return label


def _code(item: Dataset, keyword: str) -> tuple[str, str]:
    """Value and scheme of the first code; empty where there is none."""
    codes = item.get(keyword) or []
    if not codes:
        return "", ""
    return str(codes[0].get("CodeValue", "")), str(codes[0].get("CodingSchemeDesignator", ""))


def _side(segment: Dataset) -> str:
    kinds = segment.get("SegmentedPropertyTypeCodeSequence") or []
    return _code(kinds[0], "SegmentedPropertyTypeModifierCodeSequence")[0] if kinds else ""
