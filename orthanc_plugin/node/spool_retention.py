"""Removes results from the spool once they have been where they must be for long enough; numbers and pictures stay."""

from orthanc_plugin.node.delivery_journal import OPEN_STATES
from orthanc_plugin.node.job_states import JobState
from orthanc_plugin.node.journal import Journal
from orthanc_plugin.node.spool import Spool

DAY_S = 86_400.0
AT_ONCE = 50
"""Jobs of one pass."""


class SpoolRetention:
    """A job's DICOM objects go when it is done or superseded, and nothing of it is still to be delivered or confirmed."""

    def __init__(self, journal: Journal, spool: Spool) -> None:
        self._journal = journal
        self._spool = spool

    def step(self, keep_days: float) -> int:
        """Remove what is due; the number of jobs. 0 days keep everything."""
        if not keep_days:
            return 0
        rows = self._journal.connection.execute(
            # Named, since SQLite would visit every job that was ever done; it asks for the states letter for letter.
            "SELECT key FROM jobs INDEXED BY jobs_to_unspool WHERE state IN ('done', 'superseded')"  # noqa: S608 # a constant
            " AND updated_at < ? AND spooled = 1"
            " AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.key = jobs.key"
            f"   AND (d.state IN ({OPEN_STATES}) OR d.updated_at >= ?))"
            " AND NOT EXISTS (SELECT 1 FROM results r WHERE r.key = jobs.key"
            "   AND jobs.state = ? AND r.sop_uid IS NOT NULL AND r.orthanc_id IS NULL) LIMIT ?",
            (
                *(self._before(keep_days), self._before(keep_days)),
                *(JobState.DONE, AT_ONCE),
            ),
        ).fetchall()
        for row in rows:
            names = self._journal.connection.execute(
                "SELECT file_name FROM results WHERE key = ? AND sop_uid IS NOT NULL", (row["key"],)
            ).fetchall()
            self._spool.remove_results(row["key"], [name["file_name"] for name in names])
            self._journal.connection.execute(
                "UPDATE jobs SET spooled = 0 WHERE key = ?", (row["key"],)
            )
        return len(rows)

    def _before(self, keep_days: float) -> float:
        return self._journal.clock() - keep_days * DAY_S
