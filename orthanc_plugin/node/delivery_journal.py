"""The journal's second half: result objects in the spool and their way to each destination."""

import math
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inference.domain.seg_encoding import receives
from orthanc_plugin.node.destinations import Destination
from orthanc_plugin.node.durable_counts import (
    DELIVER,
    STAGE_SECONDS,
    TURNAROUND_SECONDS,
    note_seconds,
)
from orthanc_plugin.node.job_route import is_sent
from orthanc_plugin.node.job_states import (
    DeliveryState,
    JobState,
    require_delivery_step,
    require_job_step,
)
from orthanc_plugin.node.journal import CLOCK_TOLERANCE_S, NODE, Job, Journal
from orthanc_plugin.node.journal_database import transaction

OPEN_STATES = "'pending', 'sending', 'sent', 'sent-unverified'"
"""Of deliveries that are still to go, or to be confirmed; as SQL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectUids:
    """Where a DICOM object stands in its study."""

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class_uid: str = ""
    """Known of results that we wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFile:
    """One file in the spool; `uids` is None for what is not DICOM (report, pictures)."""

    role: str
    file_name: str
    sha256: str
    size_bytes: int
    uids: ObjectUids | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResult:
    """A DICOM result that is still to be stored in our own Orthanc."""

    key: str
    role: str
    file_name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SupersededResult:
    """A result in our own Orthanc whose successor is where it has to be."""

    key: str
    role: str
    orthanc_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One object on its way to one destination."""

    key: str
    role: str
    destination: str
    state: DeliveryState
    tries: int
    uids: ObjectUids
    orthanc_id: str
    orthanc_job_id: str | None
    commitment_id: str | None
    file_name: str
    sha256: str
    sent_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryStep:
    """What becomes of a delivery."""

    state: DeliveryState
    delay_s: float = 0.0
    tries: int = 0
    orthanc_job_id: str | None = None
    commitment_id: str | None = None
    verified_by: str = ""
    """How a confirmed one was confirmed."""
    reason: str = ""
    is_reached: bool | None = None
    """Whether the destination took, or has, what was sent; None where that was not learnt."""


class DeliveryJournal:
    """Results and deliveries; shares the connection of the journal it is made from."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._connection = journal.connection

    def record_results(
        self,
        job: Job,
        results: Sequence[ResultFile],
        destinations: Sequence[Destination],
        seconds: Mapping[str, float] | None = None,
    ) -> bool:
        """Running to computed, with results and deliveries, in one transaction; False when the job is not ours."""
        require_job_step(JobState.RUNNING, JobState.COMPUTED)
        now = self._journal.clock()
        with transaction(self._connection):
            changed = self._connection.execute(
                "UPDATE jobs SET state = ?, reason = '', detail = '', stage = '', fraction = 1,"
                " lease_until = 0, updated_at = ? WHERE key = ? AND fence = ? AND state = ?",
                (JobState.COMPUTED, now, job.key, job.fence, JobState.RUNNING),
            )
            if changed.rowcount != 1:
                return False
            self._connection.execute(
                "UPDATE attempts SET ended_at = ?, outcome = ? WHERE key = ? AND fence = ?",
                (now, JobState.COMPUTED, job.key, job.fence),
            )
            for stage, took_s in (seconds or {}).items():
                note_seconds(self._connection, STAGE_SECONDS, took_s, stage)
            roles = {result.role for result in results}
            for result in results:
                is_wanted = is_sent(job.submission.route, result.role)
                self._insert(
                    job.key,
                    result,
                    [d for d in destinations if is_wanted and receives(d.seg, result.role, roles)],
                )
            self._audit(JobState.COMPUTED, job.key)
        return True

    def results_to_store(self) -> list[StoredResult]:
        """DICOM results that our own Orthanc does not have yet."""
        rows = self._connection.execute(
            # Named and in this order, since SQLite would walk through every job that ever was.
            "SELECT r.* FROM results r INDEXED BY results_not_stored CROSS JOIN jobs j USING (key)"
            " WHERE r.sop_uid IS NOT NULL AND r.orthanc_id IS NULL"
            " AND j.state IN (?, ?) ORDER BY j.updated_at, r.role",
            (JobState.COMPUTED, JobState.DONE),
        ).fetchall()
        return [
            StoredResult(
                key=row["key"], role=row["role"], file_name=row["file_name"], sha256=row["sha256"]
            )
            for row in rows
        ]

    def mark_stored(self, result: StoredResult, orthanc_id: str) -> None:
        """Our own Orthanc has it."""
        self._connection.execute(
            "UPDATE results SET orthanc_id = ? WHERE key = ? AND role = ?",
            (orthanc_id, result.key, result.role),
        )

    def forget_stored(self, delivery: Delivery) -> None:
        """Our own Orthanc lost it: it is stored from the spool again."""
        self._connection.execute(
            "UPDATE results SET orthanc_id = NULL WHERE key = ? AND role = ?",
            (delivery.key, delivery.role),
        )

    def superseded_here(self) -> list[SupersededResult]:
        """Results in our own Orthanc whose place was taken by those of a job that is done."""
        rows = self._connection.execute(
            "SELECT r.key, r.role, r.orthanc_id FROM jobs AS old"
            " JOIN jobs AS heir ON heir.key = old.superseded_by"
            " JOIN results AS r ON r.key = old.key"
            " WHERE old.state = ? AND heir.state = ? AND r.orthanc_id IS NOT NULL",
            (JobState.SUPERSEDED, JobState.DONE),
        ).fetchall()
        return [SupersededResult(**dict(row)) for row in rows]

    def mark_deleted(self, result: SupersededResult) -> None:
        """Our own Orthanc no longer has it."""
        with transaction(self._connection):
            self._connection.execute(
                "UPDATE results SET orthanc_id = NULL WHERE key = ? AND role = ?",
                (result.key, result.role),
            )
            self._audit("deleted-here", result.key, result.role)

    def open_destinations(self) -> set[str]:
        """Where anything is still to go, or to be confirmed."""
        rows = self._connection.execute(
            f"SELECT DISTINCT destination FROM deliveries WHERE state IN ({OPEN_STATES})"  # noqa: S608 # a constant
        ).fetchall()
        return {str(row["destination"]) for row in rows}

    def release_from_the_future(self, destination: str, longest_wait_s: float) -> int:
        """Deliveries that would wait longer than any does, since the clock was set back: due now; their number."""
        now = self._journal.clock()
        return self._connection.execute(
            "UPDATE deliveries SET next_try_at = ?"  # noqa: S608 # a constant
            f" WHERE destination = ? AND state IN ({OPEN_STATES}) AND next_try_at > ?",
            (now, destination, now + longest_wait_s),
        ).rowcount

    def due(self, destination: str, limit: int) -> list[Delivery]:
        """Deliveries to one destination whose time has come: what is under way first, then the oldest."""
        rows = self._connection.execute(
            "SELECT d.*, r.study_uid, r.series_uid, r.sop_uid, r.sop_class_uid, r.orthanc_id,"  # noqa: S608 # constants
            " r.file_name, r.sha256 FROM deliveries d"
            " JOIN results r USING (key, role)"
            f" WHERE d.destination = ? AND d.state IN ({OPEN_STATES})"
            " AND d.next_try_at <= ? AND r.orthanc_id IS NOT NULL"
            " ORDER BY d.state = 'pending', d.next_try_at LIMIT ?",
            (destination, self._journal.clock(), limit),
        ).fetchall()
        return [_delivery(row) for row in rows]

    def sending(self, destination: str) -> int:
        """How many sends to a destination are under way."""
        (count,) = self._connection.execute(
            "SELECT count(*) FROM deliveries WHERE destination = ? AND state = ?",
            (destination, DeliveryState.SENDING),
        ).fetchone()
        return int(count)

    def age_s(self, delivery: Delivery) -> float:
        """How long ago the receiver answered success; endless where that is not known, or lies in the future."""
        if delivery.sent_at is None:
            return math.inf
        age_s = self._journal.clock() - delivery.sent_at
        # A clock that is only kept right steps back by less.
        return age_s if age_s > -CLOCK_TOLERANCE_S else math.inf

    def step(self, delivery: Delivery, step: DeliveryStep) -> bool:
        """Move a delivery on, unless it was moved by somebody else meanwhile."""
        require_delivery_step(delivery.state, step.state)
        now = self._journal.clock()
        with transaction(self._connection):
            changed = self._connection.execute(
                "UPDATE deliveries SET state = ?, tries = ?, next_try_at = ?, orthanc_job_id = ?,"
                " reason = ?, updated_at = ?, commitment_id = ?, verified_by = ?,"
                " sent_at = CASE WHEN ? THEN ? ELSE sent_at END"
                " WHERE key = ? AND role = ? AND destination = ? AND state = ?",
                (
                    step.state,
                    step.tries,
                    now + step.delay_s,
                    step.orthanc_job_id,
                    step.reason,
                    now,
                    step.commitment_id,
                    step.verified_by,
                    delivery.state is DeliveryState.SENDING and step.state is DeliveryState.SENT,
                    now,
                    delivery.key,
                    delivery.role,
                    delivery.destination,
                    delivery.state,
                ),
            )
            if changed.rowcount == 1 and step.state is not delivery.state:
                self._audit(
                    f"delivery-{step.state}",
                    delivery.key,
                    f"{delivery.role}>{delivery.destination}",
                )
            if step.is_reached is not None:
                self._connection.execute(
                    "INSERT OR REPLACE INTO destination_outcomes VALUES (?, ?, ?)",
                    (delivery.destination, int(step.is_reached), now),
                )
        return changed.rowcount == 1

    def settle(self) -> list[str]:
        """Computed jobs whose results are all stored and confirmed where required become done; their keys."""
        require_job_step(JobState.COMPUTED, JobState.DONE)
        with transaction(self._connection):
            rows = self._connection.execute(
                "UPDATE jobs SET state = ?, updated_at = ? WHERE state = ?"
                " AND NOT EXISTS (SELECT 1 FROM results r WHERE r.key = jobs.key"
                "   AND r.sop_uid IS NOT NULL AND r.orthanc_id IS NULL)"
                " AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.key = jobs.key"
                "   AND d.required = 1 AND d.state != ?) RETURNING key",
                (
                    JobState.DONE,
                    self._journal.clock(),
                    JobState.COMPUTED,
                    DeliveryState.CONFIRMED,
                ),
            ).fetchall()
            for row in rows:
                self._audit(JobState.DONE, row["key"])
                self._note_turnaround(row["key"])
        return [str(row["key"]) for row in rows]

    def _note_turnaround(self, key: str) -> None:
        """Once for a study that came by itself: what is sent again was not late."""
        row = self._connection.execute(
            "SELECT j.received_at, max(a.ended_at) AS computed_at FROM jobs j JOIN attempts a"
            " ON a.key = j.key AND a.outcome = ? WHERE j.key = ?",
            (JobState.COMPUTED, key),
        ).fetchone()
        if row["received_at"] is None or row["computed_at"] is None:
            return
        now = self._journal.clock()
        note_seconds(self._connection, TURNAROUND_SECONDS, now - row["received_at"])
        note_seconds(self._connection, STAGE_SECONDS, now - row["computed_at"], DELIVER)
        self._connection.execute("UPDATE jobs SET received_at = NULL WHERE key = ?", (key,))

    def _insert(self, key: str, result: ResultFile, destinations: Sequence[Destination]) -> None:
        now = self._journal.clock()
        uids = result.uids
        self._connection.execute(
            "INSERT INTO results (key, role, file_name, sha256, bytes, sop_uid, series_uid, study_uid,"
            " sop_class_uid) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                key,
                result.role,
                result.file_name,
                result.sha256,
                result.size_bytes,
                uids.sop_uid if uids else None,
                uids.series_uid if uids else None,
                uids.study_uid if uids else None,
                uids.sop_class_uid if uids else "",
            ),
        )
        if uids is None:
            return
        for destination in destinations:
            self._connection.execute(
                "INSERT INTO deliveries (key, role, destination, required, state, next_try_at,"
                " updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    key,
                    result.role,
                    destination.name,
                    int(destination.required),
                    DeliveryState.PENDING,
                    now,
                    now,
                ),
            )

    def _audit(self, event: str, key: str, detail: str = "") -> None:
        self._connection.execute(
            "INSERT INTO audit (at, actor, event, key, detail) VALUES (?, ?, ?, ?, ?)",
            (self._journal.clock(), NODE, event, key, detail),
        )


def _delivery(row: sqlite3.Row) -> Delivery:
    return Delivery(
        key=row["key"],
        role=row["role"],
        destination=row["destination"],
        state=DeliveryState(row["state"]),
        tries=row["tries"],
        uids=ObjectUids(
            study_uid=row["study_uid"],
            series_uid=row["series_uid"],
            sop_uid=row["sop_uid"],
            sop_class_uid=row["sop_class_uid"],
        ),
        orthanc_id=row["orthanc_id"],
        orthanc_job_id=row["orthanc_job_id"],
        commitment_id=row["commitment_id"],
        file_name=row["file_name"],
        sha256=row["sha256"],
        sent_at=row["sent_at"],
    )
