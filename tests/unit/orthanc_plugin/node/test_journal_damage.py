"""A journal whose file or write-ahead log was cut or flipped: what still opens, what is refused, what is never lost."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from orthanc_plugin.node.journal import Journal, Submission
from orthanc_plugin.node.journal_database import JournalDamaged, open_journal, require_intact
from tests.fakes import ENGINE

COMMITS = 12


def submission(number: int) -> Submission:
    return Submission(
        series_uid=f"1.2.{number}",
        series_orthanc_id=f"s{number}",
        study_orthanc_id="t",
        set_hash="h",
        instance_count=1,
        engine=ENGINE,
    )


@pytest.fixture(scope="module")
def power_cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a journal as a power cut leaves it: some jobs in the file, the rest in the log only."""
    folder = tmp_path_factory.mktemp("cut")
    path = tmp_path_factory.mktemp("live") / "journal.db"
    with closing(Journal(path)) as journal:
        journal.submit(submission(0))
        journal.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for number in range(1, COMMITS):
            journal.submit(submission(number))
        # The shared-memory index is not kept: SQLite makes it anew.
        for name in ("journal.db", "journal.db-wal"):
            shutil.copy(path.with_name(name), folder / name)
    return folder


def reopened(folder: Path) -> list[int]:
    """The jobs found, after a check of the whole file."""
    with closing(Journal(folder / "journal.db")) as journal:
        require_intact(journal.connection)
        rows = journal.connection.execute("SELECT series_uid FROM jobs ORDER BY rowid").fetchall()
        assert journal.submit(submission(99)) is not None
        return [int(row["series_uid"].rpartition(".")[2]) for row in rows]


def commits_before(wal: bytes, damaged_at: int) -> int:
    """How many of the jobs in the log were committed wholly before that byte (sqlite.org/fileformat2.html, 4.2)."""
    page = int.from_bytes(wal[8:12], "big")
    ends = [
        start + 24 + page
        for start in range(32, len(wal), 24 + page)
        if int.from_bytes(wal[start + 4 : start + 8], "big")
    ]
    return sum(end <= damaged_at for end in ends)


def test_an_undamaged_log_gives_every_job(power_cut: Path, tmp_path: Path) -> None:
    shutil.copytree(power_cut, tmp_path, dirs_exist_ok=True)

    assert reopened(tmp_path) == list(range(COMMITS))


@pytest.mark.parametrize("kind", ["cut", "flip"])
@pytest.mark.parametrize("seed", range(12))
def test_what_was_committed_before_the_damage_is_there(
    power_cut: Path, tmp_path: Path, kind: str, seed: int
) -> None:
    shutil.copytree(power_cut, tmp_path, dirs_exist_ok=True)
    wal = bytearray((tmp_path / "journal.db-wal").read_bytes())
    place = Random(seed).randrange(32, len(wal))
    kept = commits_before(bytes(wal), place)
    if kind == "cut":
        del wal[place:]
    else:
        wal[place] ^= 0xFF
    (tmp_path / "journal.db-wal").write_bytes(wal)

    assert reopened(tmp_path) == list(range(1 + kept))


@pytest.mark.parametrize("damage", [b"", b"\0" * 32])
def test_without_a_readable_log_the_file_itself_is_there(
    power_cut: Path, tmp_path: Path, damage: bytes
) -> None:
    shutil.copytree(power_cut, tmp_path, dirs_exist_ok=True)
    (tmp_path / "journal.db-wal").write_bytes(damage)

    assert reopened(tmp_path) == [0]


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"something else altogether" * 100)

    with pytest.raises(JournalDamaged, match="aside"):
        open_journal(tmp_path / "journal.db")


def test_a_page_that_was_overwritten_is_found(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with closing(Journal(path)) as journal:
        for number in range(40):
            journal.submit(submission(number))
        journal.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = journal.connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'jobs'"
        ).fetchone()
    content = bytearray(path.read_bytes())
    content[(root - 1) * 4096 : root * 4096] = b"\xa5" * 4096
    path.write_bytes(content)

    with closing(sqlite3.connect(path)) as connection, pytest.raises(JournalDamaged):
        require_intact(connection)
