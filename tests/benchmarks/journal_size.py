"""make soak, first part: how long the journal's questions take with 100,000 jobs in it."""

import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from statistics import median

from orthanc_plugin.inside.journal_reader import JobFilter, JournalReader
from orthanc_plugin.node.delivery_journal import DeliveryJournal
from orthanc_plugin.node.journal import Journal
from orthanc_plugin.node.metrics import NodeView, page
from orthanc_plugin.node.readings import read
from orthanc_plugin.node.settings import EngineSettings, RetentionSettings, Settings
from orthanc_plugin.node.spool import Spool
from orthanc_plugin.node.spool_retention import DAY_S, SpoolRetention
from orthanc_plugin.node.study_retention import RetentionRule
from tests.fakes import FakePacs

JOBS = 100_000
UNDER_WAY = 20
"""Queued jobs among them; all others ended long ago."""
ROLES = ("seg-tissues", "seg-organs", "sr", "page")
REPEATS = 11
KEEP_DAYS = 90.0
ASKED_STUDIES = 100
"""Of those that Orthanc has."""
RULE = RetentionSettings(studies_days=30.0)
NEWEST_S = 1_800_000_000.0
STEP_S = 300.0


def fill(path: Path, jobs: int = JOBS) -> None:
    """A journal as a busy node has it after a year: one study every five minutes, four results each."""
    Journal(path).close()
    states = {0: "rejected", 1: "dead", 2: "superseded"}
    with closing(sqlite3.connect(path)) as connection, connection:
        for number in range(jobs):
            key, at = f"{number:064x}", NEWEST_S - (jobs - number) * STEP_S
            state = "queued" if number >= jobs - UNDER_WAY else states.get(number % 50, "done")
            connection.execute(
                "INSERT INTO jobs (key, series_uid, series_orthanc_id, study_orthanc_id, set_hash,"
                " instance_count, profile_hash, models, code_version, run, state, run_at, created_at,"
                " updated_at) VALUES (?, ?, ?, ?, ?, 300, 'p', '[]', 'c', 1, ?, ?, ?, ?)",
                (key, f"1.2.{number}", f"s{number}", f"t{number}", f"h{number}", state, at, at, at),
            )
            connection.executemany(
                "INSERT INTO audit (at, actor, event, key, detail) VALUES (?, 'node', ?, ?, '')",
                [(at, event, key) for event in ("queued", "computed", "done")],
            )
            if state in ("done", "superseded") and at < NEWEST_S - KEEP_DAYS * DAY_S:
                connection.execute("UPDATE jobs SET spooled = 0 WHERE key = ?", (key,))
            if state != "done":
                continue
            connection.execute(
                "INSERT INTO attempts VALUES (?, 1, ?, ?, 'done', '')", (key, at, at + 9)
            )
            for role in ROLES:
                connection.execute(
                    "INSERT INTO results (key, role, file_name, sha256, bytes, sop_uid, orthanc_id)"
                    " VALUES (?, ?, ?, 'x', 1000, ?, 'o')",
                    (key, role, f"{role}.dcm", f"1.2.{number}.{role}"),
                )
                connection.execute(
                    "INSERT INTO deliveries (key, role, destination, required, state, next_try_at,"
                    " updated_at) VALUES (?, ?, 'pacs', 1, 'confirmed', ?, ?)",
                    (key, role, at, at),
                )


def question_ms(path: Path) -> Mapping[str, float]:
    """Median milliseconds of what the page, the worker and the outbox ask all day."""
    reader, journal = JournalReader(path), Journal(path, lambda: NEWEST_S)
    deliveries = DeliveryJournal(journal)
    newest = f"{JOBS - UNDER_WAY - 5:064x}"
    spool = SpoolRetention(journal, Spool(path.parent / "spool"))
    rule = RetentionRule(journal.connection, FakePacs(), journal.clock)
    settings = Settings(data_folder=path.parent, engine=EngineSettings(models_folder=path.parent))
    studies = [f"t{number}" for number in range(0, JOBS, JOBS // ASKED_STUDIES)]
    questions: Mapping[str, Callable[[], object]] = {
        "status (counts by state)": lambda: reader.counts(NEWEST_S),
        "metrics (one scrape)": lambda: page(
            NodeView(readings=read(path, NEWEST_S), settings=settings, started_at=0.0)
        ),
        "newest jobs": lambda: reader.jobs(JobFilter()),
        "rejected jobs": lambda: reader.jobs(JobFilter(state="rejected")),
        "one job with its history": lambda: reader.job(newest),
        "series not taken": reader.not_taken,
        "take the next job": lambda: journal.take(60.0),
        "deliveries due": lambda: deliveries.due("pacs", 10),
        "results to store": deliveries.results_to_store,
        "results superseded here": deliveries.superseded_here,
        "jobs to settle": deliveries.settle,
        "results to take out of the spool": lambda: spool.step(KEEP_DAYS),
        f"retention of {ASKED_STUDIES} studies": lambda: [
            rule.by_journal(study, RULE) for study in studies
        ],
    }
    times = {name: median(_ms(ask) for _ in range(REPEATS)) for name, ask in questions.items()}
    journal.close()
    return times


def _ms(ask: Callable[[], object]) -> float:
    started = time.perf_counter()
    ask()
    return (time.perf_counter() - started) * 1000.0
