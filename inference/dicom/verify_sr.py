"""Prove from its bytes that a structured report says what was measured; knows nothing of how it was written."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from inference.dicom import codes
from inference.dicom.ct_series import CtSeries
from inference.dicom.header_values import number, numbers, text
from inference.dicom.quiet import quietly
from inference.dicom.read_sr import (
    SrCode,
    SrMeasurement,
    SrStatement,
    code_of,
    concept_of,
    group_items,
    items_below,
    measurements_from_sr,
    references_from_sr,
    statements_from_sr,
)
from inference.dicom.undecodable import plain_ascii
from inference.domain.errors import ImplausibleResult
from inference.domain.labelmap import Structure
from inference.domain.measurement import CutOff, Level, OrganResult, Quantity, Report, Unit

SHOWN_TOLERANCE = 1e-5
"""Relative, between the exact number and the decimal string that viewers print."""

_TRACKING_UID = "112040"
_FINDING = "121071"
_FINDING_SITE = "363698007"
_LATERALITY = "272741003"


@quietly()
def verify_sr(
    encoded: bytes,
    report: Report,
    series: CtSeries,
    references: Sequence[Dataset],
    predecessors: Sequence[str] = (),
) -> None:
    """Compare a file with the report it was written from, the series and the segmentations. Raises ImplausibleResult."""
    document = dcmread(BytesIO(encoded))
    checks: tuple[tuple[str, Callable[[], bool]], ...] = (
        ("another patient or study", lambda: _is_of_series(document, series)),
        ("other numbers, units or codes", lambda: _has_numbers(document, report)),
        ("numbers shown otherwise than measured", lambda: _shows_numbers(document)),
        ("other texts, notes or flags", lambda: _has_statements(document, report, series)),
        ("a structure under another name", lambda: _names_structures(document, report)),
        ("another segment", lambda: _refers_to_segments(document, report, references)),
        ("another image number for L3", lambda: _has_image_number(document, report, series)),
        ("another slice for L3", lambda: _refers_to_level(document, report.level, series)),
        ("another region at L3", lambda: _has_region(document, report.level)),
        ("another earlier report", lambda: _replaces(document, predecessors)),
    )
    for what, holds in checks:
        if not holds():
            raise ImplausibleResult(
                found=f"a structured report with {what}",
                wanted="what was measured",
                advice="Nothing is sent; report this.",
            )


def _is_of_series(document: Dataset, series: CtSeries) -> bool:
    header = series.headers[0]
    # A value that is not valid DICOM is left empty by the writer; another value is another patient.
    same_patient = all(
        text(document, keyword) in ("", text(header, keyword))
        for keyword in ("PatientID", "PatientBirthDate")
    )
    return (
        same_patient
        and str(document.StudyInstanceUID) == series.study_uid
        and document.VerificationFlag == "UNVERIFIED"
    )


def _replaces(document: Dataset, sop_uids: Sequence[str]) -> bool:
    """Predecessor Documents Sequence (PS3.3 C.17.2)."""
    named = [
        str(reference.ReferencedSOPInstanceUID)
        for study in document.get("PredecessorDocumentsSequence", [])
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    ]
    return sorted(named) == sorted(sop_uids)


def _has_numbers(document: Dataset, report: Report) -> bool:
    return Counter(measurements_from_sr(document)) == Counter(expected_numbers(report))


def _shows_numbers(document: Dataset) -> bool:
    values = [
        item.MeasuredValueSequence[0]
        for _, item in group_items(document)
        if item.ValueType == "NUM"
    ]
    return all(
        np.isclose(float(v.NumericValue), v.FloatingPointValue, rtol=SHOWN_TOLERANCE, atol=0)
        for v in values
    )


def expected_numbers(report: Report) -> Iterator[SrMeasurement]:
    """Each number of the report with the group, concept and unit it must have."""
    if report.kvp is not None:
        yield _number("result", codes.KVP.value, report.kvp, Unit.KV, "DCM")
    if report.level is not None:
        yield from _level_numbers(report.level, report.slab_height_mm)
    for item in report.body_composition:
        group = item.structure.value if item.structure else "body"
        yield _quantity(group, item.quantity, item.value, item.unit)
    for cut_off in report.cut_offs:
        group = _cut_off_group(cut_off)
        yield _quantity(group, cut_off.quantity, cut_off.value, cut_off.unit)
        yield _private(group, "CUT_OFF", cut_off.cut_off, cut_off.unit)
        yield _private(group, "DIFFERENCE", cut_off.value - cut_off.cut_off, cut_off.unit)
    for organ in report.organs:
        yield from _organ_numbers(organ)
    patient = report.patient
    if patient.age_years is not None:
        yield _number("patient", "121033", patient.age_years, Unit.YEAR, "DCM")
    if patient.height_m is not None:
        yield _number("patient", "8302-2", patient.height_m, Unit.M, "LN")
    if patient.weight_kg is not None:
        yield _number("patient", "29463-7", patient.weight_kg, Unit.KG, "LN")
    if patient.height_m is not None and patient.weight_kg is not None:
        bmi = patient.weight_kg / patient.height_m**2
        yield _number("patient", "60621009", bmi, Unit.KG_PER_M2, "SCT")


def _level_numbers(level: Level, slab_height_mm: float | None) -> Iterator[SrMeasurement]:
    yield _private("l3", "LEVEL_Z", level.z_mm, Unit.MM)
    yield _private("l3", "LEVEL_LOWER", level.extent_mm[0], Unit.MM)
    yield _private("l3", "LEVEL_UPPER", level.extent_mm[1], Unit.MM)
    yield _private("l3", "LEVEL_SLICE", level.slice_index, Unit.RATIO)
    if level.confidence is not None:
        yield _private("l3", "LEVEL_CONFIDENCE", level.confidence, Unit.RATIO)
    if slab_height_mm is not None:
        yield _private("l3", "SLAB_HEIGHT", slab_height_mm, Unit.MM)


def _organ_numbers(organ: OrganResult) -> Iterator[SrMeasurement]:
    group = organ.structure.value
    yield _quantity(group, Quantity.VOLUME, organ.volume_ml, Unit.ML)
    if organ.mean_hu is not None:
        yield _quantity(group, Quantity.MEAN_HU, organ.mean_hu, Unit.HU)
    if organ.sd_hu is not None:
        yield _quantity(group, Quantity.SD_HU, organ.sd_hu, Unit.HU)
    for end, corner in zip(("MIN", "MAX"), organ.box_lps_mm, strict=True):
        for axis, value in zip("XYZ", corner, strict=True):
            yield _private(group, f"BOX_{end}_{axis}", value, Unit.MM)


def _number(group: str, concept: str, value: float, unit: Unit, scheme: str) -> SrMeasurement:
    return SrMeasurement(group, concept, float(value), unit.value, scheme)


def _private(group: str, concept: str, value: float, unit: Unit) -> SrMeasurement:
    return _number(group, concept, value, unit, codes.PRIVATE_SCHEME)


def _quantity(group: str, quantity: Quantity, value: float, unit: Unit) -> SrMeasurement:
    code = codes.QUANTITY_CODES[quantity]
    return _number(group, code.value, value, unit, code.scheme_designator)


def _cut_off_group(cut_off: CutOff) -> str:
    return f"cut_off/{cut_off.table}/{cut_off.structure.value}/{cut_off.quantity.value}"


def _has_statements(document: Dataset, report: Report, series: CtSeries) -> bool:
    statements = statements_from_sr(document)
    expected = Counter(expected_statements(report))
    if series.kept_texts:
        # Beside texts of an unknown character set our own are written in ASCII.
        expected = Counter(
            said._replace(value=plain_ascii(said.value)) for said in expected.elements()
        )
    kinds = {(statement.concept, statement.scheme) for statement in expected} | {
        ("FLAG", codes.PRIVATE_SCHEME),
        ("LEVEL_SOURCE", codes.PRIVATE_SCHEME),
        ("LEVEL_REASON", codes.PRIVATE_SCHEME),
    }
    found = Counter(s for s in statements if (s.concept, s.scheme) in kinds)
    models = [s.value for s in statements if s.concept == "MODEL"]
    are_models_named = len(models) == len(report.models) and all(
        part in said
        for said, model in zip(models, report.models, strict=True)
        for part in (model.name, model.version, model.sha256, model.provider)
    )
    return found == expected and are_models_named


def expected_statements(report: Report) -> Iterator[SrStatement]:
    """Each text and code of the report with its group and concept, but the models."""
    private = codes.PRIVATE_SCHEME
    yield SrStatement("result", "RESEARCH_USE", codes.RESEARCH_USE, private)
    yield SrStatement("result", "123011", report.contrast, "DCM")
    for flag in report.flags:
        yield SrStatement("result", "FLAG", flag, private)
    yield from _level_statements(report)
    for definition in report.definitions:
        yield SrStatement("result", "DEF", definition, private)
    yield from _comments(report)
    for cut_off in report.cut_offs:
        group = _cut_off_group(cut_off)
        yield SrStatement(group, "CUT_OFF_TABLE", cut_off.table, private)
        yield SrStatement(group, "121405", cut_off.population, "DCM")
        yield SrStatement(group, "121406", cut_off.citation, "DCM")
        low = "LOW" if cut_off.value < cut_off.cut_off else "NOT_LOW"
        yield SrStatement(group, "CUT_OFF_RESULT", low, private)
    for organ in report.organs:
        answer = codes.YES if organ.is_incomplete else codes.NO
        yield SrStatement(organ.structure.value, "INCOMPLETE", answer.value, private)
    if report.patient.sex:
        yield SrStatement("patient", "121032", report.patient.sex, "DCM")
    for note in report.patient.notes:
        yield SrStatement("patient", "PATIENT_NOTE", note, private)
    for source in report.patient.sources:
        yield SrStatement("patient", "PATIENT_SOURCE", source, private)


def _level_statements(report: Report) -> Iterator[SrStatement]:
    private = codes.PRIVATE_SCHEME
    outcome = codes.LEVEL_OUTCOMES[report.level_outcome]
    yield SrStatement("l3", "LEVEL_OUTCOME", outcome.value, private)
    for why in report.level_reasons:
        yield SrStatement("l3", "LEVEL_REASON", why, private)
    if report.level is not None and report.level.source:
        yield SrStatement("l3", "LEVEL_SOURCE", report.level.source, private)


def _comments(report: Report) -> Iterator[SrStatement]:
    for structure in sorted({m.structure for m in report.body_composition if m.structure}):
        yield SrStatement(structure.value, "121106", codes.SLAB_COMMENT, "DCM")
        if structure == Structure.INTERMUSCULAR_FAT:
            yield SrStatement(structure.value, "121106", codes.EXPERIMENTAL_COMMENT, "DCM")


def _names_structures(document: Dataset, report: Report) -> bool:
    """Finding of every measured structure, its site, and the side of what has two."""
    at_l3 = {m.structure: (codes.L3_VERTEBRA, None) for m in report.body_composition if m.structure}
    sites = at_l3 | {organ.structure: _site(organ.structure) for organ in report.organs}
    found_kinds: dict[str, SrCode] = {}
    found_sites: dict[str, tuple[SrCode, str]] = {}
    for group, item in group_items(document):
        if concept_of(item).value == _FINDING:
            found_kinds[group] = code_of(item)
        elif concept_of(item).value == _FINDING_SITE:
            sides = [
                code_of(child).value
                for child in item.get("ContentSequence", [])
                if concept_of(child).value == _LATERALITY
            ]
            found_sites[group] = code_of(item), "".join(sides)
    return all(
        found_kinds.get(structure.value) == _sr_code(codes.STRUCTURE_CODES[structure].kind)
        and found_sites.get(structure.value) == (_sr_code(place), side.value if side else "")
        for structure, (place, side) in sites.items()
    )


def _site(structure: Structure) -> tuple[Code, Code | None]:
    """A finding lies in something; anatomy is its own place."""
    code = codes.STRUCTURE_CODES[structure]
    if code.region is not None:
        return code.region, code.region_modifier
    return code.kind, code.modifier


def _sr_code(code: Code) -> SrCode:
    return SrCode(code.value, code.scheme_designator)


def _refers_to_segments(document: Dataset, report: Report, references: Sequence[Dataset]) -> bool:
    """Each structure's group refers to the segment that carries its codes and shares its tracking UID; no other does."""
    measured = {m.structure for m in report.body_composition if m.structure}
    measured |= {organ.structure for organ in report.organs}
    tracking_uids = {
        group: str(item.UID)
        for group, item in group_items(document)
        if concept_of(item).value == _TRACKING_UID
    }
    expected = {
        (
            structure.value,
            str(segment.TrackingUID),
            str(reference.SOPInstanceUID),
            int(segment.SegmentNumber),
        )
        for reference in references
        for segment in reference.SegmentSequence
        for structure in measured
        if _is_segment_of(segment, structure)
    }
    found = {
        (r.tracking_id, tracking_uids.get(r.tracking_id), r.sop_instance_uid, r.segment_number)
        for r in references_from_sr(document)
        if r.segment_number is not None
    }
    return found == expected


