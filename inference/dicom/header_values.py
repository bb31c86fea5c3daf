"""Guarded reading of header values: a damaged element is absent, never an exception of a library."""

import math
from collections.abc import Sequence
from typing import Any
from unicodedata import category

from pydicom.dataset import Dataset

MAX_PLAIN_TEXT = 64
_PLAIN_SIGNS = frozenset(".,:;+-/%()")


def raw_value(header: Dataset, keyword: str) -> Any:
    """The element's value, or None where it is absent, empty or cannot be parsed."""
    try:
        vr = getattr(header.get_item(keyword), "VR", None)
        if vr == "SQ" and not keyword.endswith("Sequence"):
            # Items where a value belongs are damage, and very many or deep ones take minutes to parse and print.
            return None
        value = header.get(keyword)
    except Exception:  # noqa: BLE001 - the library has an error of its own for every kind of damage
        # An element is parsed when it is first touched, so a damaged value surfaces here.
        return None
    return None if value is None or value == "" else value


def text(header: Dataset, keyword: str) -> str:
    """A text value, trimmed; several values are joined by a backslash as on the wire."""
    value = raw_value(header, keyword)
    if value is None:
        return ""
    if not isinstance(value, str) and isinstance(value, Sequence):
        return "\\".join(str(item) for item in value).strip()
    return str(value).strip()


def plain_text(header: Dataset, keyword: str) -> str:
    """Letters, digits and a few signs of a free text, for reports; a sender may have put anything into it."""
    value = "".join(
        sign if sign.isalnum() or sign in _PLAIN_SIGNS else " " for sign in text(header, keyword)
    )
    return " ".join(value.split())[:MAX_PLAIN_TEXT].strip()


def has_signs_of_no_text(value: str) -> bool:
    """Whether it holds a backslash, which divides values, or a control character (PS3.5 6.1.3)."""
    return any(sign == "\\" or category(sign) == "Cc" for sign in value)


def number(header: Dataset, keyword: str) -> float | None:
    """One finite number."""
    values = numbers(header, keyword)
    return values[0] if values is not None and len(values) == 1 else None


def numbers(header: Dataset, keyword: str) -> tuple[float, ...] | None:
    """All values as finite numbers, or None where one of them is not."""
    value = raw_value(header, keyword)
    if value is None:
        return None
    items = value if not isinstance(value, str) and isinstance(value, Sequence) else [value]
    if any(not (shown := str(item)).isascii() or "_" in shown for item in items):
        # Python reads ١٢ and 1_2 as twelve; PS3.5 6.2 knows ASCII digits without anything between them.
        return None
    try:
        found = tuple(float(item) for item in items)
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found and all(math.isfinite(item) for item in found) else None


def whole_number(header: Dataset, keyword: str) -> int | None:
    """One integer."""
    value = number(header, keyword)
    return int(value) if value is not None and value == int(value) else None
