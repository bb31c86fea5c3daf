"""The journal: the durable truth about cursor, jobs, attempts and what was skipped."""

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orthanc_plugin.node.durable_counts import STAGE_SECONDS, WAIT, note_seconds
from orthanc_plugin.node.job_key import EngineIdentity, job_key
from orthanc_plugin.node.job_route import DEFAULT_ROUTE, Route, route_from
from orthanc_plugin.node.job_states import JobState, require_job_step
from orthanc_plugin.node.journal_database import open_journal, transaction
from orthanc_plugin.node.routing_rules import Priority
from orthanc_plugin.node.site_time import TimeWindow, window_of
from orthanc_plugin.node.superseding import Place, take_place

CLOCK_TOLERANCE_S = 60.0
"""By which the machine's clock may be set back without anybody taking notice."""
LONGEST_WINDOW_WAIT_S = 25 * 3600.0
"""A day of 25 hours has the end of summer time in it."""
MAX_INTERRUPTIONS = 10
"""Restarts of the node during one job before the job itself is suspected."""

EVERY_PRIORITY = -(1 << 31)
"""Below every rank."""
NODE = "node"
"""The actor of everything that no person asked for."""
SOURCE_DELETED = "source-deleted"
"""The reason of a rejected job whose images are no longer in Orthanc: nothing was said of them."""
FIRST_RUN = "first-run"
"""The fact that a restore leaves: no run number below it is given to a job that the journal does not know."""