def _is_segment_of(segment: Dataset, structure: Structure) -> bool:
    (kind,) = segment.SegmentedPropertyTypeCodeSequence
    regions = segment.get("AnatomicRegionSequence") or []
    modifiers = kind.get("SegmentedPropertyTypeModifierCodeSequence") or []
    sides = [m for region in regions for m in region.get("AnatomicRegionModifierSequence") or []]
    found = tuple(
        "".join(str(item.CodeValue) for item in items)
        for items in ((kind,), modifiers, regions, sides)
    )
    return found == codes.STRUCTURE_CODES[structure].key


def _refers_to_level(document: Dataset, level: Level | None, series: CtSeries) -> bool:
    """The only image or frame of the series cited is the one that lies at the level, by its own header."""
    cited = {
        (str(reference.ReferencedSOPInstanceUID), reference.get("ReferencedFrameNumber"))
        for item in items_below(document)
        for reference in item.get("ReferencedSOPSequence", [])
        if str(reference.ReferencedSOPInstanceUID) in series.sop_uids
    }
    if level is None:
        return not cited
    header = series.headers[level.slice_index]
    wanted = text(header, "SOPInstanceUID"), frame_number(series, level.slice_index)
    return cited == {wanted} and _lies_at(level.slice_index, level.z_mm, series)


