"""What a pool was made from: kept beside it by hash, so that a checkpoint can say what its network saw."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from training.templates.naming import RELATIVES, SOURCE_FOLLOWS, hash_and_source

ORIGINS_NAME = "templates.json"
PAINTED = "-painted-"
"""Part of the name of every example painted from a template."""
PAINTED_KINDS = ("templates", "central")
"""Kinds of examples that are painted from templates."""


def record_templates(pool: Path, templates: Iterable[Path]) -> None:
    """Add the templates of an order to what the pool knows."""
    known = dict(recorded_templates(pool))
    for path in templates:
        known[path.stem] = hash_and_source(path)
    if known:
        pool.mkdir(parents=True, exist_ok=True)
        text = json.dumps(known, indent=2, sort_keys=True) + "\n"
        (pool / ORIGINS_NAME).write_text(text, encoding="utf-8")


def recorded_templates(pool: Path) -> Mapping[str, str]:
    """Name to hash and source of every template that the pool was painted from."""
    path = pool / ORIGINS_NAME
    if not path.is_file():
        return {}
    read: Mapping[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return read


def anatomies_in_words(pool: Path, examples: Iterable[Path]) -> str:
    """How many anatomies of which origin the examples show."""
    painted: set[str] = set()
    coded: set[str] = set()
    for path in examples:
        (painted if PAINTED in path.stem else coded).add(path.stem.split("-")[0])
    parts = []
    if painted:
        templates = recorded_templates(pool)
        named = "; ".join(_named(templates))
        parts.append(f"{len(painted)} patients painted from label maps [{named or 'not recorded'}]")
    if coded:
        parts.append(f"{len(coded)} torsos made by code")
    return " and ".join(parts) + ". Synthetic CT only; no patient's images."


def _named(templates: Mapping[str, str]) -> list[str]:
    """One part per template; its relatives together, since they share its source."""
    parts: list[str] = []
    relatives: Counter[str] = Counter()
    for name, what in templates.items():
        source = what.partition(SOURCE_FOLLOWS)[2]
        if source.startswith(RELATIVES):
            relatives[source] += 1
        else:
            parts.append(f"{name} ({what})")
    return parts + [f"{count} {source}" for source, count in relatives.items()]
