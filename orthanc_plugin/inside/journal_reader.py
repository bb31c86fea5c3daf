"""A read-only look into the node's journal, for the REST routes; no UID of a patient's object leaves it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NEWEST_NOTES = 200
MOST_JOBS = 200
"""On one page of the list."""
PICTURE_PREFIX = "picture-"

_JOB_COLUMNS = (
    "key, state, reason, detail, stage, fraction, attempts, priority, run, instance_count,"
    " study_orthanc_id, series_orthanc_id, code_version, created_at, updated_at, superseded_by,"
    " run_at, window, coalesce(json_extract(nullif(route, ''), '$.rule'), '') AS rule,"
    " coalesce(json_extract(nullif(route, ''), '$.mode'), 'send') AS mode"
)

_NOTE_COLUMNS = "series_number, images, score, reason, detail"

Row = dict[str, Any]

NOTHING_COUNTED: Row = {
    "jobs": {},
    "deliveries": {},
    "skipped_series": {},
    "oldest_queued_s": None,
}
"""What JournalReader.counts says of an empty journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs of the list; None is any."""

    state: str | None = None
    reason: str | None = None
    study: str | None = None
    series: str | None = None
    before: str | None = None
    """Key of the last job of the page before."""
    limit: int = 50

    def conditions(self) -> tuple[str, list[str]]:
        """What stands after WHERE, and the values of its question marks."""
        wanted = {
            "state = ?": self.state,
            "reason = ?": self.reason,
            "study_orthanc_id = ?": self.study,
            "series_orthanc_id = ?": self.series,
            "(created_at, key) < (SELECT created_at, key FROM jobs WHERE key = ?)": self.before,
        }
        used = {clause: value for clause, value in wanted.items() if value is not None}
        return " AND ".join(used) or "1", list(used.values())


class JournalReader:
    """Each call opens the file anew: routes run in Orthanc's HTTP threads."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def counts(self, now_s: float) -> Row:
        """Numbers for the status route."""
        with self._open() as journal:
            oldest = journal.execute(
                "SELECT min(created_at) AS at FROM jobs WHERE state = 'queued'"
            ).fetchone()["at"]
            return {
                "jobs": _tally(journal, "jobs"),
                "deliveries": _tally(journal, "deliveries"),
                "skipped_series": _tally(journal, "skipped"),
                "oldest_queued_s": None if oldest is None else round(now_s - oldest, 1),
            }

    def fact(self, name: str) -> str | None:
        """A single value that the node remembers."""
        with self._open() as journal:
            row = journal.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
            return None if row is None else str(row["value"])

    def jobs(self, wanted: JobFilter) -> list[Row]:
        """Jobs, newest first."""
        where, values = wanted.conditions()
        with self._open() as journal:
            rows = journal.execute(
                f"SELECT {_JOB_COLUMNS} FROM jobs WHERE {where}"  # noqa: S608 # constants; values are bound
                " ORDER BY created_at DESC, key DESC LIMIT ?",
                (*values, wanted.limit),
            ).fetchall()
            return [_with_results(journal, dict(row)) for row in rows]

    def job(self, key: str) -> Row | None:
        """One job with its attempts and everything that happened to it."""
        with self._open() as journal:
            row = journal.execute(
                f"SELECT {_JOB_COLUMNS} FROM jobs WHERE key = ?",  # noqa: S608 # a constant
                (key,),
            ).fetchone()
            if row is None:
                return None
            attempts = journal.execute(
                "SELECT started_at, ended_at, outcome, reason FROM attempts WHERE key = ? ORDER BY fence",
                (key,),
            ).fetchall()
            history = journal.execute(
                "SELECT at, actor, event, detail FROM audit WHERE key = ? ORDER BY id", (key,)
            ).fetchall()
            return {
                **_with_results(journal, dict(row)),
                "attempt_log": [dict(attempt) for attempt in attempts],
                "history": [dict(event) for event in history],
            }

    def command(self, number: str) -> Row | None:
        """What became of a wish; None where the node has not come to it."""
        with self._open() as journal:
            row = journal.execute(
                "SELECT id, kind, actor, at, outcome, job, detail FROM commands WHERE id = ?",
                (number,),
            ).fetchone()
            return None if row is None else dict(row)

    def audit(self, before: int | None, limit: int) -> list[Row]:
        """Who did what and when, newest first."""
        with self._open() as journal:
            rows = journal.execute(
                "SELECT id, at, actor, event, key AS job, detail FROM audit WHERE id < ?"
                " ORDER BY id DESC LIMIT ?",
                (2**62 if before is None else before, limit),
            ).fetchall()
            return [dict(row) for row in rows]

    def not_taken(self) -> list[Row]:
        """The newest series that were not taken, and why."""
        with self._open() as journal:
            rows = journal.execute(
                f"SELECT study_orthanc_id, seen_at, {_NOTE_COLUMNS} FROM skipped"  # noqa: S608 # a constant
                " ORDER BY seen_at DESC, rowid LIMIT ?",
                (NEWEST_NOTES,),
            ).fetchall()
            return [dict(row) for row in rows]

    def result_file(self, key: str, role: str) -> str | None:
        """The file name of a published result."""
        with self._open() as journal:
            row = journal.execute(
                "SELECT file_name FROM results WHERE key = ? AND role = ?", (key, role)
            ).fetchone()
            return None if row is None else str(row["file_name"])

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, timeout=5.0)
        connection.row_factory = sqlite3.Row
        try:
            yield connection
        finally:
            connection.close()


def _tally(journal: sqlite3.Connection, counted: str) -> dict[str, int]:
    rows = journal.execute(
        "SELECT name, n FROM tallies WHERE counted = ? AND n > 0 ORDER BY name", (counted,)
    )
    return {row["name"]: row["n"] for row in rows}


def _with_results(journal: sqlite3.Connection, job: Row) -> Row:
    roles = [
        row["role"]
        for row in journal.execute(
            "SELECT role FROM results WHERE key = ? ORDER BY role", (job["key"],)
        )
    ]
    deliveries = journal.execute(
        "SELECT role, destination, required, state, tries, reason, verified_by FROM deliveries"
        " WHERE key = ? ORDER BY destination, role",
        (job["key"],),
    ).fetchall()
    choice = journal.execute(
        "SELECT c.series_number, c.score, c.detail FROM choices AS c JOIN jobs USING (series_uid)"
        " WHERE key = ?",
        (job["key"],),
    ).fetchone()
    level_set = journal.execute(
        "SELECT e.entered_by AS by, e.entered_at AS at FROM entered_levels AS e"
        " JOIN jobs USING (series_uid) WHERE key = ?",
        (job["key"],),
    ).fetchone()
    not_taken = journal.execute(
        f"SELECT {_NOTE_COLUMNS} FROM skipped WHERE study_orthanc_id = ?"  # noqa: S608 # a constant
        " AND reason NOT IN ('own-result', 'result-object') ORDER BY score DESC, series_number",
        (job["study_orthanc_id"],),
    ).fetchall()
    return {
        **job,
        "choice": None if choice is None else dict(choice),
        "level_set": None if level_set is None else dict(level_set),
        "not_taken": [dict(row) for row in not_taken],
        "results": [role for role in roles if not role.startswith(PICTURE_PREFIX)],
        "pictures": [
            role.removeprefix(PICTURE_PREFIX) for role in roles if role.startswith(PICTURE_PREFIX)
        ],
        "deliveries": [{**dict(row), "required": bool(row["required"])} for row in deliveries],
    }