def frame_number(series: CtSeries, slice_index: int) -> int | None:
    """Of the slice within its multi-frame image; None where it is an image of its own."""
    return series.frame_numbers[slice_index] if series.frame_numbers else None


def image_number(series: CtSeries, level: Level | None) -> str:
    """As viewers number the slice at the level: its frame or its Instance Number; empty where there is none."""
    if level is not None and (frame := frame_number(series, level.slice_index)) is not None:
        return str(frame)
    found = number(series.headers[level.slice_index], "InstanceNumber") if level else None
    return "" if found is None else f"{found:.0f}"


def _has_image_number(document: Dataset, report: Report, series: CtSeries) -> bool:
    said = [s.value for s in statements_from_sr(document) if s.concept == "LEVEL_IMAGE"]
    wanted = image_number(series, report.level)
    return said == ([wanted] if wanted else [])


def _lies_at(slice_index: int, z_mm: float, series: CtSeries) -> bool:
    """No farther from the level than the next slice, anywhere on a tilted one; the field of view may end just before it."""
    header = series.headers[slice_index]
    if slice_index in (0, len(series.headers) - 1):
        return True
    position = _position(header)
    column_axis, row_axis = np.reshape(numbers(header, "ImageOrientationPatient") or (), (2, 3))
    row_mm, column_mm = numbers(header, "PixelSpacing") or ()
    _, rows, columns = series.volume.shape
    rises_mm = column_axis[2] * column_mm * columns, row_axis[2] * row_mm * rows
    steps_mm = [
        float(np.linalg.norm(_position(series.headers[neighbour]) - position))
        for neighbour in (slice_index - 1, slice_index + 1)
    ]
    middle_mm = position[2] + sum(rises_mm) / 2
    tolerance_mm = max(steps_mm) + sum(abs(rise) for rise in rises_mm) / 2
    return bool(abs(middle_mm - z_mm) <= tolerance_mm)


def _position(header: Dataset) -> npt.NDArray[np.float64]:
    return np.array(numbers(header, "ImagePositionPatient"), float)


def _has_region(document: Dataset, level: Level | None) -> bool:
    """The outline on the L3 slice, as the corners of a box."""
    found = [
        [float(value) for value in item.GraphicData]
        for item in items_below(document)
        if item.get("ValueType") == "SCOORD"
    ]
    if level is None or level.region_px is None:
        return not found
    left, top, right, bottom = (float(edge) for edge in level.region_px)
    outline = [left, top, right, top, right, bottom, left, bottom, left, top]
    return found == [outline]
