"""The measurement groups of the structured report (TID 1501), one per thing that was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    FindingSite,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from inference.dicom import codes
from inference.dicom.identity import ResultIdentity
from inference.domain import measurement as measured
from inference.domain.labelmap import EXPERIMENTAL, Structure
from inference.domain.measurement import (
    CutOff,
    Level,
    ModelUse,
    OrganResult,
    Patient,
    Report,
    Unit,
)

RESULT_GROUP = "result"
LEVEL_GROUP = "l3"
BODY_GROUP = "body"
PATIENT_GROUP = "patient"

Text = tuple[Code, str]
Number = tuple[Code, float, Unit]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupContext:
    """What every group refers to."""

    identity: ResultIdentity
    models: Sequence[ModelUse]
    level_image: Dataset | None
    """The slice in the middle of L3."""
    level_image_number: str
    """As viewers number it; empty where the scanner did not."""
    source_series_uid: str
    segments: Mapping[Structure, "SegmentReference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentReference:
    """One segment of a segmentation object."""

    sop_class_uid: str
    sop_instance_uid: str
    segment_number: int
    tracking_uid: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Content:
    """What goes into one group."""

    tracking_id: str
    finding: Code | None = None
    sites: tuple[tuple[Code, Code | None], ...] = ()
    """Finding sites with their laterality."""
    structure: Structure | None = None
    """Whose segment is referred to."""
    is_at_level: bool = False
    numbers: tuple[Number, ...] = ()
    region_px: tuple[int, int, int, int] | None = None
    """Edges of the region on the L3 slice that the first number is of."""
    task: str | None = None
    """Of the model behind the numbers; None: no model made them."""
    evaluations: tuple[tuple[Code, Code], ...] = ()
    texts: tuple[Text, ...] = ()


def report_groups(
    report: Report, context: GroupContext
) -> list[MeasurementsAndQualitativeEvaluations]:
    """All groups in reading order: notes, level, tissues, whole body, cut-offs, organs, patient."""
    contents = [_result(report), _level(report, context.level_image_number)]
    contents += _body_composition(report)
    contents += [_cut_off(cut_off) for cut_off in report.cut_offs]
    contents += [_organ(organ) for organ in report.organs]
    contents.append(_patient(report.patient))
    return [_group(content, context) for content in contents]


def cut_off_tracking_id(cut_off: CutOff) -> str:
    """The tracking identifier of a cut-off's group."""
    return f"cut_off/{cut_off.table}/{cut_off.structure.value}/{cut_off.quantity.value}"


def _result(report: Report) -> _Content:
    models = tuple(
        (
            codes.MODEL,
            f"{model.name} {model.version}, sha256 {model.sha256}, run on {model.provider}",
        )
        for model in report.models
    )
    return _Content(
        tracking_id=RESULT_GROUP,
        numbers=((codes.KVP, report.kvp, Unit.KV),) if report.kvp is not None else (),
        texts=(
            (codes.RESEARCH_NOTE, codes.RESEARCH_USE),
            *((codes.FLAG, flag) for flag in report.flags),
            *((codes.DEFINITION, definition) for definition in report.definitions),
            (codes.CONTRAST, report.contrast),
            *models,
        ),
    )


def _level(report: Report, image_number: str) -> _Content:
    """Said of every result: what became of the search for L3 and, where it was measured, its place."""
    level = report.level
    source = level.source if level is not None else ""
    sources = ((codes.LEVEL_SOURCE, source), (codes.LEVEL_IMAGE, image_number))
    reasons = tuple((codes.LEVEL_REASON, why) for why in report.level_reasons)
    return _Content(
        tracking_id=LEVEL_GROUP,
        finding=codes.L3_VERTEBRA,
        sites=((codes.L3_VERTEBRA, None),),
        is_at_level=level is not None,
        numbers=_level_numbers(level, report.slab_height_mm) if level is not None else (),
        evaluations=((codes.LEVEL_OUTCOME, codes.LEVEL_OUTCOMES[report.level_outcome]),),
        texts=(*reasons, *((concept, said) for concept, said in sources if said)),
        region_px=level.region_px if level is not None else None,
        task=None if source else "l3-level",
    )


