"""What the journal remembers of the choice between a study's series: which was taken, and why the others were not."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from orthanc_plugin.node.job_key import EngineIdentity
from orthanc_plugin.node.job_route import Route
from orthanc_plugin.node.job_states import JobState
from orthanc_plugin.node.journal import NODE, SOURCE_DELETED, Job, Journal, Submission
from orthanc_plugin.node.journal_database import transaction

CAME_LATER = "came-later"
"""Suits better than the one that was taken before it arrived."""
LATE_IMAGES = "late-images"
"""Came into a series after its result, and the site wants such results kept as they are."""
AWAITS_SLICES = "awaits-slices"
"""Has gaps; the slices may still be on their way."""
NEXT_BEST_FAILED = "next-best-failed"
"""As many candidates as the rules allow were tried before it."""
_OUTSCORED = "outscored-%"

_TAKEN = (
    *(JobState.QUEUED, JobState.RUNNING, JobState.COMPUTED),
    *(JobState.DONE, JobState.DEAD, JobState.CANCELLED),
)


Attempt = tuple[str, str, str]
"""A series as it was at one time: UID, hash of its instances, seal on its demographics."""


def attempt_of(submission: Submission) -> Attempt:
    """What a job tries, whatever engine tries it."""
    return submission.series_uid, submission.set_hash, submission.demographics


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesNote:
    """One series of a study as the choice saw it; no text of a header."""

    series_uid: str
    number: int | None
    images: int
    score: int
    reason: str
    """Why it was not taken; empty of the one that was."""
    detail: str


class ChoiceJournal:
    """The journal's tables `skipped` and `choices`."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def note(self, study_orthanc_id: str, notes: Sequence[SeriesNote]) -> None:
        """Remember the choice in a study; what was noted of these series before is replaced."""
        connection, now = self._journal.connection, self._journal.clock()
        with transaction(connection):
            for note in notes:
                connection.execute("DELETE FROM skipped WHERE series_uid = ?", (note.series_uid,))
                facts = (note.number, note.score, note.detail)
                if note.reason:
                    connection.execute(
                        "INSERT INTO skipped (series_uid, reason, seen_at, study_orthanc_id, images,"
                        " series_number, score, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                        (
                            note.series_uid,
                            note.reason,
                            now,
                            study_orthanc_id,
                            note.images,
                            *facts,
                        ),
                    )
                else:
                    connection.execute(
                        "INSERT OR REPLACE INTO choices VALUES (?, ?, ?, ?)",
                        (note.series_uid, *facts),
                    )

    def taken(self, study_orthanc_id: str) -> Mapping[str, Job]:
        """Series of a study whose job is under way, delivered, or waits for an operator; the newest job of each."""
        jobs = self._jobs(study_orthanc_id)
        return {job.submission.series_uid: job for job in jobs if job.state in _TAKEN}

    def rejected(self, study_orthanc_id: str, engine: EngineIdentity) -> frozenset[Attempt]:
        """Series as they were when this engine could not measure them."""
        return frozenset(
            attempt_of(job.submission)
            for job in self._jobs(study_orthanc_id)
            if job.state is JobState.REJECTED and job.submission.engine == engine
        )

    def rejected_route(self, study_orthanc_id: str) -> Route | None:
        """Of the newest job of a study that could not be measured."""
        jobs = self._jobs(study_orthanc_id)
        routes = [job.submission.route for job in jobs if job.state is JobState.REJECTED]
        return routes[-1] if routes else None

    def series_by(self, study_orthanc_id: str, profiles: frozenset[str]) -> str | None:
        """Orthanc's id of the series that the study's result by a profile, under one of its names, stands on."""
        series = [
            job.submission.series_orthanc_id
            for job in self._jobs(study_orthanc_id)
            if job.state is not JobState.SUPERSEDED and job.submission.route.profile in profiles
        ]
        return series[-1] if series else None

    def is_last(self, study_orthanc_id: str, finalists: int) -> bool:
        """Whether a series that is tried now is the last one of its study that may be."""
        left = self._journal.connection.execute(
            "SELECT count(*) AS n FROM skipped WHERE study_orthanc_id = ?"
            " AND (reason LIKE ? OR reason = ?)",
            (study_orthanc_id, _OUTSCORED, CAME_LATER),
        ).fetchone()
        tried = {
            job.submission.series_uid
            for job in self._jobs(study_orthanc_id)
            if job.state is JobState.REJECTED
        }
        return left["n"] == 0 or len(tried) + 1 >= finalists

    def revive_returned(self, study_orthanc_id: str, series: Collection[str]) -> int:
        """Queue jobs again whose images were gone (a restore without images, a study deleted too soon) and have come back.

        Not where another series of the study was taken meanwhile.
        """
        if self.taken(study_orthanc_id):
            return 0
        return sum(
            self._journal.revive(job.key, NODE)
            for job in self._jobs(study_orthanc_id)
            if job.state is JobState.REJECTED
            and job.reason == SOURCE_DELETED
            and job.submission.series_orthanc_id in series
        )

    def score(self, series_uid: str) -> int | None:
        """What a series was worth when it was taken."""
        row = self._journal.connection.execute(
            "SELECT score FROM choices WHERE series_uid = ?", (series_uid,)
        ).fetchone()
        return None if row is None else int(row["score"])

    def _jobs(self, study_orthanc_id: str) -> list[Job]:
        """Of a study, the oldest first."""
        rows = self._journal.connection.execute(
            "SELECT key FROM jobs WHERE study_orthanc_id = ? ORDER BY created_at, rowid",
            (study_orthanc_id,),
        ).fetchall()
        jobs = [self._journal.job(row["key"]) for row in rows]
        return [job for job in jobs if job is not None]

    def studies_without_result(self) -> tuple[str, ...]:
        """Studies whose chosen series was rejected while others were left that suit less well."""
        rows = self._journal.connection.execute(
            "SELECT DISTINCT study_orthanc_id AS study FROM skipped AS s"
            " WHERE (reason LIKE ? OR reason = ?) AND EXISTS"
            "  (SELECT 1 FROM jobs WHERE study_orthanc_id = s.study_orthanc_id AND state = ?)",
            (_OUTSCORED, CAME_LATER, JobState.REJECTED),
        ).fetchall()
        return tuple(row["study"] for row in rows if not self.taken(row["study"]))

    def studies_noted(self, reason: str, since: float) -> tuple[str, ...]:
        """Studies of which a series was not taken for this reason, the oldest first."""
        rows = self._journal.connection.execute(
            "SELECT study_orthanc_id AS study FROM skipped WHERE reason = ? AND seen_at >= ?"
            " GROUP BY study_orthanc_id ORDER BY min(seen_at), study",
            (reason, since),
        )
        return tuple(row["study"] for row in rows)

    def give_up(self, study_orthanc_id: str, reason: str) -> None:
        """Nothing left of a study is tried by itself any more."""
        self._journal.connection.execute(
            "UPDATE skipped SET reason = ? WHERE study_orthanc_id = ? AND (reason LIKE ? OR reason = ?)",
            (reason, study_orthanc_id, _OUTSCORED, CAME_LATER),
        )
