"""Read the numbers, codes, texts and references of a structured report back, by the group they are in."""

from collections.abc import Iterator
from typing import NamedTuple

from pydicom.dataset import Dataset

_MEASUREMENT_GROUP = "125007"
_TRACKING_IDENTIFIER = "112039"


class SrCode(NamedTuple):
    """A coded concept without its meaning, which is for people."""

    value: str
    scheme: str


class SrMeasurement(NamedTuple):
    """One number of the report."""

    tracking_id: str
    concept: str
    """Code value."""
    value: float
    unit: str
    """UCUM code."""
    scheme: str
    """Coding scheme of the concept."""


class SrStatement(NamedTuple):
    """One text or code of the report."""

    tracking_id: str
    concept: str
    value: str
    """The text, or the value of the code."""
    scheme: str
    """Coding scheme of the concept."""


class SrReference(NamedTuple):
    """One image or segment that a group refers to."""

    tracking_id: str
    sop_instance_uid: str
    segment_number: int | None


def measurements_from_sr(document: Dataset) -> list[SrMeasurement]:
    """Every number in every measurement group, in the order of the document."""
    found: list[SrMeasurement] = []
    for tracking_id, item in group_items(document):
        if item.ValueType == "NUM":
            measured = item.MeasuredValueSequence[0]
            exact = float(measured.get("FloatingPointValue", measured.NumericValue))
            unit = str(measured.MeasurementUnitsCodeSequence[0].CodeValue)
            name = concept_of(item)
            found.append(SrMeasurement(tracking_id, name.value, exact, unit, name.scheme))
    return found


def statements_from_sr(document: Dataset) -> list[SrStatement]:
    """Every text and code in every measurement group, in the order of the document."""
    found: list[SrStatement] = []
    for tracking_id, item in group_items(document):
        name = concept_of(item)
        if item.ValueType == "TEXT":
            value = str(item.TextValue)
            found.append(SrStatement(tracking_id, name.value, value, name.scheme))
        elif item.ValueType == "CODE":
            value = str(item.ConceptCodeSequence[0].CodeValue)
            found.append(SrStatement(tracking_id, name.value, value, name.scheme))
    return found


def references_from_sr(document: Dataset) -> list[SrReference]:
    """Every image and segment the groups refer to, at any depth, in the order of the document."""
    return [
        SrReference(
            tracking_id,
            str(reference.ReferencedSOPInstanceUID),
            int(reference.ReferencedSegmentNumber)
            if "ReferencedSegmentNumber" in reference
            else None,
        )
        for tracking_id, child in group_items(document)
        for item in items_below(child)
        for reference in item.get("ReferencedSOPSequence", [])
    ]


def group_items(document: Dataset) -> Iterator[tuple[str, Dataset]]:
    """Each direct item of each measurement group, with the group's tracking identifier."""
    for group in _groups(document):
        children = group.ContentSequence
        tracking_id = next(
            str(item.TextValue)
            for item in children
            if concept_of(item).value == _TRACKING_IDENTIFIER
        )
        for item in children:
            yield tracking_id, item


def items_below(item: Dataset) -> Iterator[Dataset]:
    """A content item and all below it."""
    yield item
    for child in item.get("ContentSequence", []):
        yield from items_below(child)


def concept_of(item: Dataset) -> SrCode:
    """The item's name; items by reference have none."""
    return _first_code(item, "ConceptNameCodeSequence")


def code_of(item: Dataset) -> SrCode:
    """The value of a CODE item."""
    return _first_code(item, "ConceptCodeSequence")


def _first_code(item: Dataset, keyword: str) -> SrCode:
    found = item.get(keyword)
    if not found:
        return SrCode("", "")
    return SrCode(str(found[0].CodeValue), str(found[0].CodingSchemeDesignator))


def _groups(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence", []):
        if child.ValueType == "CONTAINER" and concept_of(child).value == _MEASUREMENT_GROUP:
            yield child
        else:
            yield from _groups(child)
