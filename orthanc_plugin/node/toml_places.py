"""Where in a TOML text a key stands: tomllib tells values, not lines."""

import tomllib
from collections.abc import Sequence
from typing import Any

Place = Sequence[str | int]
"""Keys and list positions from the top of the file."""


def line_of(text: str, place: Place) -> int:
    """The line (from 1) where the key, or else the nearest table above it, begins; 1 for the whole file.

    The text grows line by line until it holds the key; a value of several lines begins behind the last
    beginning that was valid TOML.
    """
    lines = text.splitlines(keepends=True)
    wanted = _longest_known(tomllib.loads(text), place)
    if not wanted:
        return 1
    last_valid = 0
    for count in range(1, len(lines) + 1):
        try:
            table = tomllib.loads("".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            continue
        if len(_longest_known(table, wanted)) == len(wanted):
            return last_valid + 1
        last_valid = count
    return 1


def shown(place: Place) -> str:
    """The place as people write it: destinations[0].name."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _longest_known(table: Any, place: Place) -> Place:
    """The beginning of the place that the table holds."""
    for depth, part in enumerate(place):
        if isinstance(part, int):
            is_known = isinstance(table, list) and part < len(table)
        else:
            is_known = isinstance(table, dict) and part in table
        if not is_known:
            return place[:depth]
        table = table[part]
    return place