def _level_numbers(level: Level, slab_height_mm: float | None) -> tuple[Number, ...]:
    numbers = [
        (codes.LEVEL_Z, level.z_mm, Unit.MM),
        (codes.LEVEL_LOWER, level.extent_mm[0], Unit.MM),
        (codes.LEVEL_UPPER, level.extent_mm[1], Unit.MM),
        (codes.LEVEL_SLICE, float(level.slice_index), Unit.RATIO),
    ]
    if level.confidence is not None:
        numbers.append((codes.LEVEL_CONFIDENCE, level.confidence, Unit.RATIO))
    if slab_height_mm is not None:
        numbers.append((codes.SLAB_HEIGHT, slab_height_mm, Unit.MM))
    return tuple(numbers)


def _body_composition(report: Report) -> list[_Content]:
    by_structure: dict[Structure | None, list[measured.Measurement]] = {}
    for item in report.body_composition:
        by_structure.setdefault(item.structure, []).append(item)
    return [
        _Content(
            tracking_id=structure.value if structure else BODY_GROUP,
            finding=codes.STRUCTURE_CODES[structure].kind if structure else None,
            sites=((codes.L3_VERTEBRA, None),),
            structure=structure,
            is_at_level=True,
            task="l3-tissue",
            texts=_comments(structure) if structure else (),
            numbers=tuple(
                (codes.QUANTITY_CODES[item.quantity], item.value, item.unit) for item in items
            ),
        )
        for structure, items in by_structure.items()
    ]


def _comments(structure: Structure) -> tuple[Text, ...]:
    trial = ((codes.COMMENT, codes.EXPERIMENTAL_COMMENT),) if structure in EXPERIMENTAL else ()
    return ((codes.COMMENT, codes.SLAB_COMMENT), *trial)


def _cut_off(cut_off: CutOff) -> _Content:
    return _Content(
        tracking_id=cut_off_tracking_id(cut_off),
        finding=codes.STRUCTURE_CODES[cut_off.structure].kind,
        sites=((codes.L3_VERTEBRA, None),),
        numbers=(
            (codes.QUANTITY_CODES[cut_off.quantity], cut_off.value, cut_off.unit),
            (codes.CUT_OFF, cut_off.cut_off, cut_off.unit),
            (codes.DIFFERENCE, cut_off.difference, cut_off.unit),
        ),
        evaluations=((codes.CUT_OFF_RESULT, codes.LOW if cut_off.is_low else codes.NOT_LOW),),
        texts=(
            (codes.CUT_OFF_TABLE, cut_off.table),
            (codes.CUT_OFF_POPULATION, cut_off.population),
            (codes.CUT_OFF_CITATION, cut_off.citation),
        ),
    )


def _organ(organ: OrganResult) -> _Content:
    code = codes.STRUCTURE_CODES[organ.structure]
    corners = (*organ.box_lps_mm[0], *organ.box_lps_mm[1])
    numbers = [(codes.QUANTITY_CODES[measured.Quantity.VOLUME], organ.volume_ml, Unit.ML)]
    if organ.mean_hu is not None:
        numbers.append((codes.QUANTITY_CODES[measured.Quantity.MEAN_HU], organ.mean_hu, Unit.HU))
    if organ.sd_hu is not None:
        numbers.append((codes.QUANTITY_CODES[measured.Quantity.SD_HU], organ.sd_hu, Unit.HU))
    numbers += [
        (concept, corner, Unit.MM)
        for concept, corner in zip(codes.BOX_CORNERS.values(), corners, strict=True)
    ]
    return _Content(
        tracking_id=organ.structure.value,
        finding=code.kind,
        sites=(code.site,),
        structure=organ.structure,
        numbers=tuple(numbers),
        task="organs",
        evaluations=((codes.INCOMPLETE, codes.YES if organ.is_incomplete else codes.NO),),
    )


def _patient(patient: Patient) -> _Content:
    known = [
        (codes.AGE, patient.age_years, Unit.YEAR),
        (codes.HEIGHT, patient.height_m, Unit.M),
        (codes.WEIGHT, patient.weight_kg, Unit.KG),
    ]
    if patient.height_m is not None and patient.weight_kg is not None:
        known.append(
            (codes.BODY_MASS_INDEX, patient.weight_kg / patient.height_m**2, Unit.KG_PER_M2)
        )
    return _Content(
        tracking_id=PATIENT_GROUP,
        numbers=tuple((code, value, unit) for code, value, unit in known if value is not None),
        evaluations=((codes.SEX, codes.SEX_CODES[patient.sex]),) if patient.sex else (),
        texts=(
            *((codes.PATIENT_SOURCE, source) for source in patient.sources),
            *((codes.PATIENT_NOTE, note) for note in patient.notes),
        ),
    )


