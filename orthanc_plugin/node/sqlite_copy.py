"""A SQLite file copied as it is at one moment, while others write to it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid
from orthanc_plugin.node.backup_folder import BackupFailed

WAIT_S = 30.0


def copy_database(source: Path, target: Path, of_whom: str) -> None:
    """By SQLite's own means: a copy of the file would miss its write-ahead log, or be of two moments.

    Raises ConfigurationInvalid where another process holds it for itself alone.
    """
    target.touch(mode=0o600)
    # Opened to read: as another user we would leave files that its owner cannot write.
    uri = f"{source.absolute().as_uri()}?mode=ro"
    try:
        with (
            closing(sqlite3.connect(uri, uri=True, timeout=WAIT_S, isolation_level=None)) as live,
            closing(sqlite3.connect(target)) as copy,
        ):
            # Python's backup would wait for ever for a lock; with the reading begun it needs none.
            live.execute("BEGIN")
            live.execute("SELECT count(*) FROM sqlite_master").fetchone()
            live.backup(copy)
            # One file, which can be read where nothing can be written.
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.DatabaseError as exc:
        if exc.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise BackupFailed(
                found=f"a database of {of_whom} that could not be copied ({exc.sqlite_errorname})",
                wanted="the file as SQLite wrote it, and a disk with room",
                advice="Look at the disks; habitus doctor says more of the journal.",
            ) from exc
        raise ConfigurationInvalid(
            found=f"a database that {of_whom} holds for itself alone",
            wanted="one that others may read",
            advice=f"Stop {of_whom} while this runs, and start it again afterwards.",
        ) from exc
