"""What the journal does at an operator's wish: cancel, send again, height and weight, L3, and what became of each wish."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from inference.domain.entered_level import EnteredLevel
from inference.domain.entered_size import EnteredSize
from orthanc_plugin.node.job_key import EngineIdentity
from orthanc_plugin.node.job_states import DeliveryState, JobState, require_job_step
from orthanc_plugin.node.journal import Job, Journal
from orthanc_plugin.node.journal_database import transaction

BEGUN = "begun"
"""Still so after a restart: the node ended in the midst, and nobody knows how far it came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Something an operator asked for."""

    number: str
    kind: str
    actor: str
    at: float


class OperatorJournal:
    """Shares the connection of the journal it is made from."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._connection = journal.connection

    def begin(self, wish: Wish) -> bool:
        """Note that a wish is taken up; False where it was before, so that none is done twice."""
        changed = self._connection.execute(
            "INSERT INTO commands (id, kind, actor, at, outcome) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO NOTHING",
            (wish.number, wish.kind, wish.actor, wish.at, BEGUN),
        )
        return changed.rowcount == 1

    def finish(self, wish: Wish, outcome: str, job: str | None, detail: str = "") -> None:
        """Note what became of a wish; the detail stays out of the audit."""
        with transaction(self._connection):
            self._connection.execute(
                "UPDATE commands SET outcome = ?, job = ?, detail = ? WHERE id = ?",
                (outcome, job, detail, wish.number),
            )
            self._audit(wish.actor, f"asked-{wish.kind}", job or "", outcome)

    def cancel(self, key: str, actor: str) -> str:
        """End a job that waits or runs, or give up a dead one; whoever runs it learns so at the next heartbeat."""
        now = self._journal.clock()
        with transaction(self._connection):
            job = self._journal.job(key)
            if job is None:
                return "unknown-job"
            if job.state not in (JobState.QUEUED, JobState.RUNNING, JobState.DEAD):
                return "not-under-way"
            require_job_step(job.state, JobState.CANCELLED)
            self._connection.execute(
                "UPDATE jobs SET state = ?, reason = 'cancelled-by-operator', detail = '', stage = '',"
                " lease_until = 0, fence = fence + 1, updated_at = ? WHERE key = ?",
                (JobState.CANCELLED, now, key),
            )
            self._connection.execute(
                "UPDATE attempts SET ended_at = ?, outcome = ? WHERE key = ? AND ended_at IS NULL",
                (now, JobState.CANCELLED, key),
            )
            self._audit(actor, JobState.CANCELLED, key)
        return "cancelled"

    def resend(self, key: str, destination: str | None, actor: str) -> str:
        """Every delivery of a job, or those to one destination, from the beginning; a job that was done is so again once
        they are confirmed."""
        now = self._journal.clock()
        with transaction(self._connection):
            job = self._journal.job(key)
            if job is None:
                return "unknown-job"
            if job.state not in (JobState.COMPUTED, JobState.DONE):
                return "no-results"
            if not self._is_spooled(key):
                return "results-removed"
            sent = self._connection.execute(
                "UPDATE deliveries SET state = ?, tries = 0, next_try_at = ?, orthanc_job_id = NULL,"
                " commitment_id = NULL, verified_by = '', reason = '', updated_at = ?"
                " WHERE key = ? AND destination = ifnull(?, destination) AND state NOT IN (?, ?)",
                (
                    *(DeliveryState.PENDING, now, now),
                    *(key, destination),
                    # Orthanc may be at it this moment; a second job would send the object twice.
                    *(DeliveryState.SENDING, DeliveryState.CANCELLED),
                ),
            ).rowcount
            if sent:
                self._reopen(job, now)
                self._audit(actor, "resent", key, destination or "everywhere")
        return "resending" if sent else "nothing-to-send"

    def _is_spooled(self, key: str) -> bool:
        row = self._connection.execute("SELECT spooled FROM jobs WHERE key = ?", (key,)).fetchone()
        return bool(row["spooled"])

    def _reopen(self, job: Job, now: float) -> None:
        """Delivery is under way again."""
        if job.state is JobState.DONE:
            require_job_step(JobState.DONE, JobState.COMPUTED)
            self._connection.execute(
                "UPDATE jobs SET state = ?, updated_at = ? WHERE key = ?",
                (JobState.COMPUTED, now, job.key),
            )

    def enter_size(
        self, key: str, size: EnteredSize, engine: EngineIdentity | None
    ) -> tuple[str, str | None]:
        """Keep height and weight for the study of a job, and queue a new run of it; outcome and the new job."""
        job = self._journal.job(key)
        if job is None:
            return "unknown-job", None
        if job.state is JobState.SUPERSEDED:
            return "superseded", None
        with transaction(self._connection):
            self._connection.execute(
                "INSERT INTO entered_sizes VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (study_orthanc_id) DO UPDATE SET"
                " height_m = coalesce(excluded.height_m, height_m),"
                " weight_kg = coalesce(excluded.weight_kg, weight_kg),"
                " entered_by = excluded.entered_by, entered_at = excluded.entered_at",
                (
                    job.submission.study_orthanc_id,
                    size.height_m,
                    size.weight_kg,
                    size.entered_by,
                    size.entered_at,
                ),
            )
            # The numbers themselves are the patient's: the audit says which, not what.
            names = [
                *(["height"] if size.height_m is not None else []),
                *(["weight"] if size.weight_kg is not None else []),
            ]
            self._audit(size.entered_by, "body-size-entered", key, "+".join(names))
        return "new-run", self._run_anew(job, size.entered_by, engine)

    def _run_anew(self, job: Job, actor: str, engine: EngineIdentity | None) -> str:
        """Also where a run waits or is under way: that one may have read the old values already. Key of the new job."""
        repeat = replace(
            job.submission, run=job.submission.run + 1, engine=engine or job.submission.engine
        )
        while (key := self._journal.submit(repeat, actor)) is None:
            repeat = replace(repeat, run=repeat.run + 1)
        return key

    def entered_size(self, study_orthanc_id: str) -> EnteredSize | None:
        """What was entered last for a study."""
        row = self._connection.execute(
            "SELECT * FROM entered_sizes WHERE study_orthanc_id = ?", (study_orthanc_id,)
        ).fetchone()
        if row is None:
            return None
        return EnteredSize(
            height_m=row["height_m"],
            weight_kg=row["weight_kg"],
            entered_by=row["entered_by"],
            entered_at=row["entered_at"],
        )

    def enter_level(
        self, key: str, level: EnteredLevel, engine: EngineIdentity | None
    ) -> tuple[str, str | None]:
        """Keep the slice that was named as L3 for the series of a job, and queue a new run of it; outcome and new job."""
        job = self._journal.job(key)
        if job is None:
            return "unknown-job", None
        if job.state is JobState.SUPERSEDED:
            return "superseded", None
        sop_uid = level.sop_instance_uid
        with transaction(self._connection):
            self._connection.execute(
                "INSERT OR REPLACE INTO entered_levels VALUES (?, ?, ?, ?, ?, ?)",
                (
                    job.submission.series_uid,
                    # The journal names no image; the worker finds it again among those of the series.
                    None if sop_uid is None else _hash(sop_uid),
                    level.instance_number,
                    level.z_mm,
                    level.entered_by,
                    level.entered_at,
                ),
            )
            self._audit(level.entered_by, "level-set", key)
        return "new-run", self._run_anew(job, level.entered_by, engine)

    def remove_level(
        self, key: str, actor: str, engine: EngineIdentity | None
    ) -> tuple[str, str | None]:
        """Let the networks find L3 in the series of a job again, in a new run; outcome and new job."""
        job = self._journal.job(key)
        if job is None:
            return "unknown-job", None
        if job.state is JobState.SUPERSEDED:
            return "superseded", None
        with transaction(self._connection):
            removed = self._connection.execute(
                "DELETE FROM entered_levels WHERE series_uid = ?", (job.submission.series_uid,)
            ).rowcount
            if removed:
                self._audit(actor, "level-removed", key)
        return ("new-run", self._run_anew(job, actor, engine)) if removed else ("no-level-set", key)

    def entered_level(self, series_uid: str, sop_uids: Iterable[str]) -> EnteredLevel | None:
        """Where L3 was set in a series that is made of these images."""
        row = self._connection.execute(
            "SELECT * FROM entered_levels WHERE series_uid = ?", (series_uid,)
        ).fetchone()
        if row is None:
            return None
        named = (uid for uid in sop_uids if _hash(uid) == row["sop_uid_hash"])
        return EnteredLevel(
            # An image that is gone leaves no name at all, which the analysis refuses as it does a wrong one.
            sop_instance_uid=next(named, None),
            instance_number=row["instance_number"],
            z_mm=row["z_mm"],
            entered_by=row["entered_by"],
            entered_at=row["entered_at"],
        )

    def _audit(self, actor: str, event: str, key: str, detail: str = "") -> None:
        self._connection.execute(
            "INSERT INTO audit (at, actor, event, key, detail) VALUES (?, ?, ?, ?, ?)",
            (self._journal.clock(), actor, event, key, detail),
        )


def _hash(sop_uid: str) -> str:
    return hashlib.sha256(sop_uid.encode()).hexdigest()
