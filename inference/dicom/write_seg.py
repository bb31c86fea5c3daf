"""Write a label map as a DICOM Segmentation, and prove it by reading it back in patient space."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO

import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as ItemSequence
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import DS

from inference.dicom.codes import AI_FAMILY, MANUFACTURER, STRUCTURE_CODES
from inference.dicom.contributing_equipment import describe_algorithms
from inference.dicom.ct_series import CtSeries
from inference.dicom.frame_references import frame_source, name_frames
from inference.dicom.identity import ResultIdentity
from inference.dicom.quiet import quietly
from inference.dicom.read_seg import verify_seg
from inference.dicom.seg_frames import binary_frames, label_frames, part10_of
from inference.dicom.source_images import (
    carry_patient_and_study,
    created_date_time,
    stamp,
)
from inference.domain.labelmap import TISSUES, LabelMap, Structure, in_fixed_order
from inference.domain.seg_encoding import SegEncoding

PRODUCT = "Habitus"


def build_seg(labels: LabelMap, series: CtSeries, identity: ResultIdentity) -> Dataset:
    """The bytes of `encode_seg` as a data set."""
    return dcmread(BytesIO(encode_seg(labels, series, identity)))


@quietly()
def encode_seg(
    labels: LabelMap,
    series: CtSeries,
    identity: ResultIdentity,
    encoding: SegEncoding = SegEncoding.BINARY,
) -> bytes:
    """A Segmentation file of the structures present, segments 1..N in the fixed order, proven by reading it back.

    Raises ValueError for an empty label map and ImplausibleResult where reading back differs.
    """
    encoded = unproven_seg(seg_content(labels, series, identity), encoding)
    verify_seg(encoded, labels, series)
    return encoded


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegContent:
    """What a segmentation is made of."""

    structures: tuple[Structure, ...]
    """In the order of their segment numbers."""
    numbered: npt.NDArray[np.uint8]
    """Segment numbers [slice, row, column], from the first slice with any to the last."""
    sources: tuple[Dataset, ...]
    """The source image of each of these slices."""
    series: CtSeries
    identity: ResultIdentity


def seg_content(labels: LabelMap, series: CtSeries, identity: ResultIdentity) -> SegContent:
    """What there is to write of a label map; raises ValueError where that is nothing."""
    structures = present_structures(labels)
    if not structures:
        raise ValueError("an empty label map makes no segmentation")
    if labels.labels.shape != series.volume.shape:
        raise ValueError(f"labels {labels.labels.shape} on a volume {series.volume.shape}")
    used = np.flatnonzero(labels.labels.any(axis=(1, 2)))
    extent = range(int(used[0]), int(used[-1]) + 1)
    return SegContent(
        structures=structures,
        numbered=_numbered(labels, structures)[extent.start : extent.stop],
        sources=tuple(frame_source(series, index) for index in extent),
        series=series,
        identity=identity,
    )


def present_structures(labels: LabelMap) -> tuple[Structure, ...]:
    """The structures with at least one voxel, in the order of their segment numbers."""
    has = np.zeros(256, bool)
    for plane in labels.labels:
        # The counting makes a copy of eight bytes per voxel: rows that are used, one slice at a time.
        has |= np.bincount(plane[plane.any(axis=1)].ravel(), minlength=256) > 0
    present = {structure for label, structure in labels.structures.items() if has[label]}
    return in_fixed_order(present)


def unproven_seg(content: SegContent, encoding: SegEncoding) -> bytes:
    """The file, not yet read back; from a model that has every attribute but a few pixels only (see seg_frames)."""
    segments = len(content.structures)
    model = highdicom_seg(
        replace(
            content,
            numbered=_model_pixels(content.numbered, segments),
            sources=tuple(_of_one_row(source, segments) for source in content.sources),
        ),
        encoding,
    )
    _, model.Rows, model.Columns = content.numbered.shape
    slice_of_source = {str(source.SOPInstanceUID): n for n, source in enumerate(content.sources)}
    used = int(content.numbered.any(axis=(1, 2)).sum())
    groups = model.PerFrameFunctionalGroupsSequence[:used]
    planes = [content.numbered[slice_of_source[_source_uid(group)]] for group in groups]
    name_frames(model, content.series)
    if encoding is SegEncoding.LABELMAP:
        frames = label_frames(groups, planes)
    else:
        frames = binary_frames(groups, planes, segments)
    return part10_of(model, frames, is_deflated=encoding is SegEncoding.BINARY_DEFLATED)


def highdicom_seg(content: SegContent, encoding: SegEncoding) -> Dataset:
    """The segmentation as highdicom builds it, with what it has no argument for put right."""
    is_labelmap = encoding is SegEncoding.LABELMAP
    segmentation: Dataset = hd.seg.Segmentation(
        source_images=content.sources,
        pixel_array=content.numbered,
        segmentation_type="LABELMAP" if is_labelmap else "BINARY",
        segment_descriptions=[
            _description(number, structure, content.identity)
            for number, structure in enumerate(content.structures, start=1)
        ],
        pixel_measures=_pixel_measures(content.series),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **_object_arguments(content.structures, content.identity),
    )
    if is_labelmap:
        # OHIF 3.13 shifts names and colours by one where there is an item for the background.
        del segmentation.SegmentSequence[0]
    _fix_spacing(segmentation, content.series)
    _own_thickness(segmentation, content)
    _add_laterality(segmentation, content.structures)
    _fix_dimension_uid(segmentation, content.identity)
    carry_patient_and_study(segmentation, content.series)
    describe_algorithms(segmentation, content.identity)
    stamp(segmentation, content.identity)
    return segmentation


def _model_pixels(numbered: npt.NDArray[np.uint8], segments: int) -> npt.NDArray[np.uint8]:
    """One row of pixels: on each slice that is used one of segment 1, on the first of them one of each segment."""
    used = numbered.any(axis=(1, 2))
    pixels = np.zeros((len(numbered), 1, segments), np.uint8)
    pixels[used, 0, 0] = 1
    pixels[np.argmax(used), 0] = np.arange(1, segments + 1)
    return pixels


def _of_one_row(source: Dataset, columns: int) -> Dataset:
    image = Dataset()
    image.update(source)
    # New elements: setting a value would change the one that both share.
    image.add_new("Rows", "US", 1)
    image.add_new("Columns", "US", columns)
    return image


def _source_uid(group: Dataset) -> str:
    uid: str = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
    return uid


def _object_arguments(
    structures: Sequence[Structure], identity: ResultIdentity
) -> dict[str, object]:
    is_tissue = all(structure in TISSUES for structure in structures)
    is_more = any(structure.is_listed for structure in structures)
    organs = "Organs and other structures" if is_more else "Abdominal organs"
    what = "Body composition at L3" if is_tissue else organs
    date, time = created_date_time(identity)
    return {
        "series_instance_uid": identity.series_instance_uid,
        "sop_instance_uid": identity.sop_instance_uid,
        "series_number": identity.series_number,
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": PRODUCT,
        "software_versions": identity.code_version,
        "device_serial_number": "1",
        "series_description": f"{PRODUCT}: {what} (research use)",
        "content_description": f"{what}. For research use only.",
        "content_label": "TISSUES_L3" if is_tissue else "ORGANS",
        "content_creator_name": "Habitus^AI",
        "content_date": date,
        "content_time": time,
    }


def _numbered(labels: LabelMap, structures: Sequence[Structure]) -> npt.NDArray[np.uint8]:
    """The label map with segment numbers instead of labels."""
    number_of_label = np.zeros(256, np.uint8)
    for label, structure in labels.structures.items():
        if structure in structures:
            number_of_label[label] = structures.index(structure) + 1
    numbered: npt.NDArray[np.uint8] = number_of_label[labels.labels]
    return numbered


def _description(
    number: int, structure: Structure, identity: ResultIdentity
) -> hd.seg.SegmentDescription:
    code = STRUCTURE_CODES[structure]
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=code.label,
        segmented_property_category=code.category,
        segmented_property_type=code.kind,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=_algorithm(identity),
        tracking_uid=identity.uid("segment", structure.value),
        tracking_id=structure.value,
        anatomic_regions=[code.region] if code.region is not None else None,
        display_color=hd.color.CIELabColor.from_rgb(*code.rgb),
    )


def _algorithm(identity: ResultIdentity) -> hd.AlgorithmIdentificationSequence:
    first = identity.models[0] if identity.models else None
    return hd.AlgorithmIdentificationSequence(
        name=first.name if first else PRODUCT,
        family=AI_FAMILY,
        version=first.version if first else identity.code_version,
        source=PRODUCT,
        parameters={
            f"{model.name} {model.version}": f"sha256 {model.sha256} on {model.provider}"
            for model in identity.models
        }
        or None,
    )


def _pixel_measures(series: CtSeries) -> hd.PixelMeasuresSequence:
    slice_mm, row_mm, column_mm = series.volume.spacing_mm
    return hd.PixelMeasuresSequence(
        pixel_spacing=(row_mm, column_mm),
        slice_thickness=series.slice_thickness_mm,
        spacing_between_slices=slice_mm if series.volume.slice_places is None else None,
    )


def _fix_spacing(segmentation: Dataset, series: CtSeries) -> None:
    """The series' own step, or none where slices are not evenly spaced: highdicom makes one up for a single slice."""
    measures = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    if series.volume.slice_places is None:
        measures.SpacingBetweenSlices = DS(series.volume.spacing_mm[0], auto_format=True)
    elif "SpacingBetweenSlices" in measures:
        del measures.SpacingBetweenSlices


