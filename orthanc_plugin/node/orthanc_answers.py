"""Values out of Orthanc's JSON, checked: an answer of another shape refuses one request and ends no loop of the node."""

from datetime import UTC, datetime
from typing import Any

from orthanc_plugin.node.pacs import RequestRefused

Record = dict[str, Any]


def record(value: object) -> Record:
    """A JSON object; raises RequestRefused."""
    if not isinstance(value, dict):
        raise _another_shape()
    return value


def records(value: object) -> list[Record]:
    """A list of JSON objects; raises RequestRefused."""
    if not isinstance(value, list):
        raise _another_shape()
    return [record(item) for item in value]


def text_in(holder: Record, key: str, default: str | None = None) -> str:
    """A text that can be stored; raises RequestRefused where it is of another kind, or absent without a default."""
    value = holder.get(key, default)
    # JSON can spell half a surrogate pair, which neither SQLite nor a hash takes.
    if not isinstance(value, str) or any("\ud800" <= sign <= "\udfff" for sign in value):
        raise _another_shape()
    return value


def texts_in(holder: Record, key: str) -> list[str]:
    """A list of texts; raises RequestRefused."""
    values = holder.get(key)
    if not isinstance(values, list):
        raise _another_shape()
    return [text_in({key: value}, key) for value in values]


def number_in(holder: Record, key: str) -> int:
    """An integer; raises RequestRefused."""
    value = holder.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 1 << 63:
        raise _another_shape()
    return value


def moment_in(holder: Record, key: str) -> float:
    """A point in time as Orthanc writes it, in UTC; raises RequestRefused."""
    try:
        return (
            datetime.strptime(text_in(holder, key), "%Y%m%dT%H%M%S").replace(tzinfo=UTC).timestamp()
        )
    except ValueError:
        raise _another_shape() from None


def _another_shape() -> RequestRefused:
    return RequestRefused(
        found="an answer of another shape from Orthanc",
        wanted="the JSON of its REST API",
        advice="Is the address in habitus.toml really Orthanc's?",
    )
