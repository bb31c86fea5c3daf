"""Public cases that this repository names: whether they may be shown and what a good result is (known_cases.toml)."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from inference.domain.labelmap import Structure

TABLE = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCase:
    """One public case."""

    says: str
    attribution: str = ""
    may_show: bool = False
    """Whether its licence allows a small picture of it in this repository."""
    rejection: str = ""
    """The code that the node must refuse it with; empty: it must be taken."""
    level: str = ""
    """"present", "absent", or empty where neither answer is wrong."""
    cut: tuple[Structure, ...] = ()
    volume_ml: Mapping[Structure, tuple[float, float]] = field(default_factory=dict)
    least_dice: Mapping[Structure, float] = field(default_factory=dict)


@cache
def known_cases() -> Mapping[str, KnownCase]:
    """By name."""
    raw = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return {name: _known(entry) for name, entry in raw.items()}


def _known(entry: dict[str, object]) -> KnownCase:
    """An unknown key or structure is an error."""
    fields = dict(entry)
    volumes, dices = fields.pop("volume_ml", {}), fields.pop("least_dice", {})
    cut = fields.pop("cut", [])
    assert isinstance(volumes, dict)
    assert isinstance(dices, dict)
    assert isinstance(cut, list)
    return KnownCase(
        **fields,  # type: ignore[arg-type]
        cut=tuple(Structure(name) for name in cut),
        volume_ml={Structure(name): (float(a), float(b)) for name, (a, b) in volumes.items()},
        least_dice={Structure(name): float(least) for name, least in dices.items()},
    )