def _own_thickness(segmentation: Dataset, content: SegContent) -> None:
    """Pixel Measures of each frame in place of shared ones where the slices are not of one thickness."""
    thickness_mm = {
        str(source.SOPInstanceUID): float(source.SliceThickness) for source in content.sources
    }
    (shared,) = segmentation.SharedFunctionalGroupsSequence
    (common,) = shared.PixelMeasuresSequence
    if set(thickness_mm.values()) == {float(common.SliceThickness)}:
        return
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        own = Dataset()
        own.update(common)
        # A new element: setting a value would change the one that all frames share.
        own.add_new("SliceThickness", "DS", DS(thickness_mm[_source_uid(group)], auto_format=True))
        group.PixelMeasuresSequence = ItemSequence([own])
    del shared.PixelMeasuresSequence


def _add_laterality(segmentation: Dataset, structures: Sequence[Structure]) -> None:
    for segment, structure in zip(segmentation.SegmentSequence, structures, strict=True):
        code = STRUCTURE_CODES[structure]
        if code.modifier is not None:
            kind = segment.SegmentedPropertyTypeCodeSequence[0]
            kind.SegmentedPropertyTypeModifierCodeSequence = ItemSequence(
                [hd.sr.CodedConcept.from_code(code.modifier)]
            )
        if code.region_modifier is not None:
            region = segment.AnatomicRegionSequence[0]
            region.AnatomicRegionModifierSequence = ItemSequence(
                [hd.sr.CodedConcept.from_code(code.region_modifier)]
            )


def _fix_dimension_uid(segmentation: Dataset, identity: ResultIdentity) -> None:
    """Ours instead of the library's random one: the same job gives the same bytes."""
    uid = identity.uid("dimension-organization")
    for keyword in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        for item in segmentation[keyword].value:
            item.DimensionOrganizationUID = uid