def _group(content: _Content, context: GroupContext) -> MeasurementsAndQualitativeEvaluations:
    segment = context.segments.get(content.structure) if content.structure else None
    own_uid = context.identity.uid("group", content.tracking_id)
    arguments = {
        "tracking_identifier": TrackingIdentifier(
            uid=segment.tracking_uid if segment else own_uid, identifier=content.tracking_id
        ),
        "finding_type": content.finding,
        "finding_sites": [
            FindingSite(anatomic_location=site, laterality=laterality)
            for site, laterality in content.sites
        ]
        or None,
        "algorithm_id": _algorithm(content, context),
        "measurements": _measurements(content, context),
        "qualitative_evaluations": [
            QualitativeEvaluation(name=name, value=value) for name, value in content.evaluations
        ],
    }
    if segment is not None:
        group = VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_segment=_referenced_segment(segment, content, context), **arguments
        )
    else:
        group = MeasurementsAndQualitativeEvaluations(
            source_images=_source_images(content, context), **arguments
        )
    _add_texts(group, content.texts)
    return group


def _source_images(
    content: _Content, context: GroupContext
) -> list[hd.sr.SourceImageForMeasurementGroup] | None:
    if not content.is_at_level or context.level_image is None:
        return None
    return [hd.sr.SourceImageForMeasurementGroup.from_source_image(context.level_image)]


def _referenced_segment(
    segment: SegmentReference, content: _Content, context: GroupContext
) -> hd.sr.ReferencedSegment:
    """TID 1411: a tissue is of the L3 slice, an organ of the whole series."""
    is_of_level = content.is_at_level and context.level_image is not None
    return hd.sr.ReferencedSegment(
        sop_class_uid=segment.sop_class_uid,
        sop_instance_uid=segment.sop_instance_uid,
        segment_number=segment.segment_number,
        source_images=[hd.sr.SourceImageForSegmentation.from_source_image(context.level_image)]
        if is_of_level
        else None,
        source_series=None
        if is_of_level
        else hd.sr.SourceSeriesForSegmentation(context.source_series_uid),
    )


def _measurements(content: _Content, context: GroupContext) -> list[Measurement]:
    found = [
        Measurement(
            name=code,
            value=float(value),
            unit=codes.UNIT_CODES[unit],
            referenced_coordinates=_coordinates(content, context) if number == 0 else None,
        )
        for number, (code, value, unit) in enumerate(content.numbers)
    ]
    return found


def _coordinates(
    content: _Content, context: GroupContext
) -> list[hd.sr.CoordinatesForMeasurement] | None:
    """TID 320: the region's closed outline on the L3 slice; edges of pixels, PS3.3 C.18.6."""
    if content.region_px is None or context.level_image is None:
        return None
    left, top, right, bottom = content.region_px
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    return [
        hd.sr.CoordinatesForMeasurement(
            graphic_type=hd.sr.GraphicTypeValues.POLYLINE,
            graphic_data=np.array(corners, float),
            source_image=hd.sr.SourceImageForRegion(
                context.level_image.SOPClassUID, context.level_image.SOPInstanceUID
            ),
        )
    ]


def _algorithm(content: _Content, context: GroupContext) -> AlgorithmIdentification | None:
    """TID 4019, of the model that did the group's task."""
    for model in context.models:
        if model.task == content.task:
            return AlgorithmIdentification(
                name=model.name,
                version=model.version,
                parameters=[f"sha256 {model.sha256}"],
                family=codes.AI_FAMILY,
            )
    return None


def _add_texts(group: MeasurementsAndQualitativeEvaluations, texts: Sequence[Text]) -> None:
    for name, value in texts:
        group[0].ContentSequence.append(
            TextContentItem(
                name=name, value=value, relationship_type=RelationshipTypeValues.CONTAINS
            )
        )
