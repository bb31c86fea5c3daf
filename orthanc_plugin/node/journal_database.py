"""How the journal's SQLite file is opened and how a change is made all or nothing."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from inference.domain.errors import HabitusError
from orthanc_plugin.node.journal_schema import migrate

BUSY_TIMEOUT_S = 30.0


@dataclass(kw_only=True)
class JournalDamaged(HabitusError):
    """The journal's file is not what SQLite wrote: a failing disk, or somebody else's hand."""

    code: ClassVar[str] = "journal-damaged"


class _Connection(sqlite3.Connection):
    """Closed with its last owner: Python 3.13 warns of a connection that is only dropped."""

    def __del__(self) -> None:
        # In another thread the close is refused, and the process is ending anyway.
        with suppress(sqlite3.ProgrammingError):
            self.close()


def open_journal(path: Path) -> sqlite3.Connection:
    """A connection for one thread; the file is made and migrated where needed, readable by its owner only."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    connection = sqlite3.connect(
        path, isolation_level=None, timeout=BUSY_TIMEOUT_S, factory=_Connection
    )
    connection.row_factory = sqlite3.Row
    with _damage_named():
        connection.execute("PRAGMA journal_mode = WAL")
        # FULL: a commit survives a power cut, which the order "journal before cursor" relies on.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        migrate(connection)
    return connection


def require_intact(connection: sqlite3.Connection) -> None:
    """Read the whole file once; raises JournalDamaged where a page of it is not what SQLite wrote."""
    with _damage_named():
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok" or connection.execute("PRAGMA foreign_key_check").fetchone():
            raise _damaged()


@contextmanager
def _damage_named() -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as exc:
        # Its other kinds (busy, disk full) are no damage.
        if exc.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise _damaged() from exc
        raise


def _damaged() -> JournalDamaged:
    return JournalDamaged(
        found="a damaged journal.db",
        wanted="the file as SQLite wrote it",
        advice="Check the disk, then put journal.db, journal.db-wal and journal.db-shm aside (do not delete"
        " them) and start again: studies still in Orthanc are taken anew, published results are used again.",
    )


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Everything inside happens, or nothing does."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
