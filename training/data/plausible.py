"""Limits of what a labelled CT may look like (plausible.toml)."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_suffix(".toml")


@cache
def limits(group: str) -> dict[str, Any]:
    """Of one group of the table."""
    found: dict[str, Any] = tomllib.loads(TABLE.read_text(encoding="utf-8"))[group]
    return found
