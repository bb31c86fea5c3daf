"""Nodes with a fault on purpose: what the harness must find out about, or it proves nothing."""

import sqlite3
from contextlib import closing
from pathlib import Path

# A trigger, since it needs no change of the node: the one delivery is confirmed, and was never made.
SKIPPED_DELIVERY = """
CREATE TRIGGER skip_one_delivery AFTER INSERT ON deliveries
WHEN (SELECT count(*) FROM deliveries) = 3
BEGIN
  UPDATE deliveries SET state = 'confirmed'
    WHERE key = new.key AND role = new.role AND destination = new.destination;
END;
"""
STUCK_JOB = """
CREATE TRIGGER hold_one_job BEFORE UPDATE OF state ON jobs
WHEN new.state = 'done' AND new.rowid = (SELECT min(rowid) FROM jobs)
BEGIN
  SELECT RAISE(IGNORE);
END;
"""
SABOTAGES = {"skip-delivery": SKIPPED_DELIVERY, "stuck-job": STUCK_JOB}


def sabotage(journal: Path, name: str) -> None:
    """Build the fault into a journal that the node has made."""
    with closing(sqlite3.connect(journal, timeout=10.0)) as connection:
        connection.executescript(SABOTAGES[name])
        # Into the file itself: a cut WAL must not take it away again.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
