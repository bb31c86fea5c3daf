"""What is shipped about the settings is what the code says today."""

from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

import pytest

from orthanc_plugin.node.settings import Settings
from orthanc_plugin.node.settings_docs import SCHEMA, TABLES, schema_text, tables_text
from orthanc_plugin.node.site_time import TimeWindow


def test_the_shipped_schema_is_the_codes_own() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema_text(), "make settings-docs"


def test_the_tables_of_the_documentation_are_the_codes_own() -> None:
    assert TABLES.read_text(encoding="utf-8") == tables_text(), "make settings-docs"


def keys(kind: Any) -> list[str]:
    """Every key of the file, tables within tables included."""
    if kind is TimeWindow:
        return []
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return [name for f in fields(kind) for name in (f.name, *keys(hints[f.name]))]
    return [name for part in get_args(kind) for name in keys(part)]


@pytest.mark.parametrize("key", sorted(set(keys(Settings))))
def test_every_setting_is_documented(key: str) -> None:
    rows = [line for line in tables_text().splitlines() if line.startswith(f"| `{key}` |")]
    heads = [line for line in tables_text().splitlines() if line.strip("#[] ").endswith(key)]

    assert rows or heads
    assert [row for row in rows if row.endswith("|  |")] == []
