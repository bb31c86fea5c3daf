"""What metrics are made of, read from the journal at one moment: tallies, histograms, facts and looks into an index."""

import json
import math
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orthanc_plugin.inside.readiness import NotReady, not_ready
from orthanc_plugin.node.durable_counts import ENGINE_RESTARTS
from orthanc_plugin.node.routing_rules import Priority
from orthanc_plugin.node.self_report import ALIVE_FACT, DISK_FACT
from orthanc_plugin.node.settings_in_force import SETTINGS_FACT
from orthanc_plugin.node.worker import ENGINE_FACT

PATIENCE_S = 2.0
"""A scrape waits no longer for a journal that somebody else writes to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """One histogram: numbers by upper bound, none of them contained in another, and the sum of what was measured."""

    numbers: Mapping[float, int]
    sum_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """How the last exchange with a destination ended."""

    is_reached: bool
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """The journal at one moment."""

    now: float
    jobs: Mapping[str, int]
    skipped: Mapping[str, int]
    attempts: Mapping[tuple[str, str], int]
    """By outcome and reason."""
    deliveries: Mapping[tuple[str, str], int]
    """By state and destination."""
    engine_restarts: Mapping[str, int]
    oldest_queued_at: Mapping[Priority, float]
    histograms: Mapping[tuple[str, str], Buckets]
    """By what was measured and its label."""
    destinations: Mapping[str, Reached]
    engine: Mapping[str, Any]
    settings: Mapping[str, Any]
    fault: NotReady | None
    """Why a study that came now would have to wait."""
    silent_s: float
    """Since the node's last sign of life."""


def read(path: Path, now: float) -> Readings:
    """All of it at one moment; raises sqlite3.Error where there is no journal to read."""
    with _opened(path) as journal:
        engine = _fact(journal, ENGINE_FACT) or {}
        alive_at = _fact(journal, ALIVE_FACT)
        silent_s = math.inf if alive_at is None else max(0.0, now - float(alive_at))
        return Readings(
            now=now,
            jobs=_tally(journal, "jobs"),
            skipped=_tally(journal, "skipped"),
            attempts=_pairs(journal, "attempts"),
            deliveries=_pairs(journal, "deliveries_to"),
            engine_restarts=_tally(journal, ENGINE_RESTARTS),
            oldest_queued_at=dict(_oldest(journal)),
            histograms=_histograms(journal),
            destinations={
                row["destination"]: Reached(is_reached=bool(row["is_reached"]), at=row["at"])
                for row in journal.execute("SELECT * FROM destination_outcomes")
            },
            engine=engine,
            settings=_fact(journal, SETTINGS_FACT) or {},
            fault=not_ready(silent_s, engine, _fact(journal, DISK_FACT)),
            silent_s=silent_s,
        )


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """One view of everything: what is written meanwhile is for the next scrape."""
    journal = sqlite3.connect(
        f"{path.as_uri()}?mode=ro", uri=True, timeout=PATIENCE_S, isolation_level=None
    )
    journal.row_factory = sqlite3.Row
    try:
        journal.execute("BEGIN")
        yield journal
    finally:
        journal.close()


def _tally(journal: sqlite3.Connection, counted: str) -> dict[str, int]:
    rows = journal.execute(
        "SELECT name, n FROM tallies WHERE counted = ? AND n > 0 ORDER BY name", (counted,)
    )
    return {row["name"]: row["n"] for row in rows}


def _pairs(journal: sqlite3.Connection, counted: str) -> dict[tuple[str, str], int]:
    """Of a tally whose names are two, the first one of ours and without a stroke."""
    tally = _tally(journal, counted)
    return {(name.partition("/")[0], name.partition("/")[2]): n for name, n in tally.items()}


def _oldest(journal: sqlite3.Connection) -> Iterator[tuple[Priority, float]]:
    for priority in Priority:
        row = journal.execute(
            "SELECT min(created_at) AS at FROM jobs WHERE state = 'queued' AND priority = ?",
            (priority.rank,),
        ).fetchone()
        if row["at"] is not None:
            yield priority, float(row["at"])


def _histograms(journal: sqlite3.Connection) -> dict[tuple[str, str], Buckets]:
    numbers: dict[tuple[str, str], dict[float, int]] = {}
    sums: dict[tuple[str, str], float] = {}
    for row in journal.execute("SELECT * FROM histograms"):
        name = (row["measured"], row["label"])
        numbers.setdefault(name, {})[row["up_to"]] = row["n"]
        sums[name] = sums.get(name, 0.0) + row["seconds"]
    return {name: Buckets(numbers=numbers[name], sum_s=sums[name]) for name in numbers}


def _fact(journal: sqlite3.Connection, name: str) -> Any:
    row = journal.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return None if row is None else json.loads(row["value"])
