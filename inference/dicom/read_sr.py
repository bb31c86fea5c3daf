"""Read the numbers, codes and texts of a structured report back, by the group they are in."""

from collections.abc import Iterator
from typing import NamedTuple

from pydicom.dataset import Dataset

_MEASUREMENT_GROUP = "125007"
_TRACKING_IDENTIFIER = "112039"


class SrMeasurement(NamedTuple):
    """One number of the report."""

    tracking_id: str
    concept: str
    """Code value."""
    value: float
    unit: str
    """UCUM code."""


class SrStatement(NamedTuple):
    """One text or code of the report."""

    tracking_id: str
    concept: str
    value: str
    """The text, or the value of the code."""


def measurements_from_sr(document: Dataset) -> list[SrMeasurement]:
    """Every number in every measurement group, in the order of the document."""
    found: list[SrMeasurement] = []
    for tracking_id, item in _group_items(document):
        if item.ValueType == "NUM":
            measured = item.MeasuredValueSequence[0]
            exact = measured.get("FloatingPointValue", measured.NumericValue)
            unit = str(measured.MeasurementUnitsCodeSequence[0].CodeValue)
            found.append(SrMeasurement(tracking_id, _concept(item), float(exact), unit))
    return found


def statements_from_sr(document: Dataset) -> list[SrStatement]:
    """Every text and code in every measurement group, in the order of the document."""
    found: list[SrStatement] = []
    for tracking_id, item in _group_items(document):
        if item.ValueType == "TEXT":
            found.append(SrStatement(tracking_id, _concept(item), str(item.TextValue)))
        elif item.ValueType == "CODE":
            value = str(item.ConceptCodeSequence[0].CodeValue)
            found.append(SrStatement(tracking_id, _concept(item), value))
    return found


def _group_items(document: Dataset) -> Iterator[tuple[str, Dataset]]:
    for group in _groups(document):
        children = group.ContentSequence
        tracking_id = next(
            str(item.TextValue) for item in children if _concept(item) == _TRACKING_IDENTIFIER
        )
        for item in children:
            yield tracking_id, item


def _groups(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence", []):
        if child.ValueType == "CONTAINER" and _concept(child) == _MEASUREMENT_GROUP:
            yield child
        else:
            yield from _groups(child)


def _concept(item: Dataset) -> str:
    """Code value of the item's name; items by reference have none."""
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].CodeValue) if names else ""
