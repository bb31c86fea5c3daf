"""Structures that networks of others label and the node reports without a rule of its own: TotalSegmentator's, as a table."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

TABLE = Path(__file__).with_suffix(".csv")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedStructure:
    """One row of the table."""

    name: str
    """As TotalSegmentator's class names have it."""
    label: str
    code: str
    """SNOMED CT; where there is a place, of what lies there."""
    meaning: str
    side: str
    """"left" or "right", of the structure or of its place; empty where there are no two, or the code itself has the side."""
    place: str
    """Code and meaning of the structure that a finding lies in; empty for anatomy."""
    rgb: tuple[int, int, int]


@cache
def listed_structures() -> Mapping[str, ListedStructure]:
    """By name, in the table's order."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = [_listed(row) for row in csv.DictReader(file)]
    return MappingProxyType({row.name: row for row in rows})


def _listed(row: dict[str, str]) -> ListedStructure:
    red, green, blue = (int(part) for part in row.pop("rgb").split())
    return ListedStructure(**row, rgb=(red, green, blue))
