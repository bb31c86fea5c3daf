"""Write a label map as a DICOM Segmentation, and prove it by reading it back in patient space."""

from collections.abc import Sequence

import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as ItemSequence
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import DS

from inference.dicom.codes import AI_FAMILY, MANUFACTURER, STRUCTURE_CODES
from inference.dicom.ct_series import CtSeries
from inference.dicom.identity import ResultIdentity
from inference.dicom.quiet import quietly
from inference.dicom.read_seg import verify_seg
from inference.dicom.source_images import (
    carry_patient_and_study,
    created_date_time,
    part10_bytes,
    source_image,
    stamp,
)
from inference.domain.labelmap import TISSUES, LabelMap, Structure

PRODUCT = "Habitus"


def build_seg(labels: LabelMap, series: CtSeries, identity: ResultIdentity) -> Dataset:
    """A BINARY Segmentation of the structures present, verified; segments 1..N in the fixed order.

    Raises ValueError for an empty label map and ImplausibleResult where reading back differs.
    """
    return _verified(labels, series, identity)[0]


def encode_seg(labels: LabelMap, series: CtSeries, identity: ResultIdentity) -> bytes:
    """The same as the bytes of a DICOM file: those that were verified."""
    return _verified(labels, series, identity)[1]


def present_structures(labels: LabelMap) -> tuple[Structure, ...]:
    """The structures with at least one voxel, in the order of their segment numbers."""
    counts = np.bincount(labels.labels.ravel(), minlength=256)
    present = {structure for label, structure in labels.structures.items() if counts[label]}
    return tuple(structure for structure in Structure if structure in present)


@quietly()
def _verified(
    labels: LabelMap, series: CtSeries, identity: ResultIdentity
) -> tuple[Dataset, bytes]:
    segmentation = _segmentation(labels, series, identity)
    encoded = part10_bytes(segmentation)
    verify_seg(encoded, labels, series)
    return segmentation, encoded


def _segmentation(labels: LabelMap, series: CtSeries, identity: ResultIdentity) -> Dataset:
    structures = present_structures(labels)
    if not structures:
        raise ValueError("an empty label map makes no segmentation")
    if labels.labels.shape != series.volume.shape:
        raise ValueError(f"labels {labels.labels.shape} on a volume {series.volume.shape}")
    used = np.flatnonzero(labels.labels.any(axis=(1, 2)))
    first, last = int(used[0]), int(used[-1])
    segmentation: Dataset = hd.seg.Segmentation(
        source_images=[source_image(series, index) for index in range(first, last + 1)],
        pixel_array=_numbered(labels, structures)[first : last + 1],
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _description(number, structure, identity)
            for number, structure in enumerate(structures, start=1)
        ],
        pixel_measures=_pixel_measures(series),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **_object_arguments(structures, identity),
    )
    _fix_spacing(segmentation, series)
    _add_laterality(segmentation, structures)
    _fix_dimension_uid(segmentation, identity)
    carry_patient_and_study(segmentation, series)
    stamp(segmentation, identity)
    return segmentation


def _object_arguments(
    structures: Sequence[Structure], identity: ResultIdentity
) -> dict[str, object]:
    is_tissue = all(structure in TISSUES for structure in structures)
    what = "Body composition at L3" if is_tissue else "Abdominal organs"
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
        spacing_between_slices=slice_mm,
    )


def _fix_spacing(segmentation: Dataset, series: CtSeries) -> None:
    """The series' own step: highdicom writes 1 mm, or nothing, where there is a single slice."""
    measures = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.SpacingBetweenSlices = DS(series.volume.spacing_mm[0], auto_format=True)


def _add_laterality(segmentation: Dataset, structures: Sequence[Structure]) -> None:
    for segment, structure in zip(segmentation.SegmentSequence, structures, strict=True):
        modifier = STRUCTURE_CODES[structure].modifier
        if modifier is not None:
            kind = segment.SegmentedPropertyTypeCodeSequence[0]
            kind.SegmentedPropertyTypeModifierCodeSequence = ItemSequence(
                [hd.sr.CodedConcept.from_code(modifier)]
            )


def _fix_dimension_uid(segmentation: Dataset, identity: ResultIdentity) -> None:
    """Ours instead of the library's random one: the same job gives the same bytes."""
    uid = identity.uid("dimension-organization")
    for keyword in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        for item in segmentation[keyword].value:
            item.DimensionOrganizationUID = uid
