"""A journal that grows: what is asked all day is answered from indices and tallies, never by walking through all jobs."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orthanc_plugin.inside.journal_reader import JournalReader
from orthanc_plugin.node import readings
from orthanc_plugin.node.delivery_journal import DeliveryJournal
from orthanc_plugin.node.journal import Journal
from orthanc_plugin.node.settings import RetentionSettings
from orthanc_plugin.node.spool import Spool
from orthanc_plugin.node.spool_retention import SpoolRetention
from orthanc_plugin.node.study_retention import RetentionRule
from tests.benchmarks.journal_size import NEWEST_S, fill
from tests.fakes import FakePacs


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of 200 jobs."""
    fill(tmp_path / "journal.db", 200)
    return tmp_path / "journal.db"


def test_nothing_asked_all_day_walks_through_a_table(path: Path) -> None:
    journal = Journal(path)
    asked: list[str] = []
    journal.connection.set_trace_callback(asked.append)
    deliveries = DeliveryJournal(journal)
    deliveries.due("pacs", 10)
    deliveries.results_to_store()
    deliveries.settle()
    journal.take(60.0)
    journal.connection.set_trace_callback(None)
    questions = [text for text in asked if text.startswith(("SELECT", "UPDATE"))]

    plans = {
        text: [row["detail"] for row in journal.connection.execute(f"EXPLAIN QUERY PLAN {text}")]
        for text in questions
    }

    assert len(questions) >= 4
    walks = {
        text: line
        for text, lines in plans.items()
        for line in lines
        if line.startswith("SCAN") and "results_not_stored" not in line
    }
    assert walks == {}
    # A search by state would be no walk, and yet visit every job that ever was done.
    firsts = [lines[0] for lines in plans.values()]
    assert any(one.startswith("SCAN") and "results_not_stored" in one for one in firsts)


def plans_of(journal: Journal, ask: Callable[[], object]) -> str:
    """How SQLite finds what was asked."""
    asked: list[str] = []
    journal.connection.set_trace_callback(asked.append)
    ask()
    journal.connection.set_trace_callback(None)
    lines = [
        row["detail"]
        for text in asked
        for row in journal.connection.execute(f"EXPLAIN QUERY PLAN {text}")
    ]
    return "\n".join(lines)


def test_the_spool_is_asked_for_what_may_go_alone(path: Path) -> None:
    journal = Journal(path, lambda: 0.0)
    spool = SpoolRetention(journal, Spool(path.parent / "spool"))

    plan = plans_of(journal, lambda: spool.step(90.0))

    assert "SEARCH jobs USING INDEX jobs_to_unspool (updated_at<?)" in plan


def test_retention_finds_the_deliveries_of_a_study_and_not_all_of_a_state(path: Path) -> None:
    journal = Journal(path)
    rule = RetentionRule(journal.connection, FakePacs(), journal.clock)

    plan = plans_of(journal, lambda: rule.by_journal("t7", RetentionSettings(studies_days=1.0)))

    assert "jobs USING INDEX jobs_study" in plan
    assert plan.count("SEARCH d ") == 4
    assert "state=" not in plan


def test_a_scrape_walks_through_no_table_that_grows(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    @contextmanager
    def traced(journal_path: Path) -> Iterator[sqlite3.Connection]:
        with opened(journal_path) as connection:
            connection.set_trace_callback(asked.append)
            yield connection

    opened = readings._opened
    monkeypatch.setattr(readings, "_opened", traced)
    readings.read(path, NEWEST_S)
    journal = Journal(path)

    lines = [
        row["detail"]
        for text in asked
        if text.startswith("SELECT")
        for row in journal.connection.execute(f"EXPLAIN QUERY PLAN {text}")
    ]

    assert {line for line in lines if line.startswith("SCAN")} == {
        # A row for each destination that there ever was, and for each bucket.
        "SCAN destination_outcomes",
        "SCAN histograms",
    }
    assert "SEARCH jobs USING INDEX jobs_queued_lane (priority=?)" in lines


def test_the_tallies_are_what_counting_would_give(path: Path) -> None:
    journal = Journal(path, lambda: NEWEST_S)
    journal.take(60.0)
    journal.connection.execute("DELETE FROM deliveries WHERE key LIKE '%7'")
    journal.connection.execute(
        "UPDATE deliveries SET state = 'sent', tries = 1 WHERE key LIKE '%9'"
    )
    journal.connection.execute("UPDATE deliveries SET state = 'sent' WHERE key LIKE '%9'")
    journal.connection.execute(
        "INSERT INTO skipped (series_uid, reason, seen_at) VALUES ('1.2', 'not-ct', 0)"
    )

    counts = JournalReader(path).counts(0.0)

    for table, column, name in (
        ("jobs", "state", "jobs"),
        ("deliveries", "state", "deliveries"),
        ("skipped", "reason", "skipped_series"),
    ):
        rows = journal.connection.execute(
            f"SELECT {column} AS name, count(*) AS n FROM {table} GROUP BY {column}"
        )
        assert counts[name] == {row["name"]: row["n"] for row in rows}
    rows = journal.connection.execute(
        "SELECT state, destination, count(*) AS n FROM deliveries GROUP BY state, destination"
    )
    told = readings.read(path, NEWEST_S).deliveries
    assert told == {(row["state"], row["destination"]): row["n"] for row in rows}
    assert counts["deliveries"]["sent"] > 0
    assert counts["jobs"]["running"] == 1
