"""Write a report as a Comprehensive 3D SR of TID 1500 groups, and prove it by reading it back."""

from collections.abc import Iterator, Sequence

from highdicom.sr import (
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    LanguageOfContentItemAndDescendants,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
)
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import DS

from inference.dicom import codes
from inference.dicom.contributing_equipment import describe_algorithms
from inference.dicom.ct_series import CtSeries
from inference.dicom.identity import ResultIdentity, derive_uid
from inference.dicom.quiet import quietly
from inference.dicom.read_sr import items_below
from inference.dicom.source_images import (
    carry_patient_and_study,
    created_date_time,
    identify_private_codes,
    part10_bytes,
    source_image,
    stamp,
)
from inference.dicom.sr_groups import GroupContext, SegmentReference, report_groups
from inference.dicom.verify_sr import frame_number, image_number, verify_sr
from inference.domain.earlier_document import EarlierDocument
from inference.domain.labelmap import Structure
from inference.domain.measurement import Report
from inference.domain.report_options import DEFAULT_REPORT, ReportOptions

ENGLISH = codes.concept("en", "RFC5646", "English")


def build_sr(
    report: Report,
    series: CtSeries,
    references: Sequence[Dataset],
    identity: ResultIdentity,
    options: ReportOptions = DEFAULT_REPORT,
    predecessors: Sequence[EarlierDocument] = (),
) -> Dataset:
    """A Comprehensive 3D SR with every number, note and flag of the report, verified.

    `references` are the segmentations made from the same series; a segment is found by its tracking id.
    `predecessors` are earlier reports that this one replaces. Raises ImplausibleResult where reading back differs.
    """
    return _verified(report, series, references, identity, options, predecessors)[0]


def encode_sr(
    report: Report,
    series: CtSeries,
    references: Sequence[Dataset],
    identity: ResultIdentity,
    options: ReportOptions = DEFAULT_REPORT,
    predecessors: Sequence[EarlierDocument] = (),
) -> bytes:
    """The same as the bytes of a DICOM file: those that were verified."""
    return _verified(report, series, references, identity, options, predecessors)[1]


@quietly()
def _verified(
    report: Report,
    series: CtSeries,
    references: Sequence[Dataset],
    identity: ResultIdentity,
    options: ReportOptions,
    predecessors: Sequence[EarlierDocument],
) -> tuple[Dataset, bytes]:
    content = _content(report, series, references, identity, options)
    document = _document(content, series, references, identity, predecessors)
    for item in items_below(document):
        if item.get("ValueType") == "CONTAINER":
            # OHIF prints the labels of SEPARATE containers only.
            item.ContinuityOfContent = "SEPARATE"
        elif item.get("ValueType") == "NUM":
            _round_for_people(item)
    if report.level is not None:
        _name_frame(document, series, report.level.slice_index)
    carry_patient_and_study(document, series)
    describe_algorithms(document, identity)
    identify_private_codes(document)
    stamp(document, identity)
    encoded = part10_bytes(document)
    verify_sr(encoded, report, series, references, [one.sop_uid for one in predecessors])
    return document, encoded


def _content(
    report: Report,
    series: CtSeries,
    references: Sequence[Dataset],
    identity: ResultIdentity,
    options: ReportOptions,
) -> MeasurementReport:
    """TID 1500."""
    level_image = source_image(series, report.level.slice_index) if report.level else None
    context = GroupContext(
        identity=identity,
        models=report.models,
        level_image=level_image,
        level_image_number=image_number(series, report.level),
        source_series_uid=series.series_uid,
        segments=_segments(references),
    )
    return MeasurementReport(
        observation_context=_observer(identity),
        procedure_reported=codes.PROCEDURE,
        imaging_measurements=report_groups(report, context),
        title=codes.REPORT_TITLES[options.title],
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(ENGLISH),
        # The L3 slice only: a library of the whole series makes metadata of megabytes.
        referenced_images=[level_image] if level_image is not None else None,
    )


