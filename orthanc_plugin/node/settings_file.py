"""Reads habitus.toml: text → checked Settings, or an error that names line, key, what was found and what was wanted."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import date, datetime, time
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from inference.domain.analysis_profile import profile_names
from inference.domain.errors import ConfigurationInvalid
from orthanc_plugin.node.destinations import Destination, DestinationKind, Verification
from orthanc_plugin.node.settings import Settings
from orthanc_plugin.node.settings_checks import Mistake, contradictions, nearest
from orthanc_plugin.node.toml_places import Place, line_of, shown

_CONFIRM_IN_NEW_WORDS = {"query": Verification.AUTO, "store-status": Verification.NONE}

_UNKNOWN_KEY = ("unexpected_keyword_argument", "extra_forbidden")

_WANTED = {
    "float_type": "a number",
    "finite_number": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:g}",
    "bool_type": "true or false",
    "enum": "{expected}",
    "tuple_type": "a list",
    "too_short": "something, not nothing",
    "string_too_short": "something, not nothing",
    "string_type": "a text",
    "path_type": "a text",
    "string_pattern_mismatch": "letters, digits, dots, hyphens and underscores, 64 at most",
    "dataclass_type": "a table [{table}]",
    "value_error": "{error}",
}
"""Pydantic's own sentences speak of Python."""


def load_settings(path: Path) -> Settings:
    """Read and check a settings file; relative folders are taken from its own folder. Raises ConfigurationInvalid."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise _invalid(f"no readable settings file {path.name}", "a text file in UTF-8") from exc
    return settings_of(text, path)


def settings_of(text: str, path: Path) -> Settings:
    """The settings that the text of a file holds; raises ConfigurationInvalid."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        # TOMLDecodeError says line and column and quotes one character at most.
        raise _invalid(f"{path.name} that is not TOML ({exc})", "valid TOML") from exc
    except (ValueError, RecursionError) as exc:
        # Of a number with thousands of digits, or of lists within lists.
        raise _invalid(f"{path.name} that nobody wrote by hand", "settings") from exc
    if mistakes := list(_unquoted(table)):
        raise _first(text, path, mistakes)
    try:
        settings = _adapter().validate_json(json.dumps(_in_new_words(table)))
    except ValidationError as exc:
        raise _first(text, path, [_mistake(row) for row in exc.errors()]) from exc
    profiles = profile_names(path.parent / settings.engine.models_folder)
    if mistakes := list(contradictions(settings, profiles)):
        raise _first(text, path, mistakes)
    return _resolved(settings, path.parent)


@cache
def _adapter() -> TypeAdapter[Settings]:
    return TypeAdapter(Settings)


def settings_schema() -> dict[str, Any]:
    """What an editor needs to complete and check habitus.toml: JSON Schema 2020-12."""
    return _adapter().json_schema()


def _in_new_words(table: dict[str, Any]) -> dict[str, Any]:
    """Spellings of earlier versions: a destination used to be named by its modality alone."""
    listed = table.get("destinations")
    if not isinstance(listed, list):
        return table
    return {**table, "destinations": [_renamed(item) for item in listed]}


def _renamed(destination: Any) -> Any:
    if not isinstance(destination, dict):
        return destination
    renamed = {key: value for key, value in destination.items() if key != "modality"}
    if "modality" in destination:
        modality = destination["modality"]
        renamed = {"name": modality, "target": modality, **renamed}
    if destination.get("confirm") in _CONFIRM_IN_NEW_WORDS:
        renamed["verify"] = _CONFIRM_IN_NEW_WORDS[renamed.pop("confirm")]
    return renamed


def _unquoted(value: Any, place: Place = ()) -> Iterator[Mistake]:
    """Dates and times of TOML's own, which are no text: no tag would ever equal one."""
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _unquoted(each, (*place, key))
    elif isinstance(value, datetime | date | time):
        yield Mistake(place=place, found=f"{shown(place)} = {value}", instead="a text in quotes")


def _resolved(settings: Settings, folder: Path) -> Settings:
    """Folders and files of the settings are meant as seen from the settings file."""
    return replace(
        settings,
        data_folder=(folder / settings.data_folder).resolve(),
        engine=replace(
            settings.engine,
            models_folder=(folder / settings.engine.models_folder).resolve(),
            tensorrt_libraries=_seen_from(folder, settings.engine.tensorrt_libraries),
        ),
        orthanc=replace(
            settings.orthanc,
            url=settings.orthanc.url.rstrip("/"),
            password_file=_seen_from(folder, settings.orthanc.password_file),
            certificate_file=_seen_from(folder, settings.orthanc.certificate_file),
        ),
        destinations=tuple(_resolved_destination(each, folder) for each in settings.destinations),
    )


def _resolved_destination(destination: Destination, folder: Path) -> Destination:
    target = destination.target
    if destination.kind is DestinationKind.FOLDER:
        target = str((folder / destination.address).resolve())
    return replace(
        destination,
        target=target,
        password_file=_seen_from(folder, destination.password_file),
    )


def _seen_from(folder: Path, path: Path | None) -> Path | None:
    return (folder / path).resolve() if path else None


def _mistake(row: Mapping[str, Any]) -> Mistake:
    """One of pydantic's findings in our words."""
    place: Place = row["loc"]
    name = shown(place)
    if row["type"] in _UNKNOWN_KEY:
        instead = nearest(str(place[-1]), _keys_at(place[:-1]))
        return Mistake(place=place, found=f"unknown setting {name:.80}", instead=instead)
    if row["type"] == "missing":
        return Mistake(place=place, found=f"no setting {name}", instead="it to be there")
    return Mistake(
        place=place, found=f"{name} = {row['input']!r:.60}", instead=_wanted(row["type"], row)
    )


def _wanted(kind: str, row: Mapping[str, Any]) -> str:
    place = shown(row["loc"])
    if kind == "tuple_type" and place in ("rules", "destinations"):
        return f"tables under [[{place}]], with two brackets"
    if kind == "dataclass_type" and ".tags." in place:
        return f"a text in quotes, several, or a table [{place}] such as {{ at_most = 5 }}"
    told = {**row.get("ctx", {}), "table": place}
    return _WANTED[kind].format_map(told) if kind in _WANTED else str(row["msg"])


def _keys_at(place: Place) -> list[str]:
    """The keys that the table at a place of the file may have."""
    kind: Any = Settings
    for part in place:
        if is_dataclass(kind) and part in (hints := get_type_hints(kind)):
            kind = _plain(hints[str(part)])
    return sorted(f.name for f in fields(kind)) if is_dataclass(kind) else []


def _plain(kind: Any) -> Any:
    """The dataclass within tuple[X, ...], X | None and the like."""
    if is_dataclass(kind):
        return kind
    return next((found for each in get_args(kind) if is_dataclass(found := _plain(each))), None)


def _first(text: str, path: Path, mistakes: list[Mistake]) -> ConfigurationInvalid:
    """The mistake that stands first in the file; the number of the others."""
    by_line = sorted(((line_of(text, m.place), m) for m in mistakes), key=lambda pair: pair[0])
    line, mistake = by_line[0]
    further = f" Further mistakes: {len(by_line) - 1}." if len(by_line) > 1 else ""
    return _invalid(f"in {path.name}, line {line}: {mistake.found}", mistake.instead, further)


def _invalid(found: str, wanted: str, further: str = "") -> ConfigurationInvalid:
    return ConfigurationInvalid(found=found, wanted=wanted, advice=f"Mend the file.{further}")