_REVIVABLE = (JobState.DEAD, JobState.REJECTED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One series as it was when it came to rest, to be analysed by one engine."""

    series_uid: str
    series_orthanc_id: str
    study_orthanc_id: str
    set_hash: str
    instance_count: int
    engine: EngineIdentity
    demographics: str = ""
    """A seal on what results repeat of patient and study; empty where nobody asked for it."""
    run: int = 1
    route: Route = DEFAULT_ROUTE
    """No part of the key: the same results may go another way."""

    @property
    def key(self) -> str:
        """The job's key."""
        return job_key(
            self.series_uid, self.set_hash, self.engine, self.run, demographics=self.demographics
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as last read from the journal."""

    key: str
    submission: Submission
    state: JobState
    attempts: int
    """Tries that count against the limit; interruptions by a restart do not."""
    fence: int
    """Grows with every take: whoever holds an older number has lost the job."""
    reason: str
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Why a job ended as it did: a stable code, and one sentence of ours without any patient data."""

    reason: str
    detail: str = ""


class Journal:
    """One thread's view of the journal; every method is one transaction."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.connection = open_journal(path)
        self.clock = clock

    def close(self) -> None:
        """Give the file back."""
        self.connection.close()

    def fact(self, name: str) -> str | None:
        """A single remembered value, such as the cursor."""
        row = self.connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row["value"])

    def set_fact(self, name: str, value: str) -> None:
        """Remember a single value."""
        self.connection.execute(
            "INSERT INTO facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    def job(self, key: str) -> Job | None:
        """The job of that key."""
        row = self.connection.execute("SELECT * FROM jobs WHERE key = ?", (key,)).fetchone()
        return None if row is None else _job(row)

    def numbered(self, submission: Submission) -> Submission:
        """As it is known here, else under a run number that was not given away before the last restore.

        What was submitted after the backup is forgotten, while its results may be at the PACS: under the same number
        another content would get the same UIDs.
        """
        first_run = int(self.fact(FIRST_RUN) or 0)
        if submission.run >= first_run or self.job(submission.key) is not None:
            return submission
        return replace(submission, run=first_run + submission.run)

    def submit(
        self,
        submission: Submission,
        actor: str = NODE,
        *,
        for_study: bool = False,
        why: str = "",
        received_at: float | None = None,
    ) -> str | None:
        """Queue a job and supersede the older ones of its series, or of its whole study; None where it is known.

        Where the last of its images has just come, that is when.
        """
        with transaction(self.connection):
            submission = self.numbered(submission)
            if self.job(submission.key) is not None:
                return None
            self._insert(submission, received_at)
            self._audit(actor, "queued", submission.key, why)
            place = Place(
                key=submission.key,
                series_uid=submission.series_uid,
                study_orthanc_id=submission.study_orthanc_id if for_study else None,
            )
            for key in take_place(self.connection, place, self.clock()):
                self._audit(NODE, "superseded", key, submission.key)
        return submission.key

    def hold_until_open(self, opening_s: Callable[[TimeWindow], float]) -> int:
        """Queued jobs whose time of the day is not now wait for it; their number."""
        now, held = self.clock(), 0
        rows = self.connection.execute(
            "SELECT DISTINCT window FROM jobs WHERE state = ? AND run_at <= ? AND window != ''",
            (JobState.QUEUED, now),
        ).fetchall()
        for row in rows:
            if (opening := opening_s(window_of(row["window"]))) > now:
                held += self.connection.execute(
                    "UPDATE jobs SET run_at = ? WHERE state = ? AND run_at <= ? AND window = ?",
                    (opening, JobState.QUEUED, now, row["window"]),
                ).rowcount
        return held

    def release_from_the_future(self, longest_wait_s: float) -> int:
        """Queued jobs that would wait longer than any job does, since the clock was set back: due now; their number."""
        now = self.clock()
        ranks = ", ".join(str(priority.rank) for priority in Priority)
        return self.connection.execute(
            "UPDATE jobs SET run_at = ? WHERE state = ?"  # noqa: S608 # numbers of ours; the index needs them named
            f" AND priority IN ({ranks}) AND run_at > ? AND (window = '' OR run_at > ?)",
            (now, JobState.QUEUED, now + longest_wait_s, now + LONGEST_WINDOW_WAIT_S),
        ).rowcount

    def has_ready(self, least_priority: int = EVERY_PRIORITY) -> bool:
        """Whether there is a job to take."""
        row = self.connection.execute(
            "SELECT 1 FROM jobs WHERE state = ? AND run_at <= ? AND priority >= ? LIMIT 1",
            (JobState.QUEUED, self.clock(), least_priority),
        ).fetchone()
        return row is not None

    def take(self, lease_s: float, least_priority: int = EVERY_PRIORITY) -> Job | None:
        """The next job, now running under a new fence; highest priority first, then oldest."""
        now = self.clock()
        with transaction(self.connection):
            row = self.connection.execute(
                "UPDATE jobs SET state = ?, attempts = attempts + 1, fence = fence + 1,"
                " lease_until = ?, stage = '', fraction = 0, updated_at = ? WHERE key = ("
                "  SELECT key FROM jobs WHERE state = ? AND run_at <= ? AND priority >= ?"
                "  ORDER BY priority DESC, created_at, key LIMIT 1) RETURNING *",
                (JobState.RUNNING, now + lease_s, now, JobState.QUEUED, now, least_priority),
            ).fetchone()
            if row is None:
                return None
            job = _job(row)
            self.connection.execute(
                "INSERT INTO attempts (key, fence, started_at) VALUES (?, ?, ?)",
                (job.key, job.fence, now),
            )
            note_seconds(self.connection, STAGE_SECONDS, now - row["run_at"], WAIT)
        return job

    def beat(self, job: Job, lease_s: float, stage: str, fraction: float) -> bool:
        """Renew the lease and note the progress; False when the job is no longer ours."""
        changed = self.connection.execute(
            "UPDATE jobs SET lease_until = ?, stage = ?, fraction = ?"
            " WHERE key = ? AND fence = ? AND state = ?",
            (self.clock() + lease_s, stage, fraction, job.key, job.fence, JobState.RUNNING),
        )
        return changed.rowcount == 1

    def try_again(self, job: Job, verdict: Verdict, delay_s: float) -> bool:
        """Back to the queue; this try counts. False when the job is no longer ours."""
        return self._leave_running(job, JobState.QUEUED, verdict, self.clock() + delay_s)

    def put_back(self, job: Job, verdict: Verdict, delay_s: float) -> bool:
        """Back to the queue through no fault of the job, so that this try does not count."""
        with transaction(self.connection):
            if not self._step(job, JobState.QUEUED, verdict, self.clock() + delay_s):
                return False
            self.connection.execute(
                "UPDATE jobs SET attempts = attempts - 1 WHERE key = ?", (job.key,)
            )
        return True

    def end(self, job: Job, state: JobState, verdict: Verdict) -> bool:
        """Rejected, dead or superseded; False when the job is no longer ours."""
        return self._leave_running(job, state, verdict, self.clock())

    def recover(self) -> int:
        """Queue again what a dead node left running; call it only while holding the data folder's lock."""
        rows = self.connection.execute(
            "SELECT * FROM jobs WHERE state = ?", (JobState.RUNNING,)
        ).fetchall()
        return self._interrupt(rows, "node-restarted")

    def reclaim(self) -> int:
        """Queue again what a worker has held past its lease, as an interruption; the number."""
        rows = self.connection.execute(
            "SELECT * FROM jobs WHERE state = ? AND lease_until < ?",
            (JobState.RUNNING, self.clock()),
        ).fetchall()
        return self._interrupt(rows, "lease-ran-out")

    def _interrupt(self, rows: Sequence[sqlite3.Row], reason: str) -> int:
        for row in rows:
            if row["interruptions"] + 1 >= MAX_INTERRUPTIONS:
                self.end(_job(row), JobState.DEAD, Verdict(reason="interrupted-too-often"))
            elif self.put_back(_job(row), Verdict(reason=reason), 0.0):
                self.connection.execute(
                    "UPDATE jobs SET interruptions = interruptions + 1 WHERE key = ?",
                    (row["key"],),
                )
        return len(rows)

    def revive(self, key: str, actor: str) -> bool:
        """A dead, rejected or cancelled job is queued again from zero; False for any other state."""
        with transaction(self.connection):
            job = self.job(key)
            if job is None or job.state not in _REVIVABLE:
                return False
            require_job_step(job.state, JobState.QUEUED)
            self.connection.execute(
                "UPDATE jobs SET state = ?, attempts = 0, interruptions = 0, fence = fence + 1,"
                " reason = '', detail = '', run_at = ?, updated_at = ? WHERE key = ?",
                (JobState.QUEUED, self.clock(), self.clock(), key),
            )
            self._audit(actor, "requeued", key)
        return True

    def _leave_running(self, job: Job, state: JobState, verdict: Verdict, run_at: float) -> bool:
        with transaction(self.connection):
            return self._step(job, state, verdict, run_at)

    def _step(self, job: Job, state: JobState, verdict: Verdict, run_at: float) -> bool:
        """Compare and set: only the holder of the present fence may move a running job."""
        require_job_step(JobState.RUNNING, state)
        now = self.clock()
        changed = self.connection.execute(
            "UPDATE jobs SET state = ?, reason = ?, detail = ?, run_at = ?, updated_at = ?,"
            " lease_until = 0, stage = '' WHERE key = ? AND fence = ? AND state = ?",
            (
                state,
                verdict.reason,
                verdict.detail,
                run_at,
                now,
                job.key,
                job.fence,
                JobState.RUNNING,
            ),
        )
        if changed.rowcount != 1:
            return False
        self.connection.execute(
            "UPDATE attempts SET ended_at = ?, outcome = ?, reason = ? WHERE key = ? AND fence = ?",
            (now, state, verdict.reason, job.key, job.fence),
        )
        self._audit(NODE, state, job.key, verdict.reason)
        return True

    def _insert(self, submission: Submission, received_at: float | None) -> None:
        now = self.clock()
        self.connection.execute(
            "INSERT INTO jobs (key, series_uid, series_orthanc_id, study_orthanc_id, set_hash,"
            " instance_count, profile_hash, models, code_version, demographics, run, state, priority,"
            " route, window, run_at, created_at, updated_at, received_at)"
            " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                submission.key,
                submission.series_uid,
                submission.series_orthanc_id,
                submission.study_orthanc_id,
                submission.set_hash,
                submission.instance_count,
                submission.engine.profile_hash,
                json.dumps(submission.engine.models),
                submission.engine.code_version,
                submission.demographics,
                submission.run,
                JobState.QUEUED,
                submission.route.priority.rank,
                submission.route.text,
                str(submission.route.window or ""),
                now,
                now,
                now,
                received_at,
            ),
        )
        self.connection.execute(
            "DELETE FROM skipped WHERE series_uid = ?", (submission.series_uid,)
        )

    def _audit(self, actor: str, event: str, key: str, detail: str = "") -> None:
        self.connection.execute(
            "INSERT INTO audit (at, actor, event, key, detail) VALUES (?, ?, ?, ?, ?)",
            (self.clock(), actor, event, key, detail),
        )


def _job(row: sqlite3.Row) -> Job:
    models = tuple((str(name), str(sha256)) for name, sha256 in json.loads(row["models"]))
    engine = EngineIdentity(
        profile_hash=row["profile_hash"], models=models, code_version=row["code_version"]
    )
    submission = Submission(
        series_uid=row["series_uid"],
        series_orthanc_id=row["series_orthanc_id"],
        study_orthanc_id=row["study_orthanc_id"],
        set_hash=row["set_hash"],
        instance_count=row["instance_count"],
        engine=engine,
        demographics=row["demographics"],
        run=row["run"],
        route=route_from(row["route"]),
    )
    return Job(
        key=row["key"],
        submission=submission,
        state=JobState(row["state"]),
        attempts=row["attempts"],
        fence=row["fence"],
        reason=row["reason"],
        created_at=row["created_at"],
    )
