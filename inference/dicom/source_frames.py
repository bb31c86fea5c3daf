"""The slices that files hold: one each, or one per frame of an enhanced multi-frame image."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from inference.dicom.header_values import raw_value, text, whole_number
from inference.dicom.read_file import SourceFile, broken

MAX_FRAMES = 8192
MULTI_FRAME_CLASSES = frozenset({EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage})
_FUNCTIONAL_GROUPS: Mapping[str, tuple[str, ...]] = {
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
    "PixelValueTransformationSequence": ("RescaleIntercept", "RescaleSlope", "RescaleType"),
    "CTImageFrameTypeSequence": ("FrameType",),
    "CTXRayDetailsSequence": ("KVP",),
    "CTReconstructionSequence": ("ConvolutionKernel",),
}
"""What single-frame images say at their top level (PS3.3 A.38.1.4)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourceFrame:
    """One slice: its header as a single-frame image would have it, and where its pixels are."""

    file: SourceFile
    header: Dataset
    frame_index: int = 0

    @property
    def is_of_many(self) -> bool:
        """Whether a reference to this slice needs a frame number."""
        return self.header is not self.file.header


def is_enhanced(header: Dataset) -> bool:
    """Whether this is the header of an enhanced multi-frame CT."""
    return text(header, "SOPClassUID") in MULTI_FRAME_CLASSES


def frames_of(file: SourceFile) -> list[SourceFrame]:
    """The slices of one file; raises UnreadableInput where an enhanced image lacks the groups of its frames."""
    if not is_enhanced(file.header):
        return [SourceFrame(file=file, header=file.header)]
    frames = whole_number(file.header, "NumberOfFrames") or 0
    own = _items(file.header, "PerFrameFunctionalGroupsSequence")
    if not 0 < frames <= MAX_FRAMES or len(own) != frames:
        raise broken("a multi-frame image with another number of frames than frame descriptions")
    shared = next(iter(_items(file.header, "SharedFunctionalGroupsSequence")), Dataset())
    common = _top_level(file.header)
    _flatten(shared, common)
    return [
        SourceFrame(file=file, header=_frame_header(common, groups, index + 1), frame_index=index)
        for index, groups in enumerate(own)
    ]


def _frame_header(common: Dataset, groups: Dataset, number: int) -> Dataset:
    header = Dataset()
    header.update(common)
    header.file_meta = common.file_meta
    _flatten(groups, header)
    # Viewers count the frames of an image as they count the images of a series.
    header.add_new("InstanceNumber", "IS", number)
    return header


def _top_level(header: Dataset) -> Dataset:
    """All that can be read of the header but its sequences, which hold the functional groups."""
    common = Dataset()
    common.file_meta = getattr(header, "file_meta", FileMetaDataset())
    for tag in header.keys():  # noqa: SIM118 - iterating over the data set itself would parse, and may raise
        try:
            element = header[tag]
        except Exception:  # noqa: BLE001, S112 - the library has an error of its own for every kind of damage
            continue
        if element.VR != "SQ" or element.keyword == "ContrastBolusAgentSequence":
            common.add(element)
    return common


def _flatten(groups: Dataset, into: Dataset) -> None:
    for sequence, keywords in _FUNCTIONAL_GROUPS.items():
        for item in _items(groups, sequence)[:1]:
            for keyword in keywords:
                if (value := raw_value(item, keyword)) is not None:
                    # A new element: setting a value would change the one that all frames share.
                    name = "ImageType" if keyword == "FrameType" else keyword
                    into.add_new(name, item[keyword].VR, value)


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    return list(raw_value(dataset, keyword) or [])
