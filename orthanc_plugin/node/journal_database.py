"""How the journal's SQLite file is opened and how a change is made all or nothing."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orthanc_plugin.node.journal_schema import migrate

BUSY_TIMEOUT_S = 30.0


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
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: a commit survives a power cut, which the order "journal before cursor" relies on.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    migrate(connection)
    return connection


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
