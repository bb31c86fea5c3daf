"""Damage to a journal's WAL takes the newest commits and only those; the journal opens and holds what came before."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from orthanc_plugin.node.journal import Journal
from tests.faults.wal import cut, flip, live_bytes

FACTS = 40


@pytest.fixture
def torn(tmp_path: Path) -> Path:
    """A journal as a kill leaves it: everything since the schema is still in the WAL."""
    with closing(Journal(tmp_path / "lived" / "journal.db")) as journal:
        journal.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for number in range(FACTS):
            journal.set_fact(f"fact {number:02d}", "x" * 500)
        shutil.copytree(tmp_path / "lived", tmp_path / "torn")
    (tmp_path / "torn" / "journal.db-shm").unlink()
    return tmp_path / "torn" / "journal.db"


def facts_of(path: Path) -> list[str]:
    """The names of what is remembered, in order."""
    with closing(Journal(path)) as journal:
        assert journal.connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        rows = journal.connection.execute("SELECT name FROM facts ORDER BY name").fetchall()
    return [str(row["name"]) for row in rows]


def test_without_damage_nothing_is_gone(torn: Path) -> None:
    assert len(facts_of(torn)) == FACTS


@pytest.mark.parametrize("damage", [cut, flip])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_damage_takes_the_newest_commits_and_leaves_a_whole_journal(
    torn: Path, damage: Callable[[Path, float], bool], share: float
) -> None:
    assert damage(torn.with_name("journal.db-wal"), share)

    left = facts_of(torn)

    assert 0 < len(left) < FACTS
    assert left == [f"fact {number:02d}" for number in range(len(left))]


def test_what_lies_behind_the_newest_frame_is_not_taken_for_the_tail(torn: Path) -> None:
    wal = torn.with_name("journal.db-wal")
    size = wal.stat().st_size
    with wal.open("ab") as file:
        file.write(b"\0" * 50_000)

    assert live_bytes(wal) == size


def test_a_journal_without_a_wal_is_not_hit(tmp_path: Path) -> None:
    assert not cut(tmp_path / "journal.db-wal", 0.5)
    assert not flip(tmp_path / "journal.db-wal", 0.5)


def test_a_damaged_wal_is_no_sqlite_error_to_a_reader(torn: Path) -> None:
    flip(torn.with_name("journal.db-wal"), 0.5)

    with closing(sqlite3.connect(f"{torn.as_uri()}?mode=ro", uri=True)) as journal:
        assert journal.execute("SELECT count(*) FROM jobs").fetchone() == (0,)