def _segments(references: Sequence[Dataset]) -> dict[Structure, SegmentReference]:
    return {
        Structure(segment.TrackingID): SegmentReference(
            sop_class_uid=str(reference.SOPClassUID),
            sop_instance_uid=str(reference.SOPInstanceUID),
            segment_number=int(segment.SegmentNumber),
            tracking_uid=str(segment.TrackingUID),
        )
        for reference in references
        for segment in reference.SegmentSequence
    }


def _observer(identity: ResultIdentity) -> ObservationContext:
    return ObservationContext(
        observer_device_context=ObserverContext(
            observer_type=codes.concept("121007", "DCM", "Device"),
            observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
                uid=derive_uid("habitus-device", identity.code_version),
                name=codes.MANUFACTURER,
                manufacturer_name=codes.MANUFACTURER,
                model_name=f"{codes.MANUFACTURER} {identity.code_version}",
            ),
        )
    )


def _document(
    content: MeasurementReport,
    series: CtSeries,
    references: Sequence[Dataset],
    identity: ResultIdentity,
    predecessors: Sequence[EarlierDocument],
) -> Dataset:
    middle = series.volume.shape[0] // 2
    cited = {uid: index for index, uid in enumerate(_sop_uids(series))}
    slices = [
        cited[uid]
        for item in items_below(content[0])
        for uid in _referenced_uids(item)
        if uid in cited
    ]
    date, time = created_date_time(identity)
    images = [source_image(series, index) for index in dict.fromkeys(slices)]
    document: Dataset = Comprehensive3DSR(
        evidence=[*images, *(_reference(r) for r in references)] or [source_image(series, middle)],
        content=content[0],
        series_instance_uid=identity.series_instance_uid,
        sop_instance_uid=identity.sop_instance_uid,
        series_number=identity.series_number,
        instance_number=1,
        manufacturer=codes.MANUFACTURER,
        manufacturer_model_name=codes.MANUFACTURER,
        software_versions=identity.code_version,
        device_serial_number="1",
        series_description="Habitus: measurements (research use)",
        is_complete=True,
        is_final=False,
        is_verified=False,
        previous_versions=[_header_of(one) for one in predecessors] or None,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        content_date=date,
        content_time=time,
    )
    return document


def _header_of(earlier: EarlierDocument) -> Dataset:
    header = Dataset()
    header.SOPClassUID, header.SOPInstanceUID = earlier.sop_class_uid, earlier.sop_uid
    header.StudyInstanceUID, header.SeriesInstanceUID = earlier.study_uid, earlier.series_uid
    return header


def _sop_uids(series: CtSeries) -> list[str]:
    return [str(header.SOPInstanceUID) for header in series.headers]


def _reference(segmentation: Dataset) -> Dataset:
    """What the evidence list needs, without the patient (see `source_image`)."""
    reference = Dataset()
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID"):
        setattr(reference, keyword, str(segmentation[keyword].value))
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID"):
        setattr(reference, keyword, "")
    reference.StudyDate = reference.StudyTime = ""
    reference.AccessionNumber = reference.ReferringPhysicianName = ""
    return reference


def _name_frame(document: Dataset, series: CtSeries, slice_index: int) -> None:
    """The L3 slice is the only image referred to; of a multi-frame image it is one frame."""
    frame = frame_number(series, slice_index)
    if frame is None:
        return
    for item in items_below(document):
        for reference in item.get("ReferencedSOPSequence", []):
            if str(reference.ReferencedSOPInstanceUID) in series.sop_uids:
                reference.ReferencedFrameNumber = frame


def _referenced_uids(item: Dataset) -> Iterator[str]:
    for reference in item.get("ReferencedSOPSequence", []):
        yield str(reference.ReferencedSOPInstanceUID)


def _round_for_people(item: Dataset) -> None:
    """Six digits in the string that viewers print; the exact number stays beside it (PS3.3 C.18.1)."""
    value = item.MeasuredValueSequence[0]
    exact = float(value.get("FloatingPointValue", value.NumericValue))
    value.FloatingPointValue = exact
    value.NumericValue = DS(f"{exact:.6g}")
