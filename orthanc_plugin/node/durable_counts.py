"""Counters and histograms that the journal keeps beside what they are of, so that a restart loses none of them."""

import json
import math
import sqlite3
from collections.abc import Mapping
from pathlib import Path

STAGE_SECONDS = "stage"
TURNAROUND_SECONDS = "turnaround"

BOUNDS_S: Mapping[str, tuple[float, ...]] = {
    STAGE_SECONDS: (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0),
    TURNAROUND_SECONDS: (
        30.0,
        60.0,
        120.0,
        180.0,
        300.0,
        600.0,
        1800.0,
        3600.0,
        14_400.0,
        86_400.0,
    ),
}
"""Upper bounds of the buckets; what lies above the last is counted as up to infinity. Others would split what was counted."""

WAIT, FETCH, ANALYSE, DELIVER = "wait", "fetch", "analyse", "deliver"
ENGINE_STAGES: Mapping[str, str] = {
    "choose": "choose",
    "read": "read",
    "locate L3": "locate-l3",
    "tissue": "tissue",
    "organs": "organs",
    "refine organs": "refine-organs",
    "measure": "measure",
    "write": "write",
}
"""Parts of `analyse` as the engine's report names them → as metrics do; others are not told."""
STAGES = (WAIT, FETCH, ANALYSE, *ENGINE_STAGES.values(), DELIVER)

ENGINE_RESTARTS = "engine_restarts"


def add_one(connection: sqlite3.Connection, counted: str, name: str) -> None:
    """Count something once."""
    connection.execute(
        "INSERT INTO tallies VALUES (?, ?, 1) ON CONFLICT (counted, name) DO UPDATE SET n = n + 1",
        (counted, name),
    )


def note_seconds(
    connection: sqlite3.Connection, measured: str, seconds: float, label: str = ""
) -> None:
    """Put a duration into its bucket; one below zero, by a clock that was set back, is none."""
    if not 0.0 <= seconds < math.inf:
        return
    up_to = next((bound for bound in BOUNDS_S[measured] if seconds <= bound), math.inf)
    connection.execute(
        "INSERT INTO histograms VALUES (?, ?, ?, 1, ?) ON CONFLICT (measured, label, up_to)"
        " DO UPDATE SET n = n + 1, seconds = seconds + excluded.seconds",
        (measured, label, up_to, seconds),
    )


def stage_seconds_of(report: Path) -> dict[str, float]:
    """What a report says of the engine's stages; nothing where it says nothing."""
    try:
        told = json.loads(report.read_text(encoding="utf-8")).get("seconds", {})
    except (OSError, ValueError, AttributeError):
        return {}
    if not isinstance(told, dict):
        return {}
    return {
        stage: float(told[name])
        for name, stage in ENGINE_STAGES.items()
        if isinstance(told.get(name), int | float)
    }
