"""Kinds of values that habitus.toml may hold, each with what is wanted of it."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema

MOST = 1e9
"""Of seconds, days and megabytes: the clocks of the operating system overflow at nine times as many seconds."""
_AE_TITLE = re.compile(r"(?! )[ -\[\]-~]{1,16}(?<! )")

FROM_FILE = ConfigDict(
    extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
)
"""Of every table of the file: unknown keys are mistakes, and 1 is neither true nor "1"."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
"""Of a thing of ours; stands in logs, addresses and on the page."""
Text = Annotated[str, Field(min_length=1, max_length=200)]
Seconds = Annotated[float, Field(ge=0.05, le=MOST)]
SecondsOrNone = Annotated[float, Field(ge=0.0, le=MOST)]
Share = Annotated[float, Field(ge=1e-6, le=1.0)]
Few = Annotated[int, Field(ge=1, le=100)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
CountOrNone = Annotated[int, Field(ge=0, le=2**53)]


def _as_list(value: Any) -> Any:
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


Names = Annotated[tuple[Name, ...], BeforeValidator(_as_list), Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1)]
TextOrTexts = Annotated[
    tuple[Text, ...],
    BeforeValidator(_as_list),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""One text, or several of which any will do."""


def _is_ae_title(titles: tuple[str, ...]) -> tuple[str, ...]:
    """PS3.5 6.2; a rule that asks for anything else would never fit, and never say so."""
    if not all(_AE_TITLE.fullmatch(title) for title in titles):
        raise ValueError("AE titles: 1 to 16 ASCII characters, no backslash, no space at the ends")
    return titles


AeTitles = Annotated[TextOrTexts, AfterValidator(_is_ae_title)]


def usable_path(text: Any) -> Any:
    """Refuse what the system would not take, or take for something else; raises ValueError."""
    if isinstance(text, str) and (not text or "\0" in text):
        raise ValueError("a path")
    if isinstance(text, str) and text.startswith("~"):
        raise ValueError("a path without ~, which means another folder for each user")
    return text


FilePath = Annotated[Path, BeforeValidator(usable_path, json_schema_input_type=str)]


def _web_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ValueError("an address such as http://127.0.0.1:8042")
    if "@" in text or "?" in text or "#" in text:
        raise ValueError("an address alone; a login is told by user and password_file")
    return text


def _ip_address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError as exc:
        raise ValueError("an IP address such as 127.0.0.1") from exc


IpAddress = Annotated[str, AfterValidator(_ip_address)]
PortOrNone = Annotated[int, Field(ge=0, le=65_535)]

WebAddress = Annotated[str, AfterValidator(_web_address)]
