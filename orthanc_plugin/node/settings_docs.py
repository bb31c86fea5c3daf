"""What is written about the settings, from the settings themselves: a JSON schema for editors, tables for people.

`python -m orthanc_plugin.node.settings_docs` (make settings-docs) writes both anew.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orthanc_plugin.node.settings_file import settings_schema

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "orthanc_plugin" / "habitus.schema.json"
TABLES = ROOT / "docs" / "settings.md"

_HEAD = """\
# Settings: habitus.toml

Written by `make settings-docs` from the code that reads the file; a test compares the two. Folders and files are meant as
seen from habitus.toml. A mistake is refused with its line, what was found and what was wanted.

An editor that knows JSON schemas (Even Better TOML, taplo) completes and checks the file when its first line is
`#:schema /opt/habitus/current/orthanc_plugin/habitus.schema.json` (the path of your installation).
"""


def schema_text() -> str:
    """The JSON schema as it is shipped."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_without_titles(settings_schema()),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def tables_text() -> str:
    """Every table of the file with its keys, their defaults and what they mean."""
    schema = settings_schema()
    return "\n".join([_HEAD, *_tables("", schema, schema["$defs"])])


def _without_titles(schema: Any) -> Any:
    """Pydantic adds a title to each key that only repeats its name."""
    if isinstance(schema, dict):
        return {
            key: _without_titles(value)
            for key, value in schema.items()
            if key != "title" or not isinstance(value, str)
        }
    return [_without_titles(value) for value in schema] if isinstance(schema, list) else schema


def _tables(name: str, schema: dict[str, Any], kinds: dict[str, Any]) -> Iterator[str]:
    below: list[tuple[str, dict[str, Any]]] = []
    yield f"## {name or 'At the top'}\n"
    yield "| key | default | what it means |\n|---|---|---|"
    for key, row in schema["properties"].items():
        if (table := _table_of(row, kinds)) is not None:
            full = f"{name.strip('[]')}.{key}".strip(".")
            below.append((f"[[{full}]]" if row.get("type") == "array" else f"[{full}]", table))
        else:
            must = key in schema.get("required", ())
            default = "**needed**" if must else f"`{_default(row)}`"
            yield f"| `{key}` | {default} | {_meaning(row, kinds)} |"
            for each in row.get("additionalProperties", {}).get("anyOf", ()):
                if "properties" in (table := _kind(each, kinds)):
                    below.append((f"[{name.strip('[]')}.{key}.KEYWORD]", table))
    yield ""
    for below_name, table in below:
        yield from _tables(below_name, table, kinds)


def _table_of(row: dict[str, Any], kinds: dict[str, Any]) -> dict[str, Any] | None:
    """The table that a key holds, or each of its list; None for a plain value."""
    kind = _kind(row.get("items", row), kinds)
    return kind if "properties" in kind else None


def _kind(row: dict[str, Any], kinds: dict[str, Any]) -> dict[str, Any]:
    name = row.get("$ref", "").rpartition("/")[2]
    return kinds[name] if name else row


def _default(row: dict[str, Any]) -> str:
    return "" if row.get("default") is None else json.dumps(row["default"], ensure_ascii=False)


def _meaning(row: dict[str, Any], kinds: dict[str, Any]) -> str:
    kind = _kind(row, kinds)
    text = " ".join(str(row.get("description") or kind.get("description", "")).split())
    choices = kind.get("enum", ())
    listed = ", ".join(f"`{choice}`" for choice in choices)
    return f"{text} One of {listed}." if listed else text


def main() -> None:
    """Write the schema and the tables."""
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    TABLES.write_text(tables_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
