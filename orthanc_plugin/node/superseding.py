"""What happens in the journal when a new job takes the place of older ones, and which results it must name as earlier."""

import sqlite3
from dataclasses import dataclass

from inference.domain.earlier_document import EarlierDocument
from orthanc_plugin.node.job_states import DeliveryState, JobState, require_job_step


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Whose place a job takes: of every older one of its series, and of its study where that is named."""

    key: str
    series_uid: str
    study_orthanc_id: str | None


def take_place(connection: sqlite3.Connection, place: Place, now: float) -> list[str]:
    """Supersede older jobs, cancel what they have not delivered, note their results; inside a transaction. Their keys.

    A rejected job of another series stays rejected: it says why this one was taken instead.
    """
    rows = connection.execute(
        "SELECT key, state FROM jobs WHERE key != ? AND state != ?"
        " AND (series_uid = ? OR (study_orthanc_id = ? AND state != ?))",
        (
            place.key,
            JobState.SUPERSEDED,
            place.series_uid,
            place.study_orthanc_id,
            JobState.REJECTED,
        ),
    ).fetchall()
    for row in rows:
        require_job_step(JobState(row["state"]), JobState.SUPERSEDED)
        _end(connection, row["key"], now)
    # Whatever was superseded before is now superseded by this one too: one step leads to the newest.
    connection.execute(
        "UPDATE jobs SET superseded_by = ? WHERE key != ? AND state = ?"
        " AND (series_uid = ? OR study_orthanc_id = ?)",
        (
            place.key,
            place.key,
            JobState.SUPERSEDED,
            place.series_uid,
            place.study_orthanc_id,
        ),
    )
    _note_predecessors(connection, place.key)
    return [str(row["key"]) for row in rows]


def predecessors(connection: sqlite3.Connection, key: str) -> tuple[EarlierDocument, ...]:
    """The results that those of a job replace, as they were when it was submitted."""
    rows = connection.execute(
        "SELECT role, study_uid, series_uid, sop_uid, sop_class_uid FROM predecessors"
        " WHERE key = ? ORDER BY role",
        (key,),
    ).fetchall()
    return tuple(EarlierDocument(**dict(row)) for row in rows)


def _end(connection: sqlite3.Connection, key: str, now: float) -> None:
    connection.execute(
        "UPDATE jobs SET state = ?, updated_at = ? WHERE key = ?", (JobState.SUPERSEDED, now, key)
    )
    connection.execute(
        "UPDATE deliveries SET state = ?, updated_at = ? WHERE key = ? AND state NOT IN (?, ?)",
        (
            DeliveryState.CANCELLED,
            now,
            key,
            DeliveryState.CONFIRMED,
            DeliveryState.CANCELLED,
        ),
    )
    connection.execute(
        "UPDATE attempts SET ended_at = ?, outcome = ? WHERE key = ? AND ended_at IS NULL",
        (now, JobState.SUPERSEDED, key),
    )


def _note_predecessors(connection: sqlite3.Connection, key: str) -> None:
    """Those of the newest superseded job of which anything has left the spool.

    Fixed here, once: a job that runs twice must write the same bytes.
    """
    connection.execute(
        "INSERT INTO predecessors (key, role, study_uid, series_uid, sop_uid, sop_class_uid)"
        " SELECT ?, role, study_uid, series_uid, sop_uid, sop_class_uid FROM results"
        " WHERE orthanc_id IS NOT NULL AND sop_class_uid != '' AND key = ("
        "  SELECT j.key FROM jobs j JOIN results r USING (key) WHERE j.superseded_by = ?"
        "  AND r.orthanc_id IS NOT NULL AND r.sop_class_uid != ''"
        "  ORDER BY j.created_at DESC, j.rowid DESC LIMIT 1)",
        (key, key),
    )
