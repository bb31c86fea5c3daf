"""The release before this one is stopped in the midst of its work, and this one goes on from its journal; and the way back."""

import io
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from orthanc_plugin.node.journal import Journal
from orthanc_plugin.node.journal_schema import MIGRATIONS
from tests.dicom_peers import ct_series, receiver, send
from tests.orthanc_process import (
    MORTAL,
    REPOSITORY_ROOT,
    OrthancProcess,
    orthanc,
    private_network,
    standalone_node,
    wait_for,
    why_not,
)

pytestmark = [pytest.mark.orthanc, pytest.mark.skipif(bool(why_not()), reason=why_not())]

SCHEMA = "orthanc_plugin/node/journal_schema.py"
OPEN = ("runs", "waits", "waits-too")


def git(*arguments: str) -> bytes | None:
    """What it says; None where it is not there or refuses."""
    if shutil.which("git") is None:
        return None
    done = subprocess.run(
        ["git", "-c", f"safe.directory={REPOSITORY_ROOT}", *arguments],
        cwd=REPOSITORY_ROOT,
        capture_output=True,
        check=False,
    )
    return done.stdout if done.returncode == 0 else None


def before_the_newest_schema() -> str:
    """The commit whose journal is one step older; empty where this is no whole clone."""
    if (git("rev-parse", "--is-shallow-repository") or b"").strip() != b"false":
        return ""
    newest = (git("log", "-1", "--format=%H", "--", SCHEMA) or b"").decode().strip()
    return f"{newest}^" if newest and git("rev-parse", "--verify", f"{newest}^") else ""


def the_release_before() -> str:
    """The newest tag before this commit, else the last commit with an older journal."""
    tag = (git("describe", "--tags", "--abbrev=0", "HEAD^") or b"").decode().strip()
    return tag or before_the_newest_schema()


def checked_out(revision: str, folder: Path) -> Path:
    """The code as it was."""
    whole = git("archive", revision) if revision else None
    if whole is None:
        pytest.skip("needs git and a clone with its history")
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checked_out(the_release_before(), tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def older_journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checked_out(before_the_newest_schema(), tmp_path_factory.mktemp("older"))


@pytest.fixture(autouse=True)
def _network() -> Iterator[None]:
    with private_network():
        yield


@contextmanager
def node_of(code: Path, one: OrthancProcess) -> Iterator[subprocess.Popen[bytes]]:
    """Another release's node, on the data folder beside this Orthanc."""
    with one.log_path.open("ab") as log:
        process = subprocess.Popen(
            [
                *MORTAL,
                *(sys.executable, "-m", "orthanc_plugin.node", "--standalone"),
                *("--settings", str(one.folder / "habitus.toml")),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=code,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def installed(code: Path, folder: Path) -> Iterator[tuple[OrthancProcess, subprocess.Popen[bytes]]]:
    """Orthanc with that release's plugin, and its node."""
    script = {"PythonScript": str(code / "orthanc_plugin" / "entry" / "habitus_plugin.py")}
    with (
        orthanc(folder, node="standalone", further=script) as one,
        node_of(code, one) as process,
    ):
        wait_for(lambda: bool(one.get("/habitus/status")["engine"]), 60.0, "the engine")
        yield one, process


def schema_of(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "node" / "journal.db")) as journal:
        (version,) = journal.execute("PRAGMA user_version").fetchone()
    return int(version)


def contents(images: list[Dataset]) -> dict[str, set[bytes]]:
    """What came under each UID."""
    seen: defaultdict[str, set[bytes]] = defaultdict(set)
    for image in images:
        seen[str(image.SOPInstanceUID)].add(image.to_json().encode())
    return seen


def in_flight(one: OrthancProcess) -> list[Dataset]:
    """One study delivered, one computed while the receiver is away, one in the engine, two queued; what was received."""
    with receiver() as pacs:
        send(ct_series(3, seed="delivered"))
        one.wait_for_jobs(["done"])
    send(ct_series(3, seed="undelivered"))
    one.wait_for_jobs(["computed", "done"])
    one.behaviour.write_text("hang")
    for seed in OPEN:
        send(ct_series(3, seed=seed))
    one.wait_for_jobs(["computed", "done", "queued", "queued", "running"])
    return pacs.received


@pytest.mark.parametrize(
    ("end", "is_other_engine"),
    [(signal.SIGTERM, False), (signal.SIGKILL, True)],
    ids=["politely, the same models", "killed, newer models"],
)
def test_this_release_goes_on_where_the_one_before_was_stopped(
    tmp_path: Path, release: Path, end: signal.Signals, is_other_engine: bool
) -> None:
    with installed(release, tmp_path) as (old, process):
        received = in_flight(old)
        known = {job["key"] for job in old.jobs()}
        (interrupted,) = (job["key"] for job in old.jobs() if job["state"] == "running")
        process.send_signal(end)
        status = process.wait(15.0)
        before = schema_of(tmp_path)
        old.behaviour.write_text("good")
    if is_other_engine:
        (tmp_path / "models" / "version").write_text("1" * 64)
    superseded = ["superseded"] * len(OPEN) * is_other_engine
    with receiver() as pacs, orthanc(tmp_path, node="standalone") as new, standalone_node(new):
        jobs = new.wait_for_jobs(["done"] * 5 + superseded, 90.0)
        new.wait_for_deliveries({"confirmed"}, 60.0)
        received += pacs.received
        tries = new.get(f"/habitus/jobs/{interrupted}")["attempt_log"]

    # At the start, not once its lease has run out.
    assert (tries[0]["outcome"], tries[0]["reason"]) == ("queued", "node-restarted")
    assert status == (0 if end is signal.SIGTERM else -signal.SIGKILL)
    assert before <= schema_of(tmp_path) == len(MIGRATIONS)
    assert known <= {job["key"] for job in jobs}
    expected = [str(ct_series(1, seed=seed)[0].StudyInstanceUID) for seed in OPEN]
    expected += [
        str(ct_series(1, seed=seed)[0].StudyInstanceUID) for seed in ("delivered", "undelivered")
    ]
    assert sorted(str(image.StudyInstanceUID) for image in received) == sorted(expected * 2)
    assert {len(each) for each in contents(received).values()} == {1}
    assert len(contents(received)) == len(received)


def refusal(code: Path, one: OrthancProcess) -> tuple[int, str]:
    """How that release's node ends on the journal, and what it says."""
    before = one.log_path.stat().st_size
    with node_of(code, one) as process:
        status = process.wait(60.0)
    return status, one.log_path.read_bytes()[before:].decode(errors="replace")


def habitus(*arguments: Any) -> None:
    """This release's command, which must succeed."""
    subprocess.run(
        [sys.executable, "-m", "habitus", *map(str, arguments)],
        cwd=REPOSITORY_ROOT,
        check=True,
        timeout=120,
    )


def test_the_way_back_is_the_backup_taken_before(tmp_path: Path, older_journal: Path) -> None:
    settings, data, backup = tmp_path / "habitus.toml", tmp_path / "node", tmp_path / "backup"
    with receiver() as pacs:
        with installed(older_journal, tmp_path) as (old, process):
            send(ct_series(3, seed="one"))
            (job,) = old.wait_for_jobs(["done"])
            habitus("backup", backup, "--settings", settings)
            before = schema_of(tmp_path)
            process.terminate()
            process.wait(15.0)
            # What the start of this release does to it.
            Journal(data / "journal.db").close()
            status, said = refusal(older_journal, old)
            data.rename(tmp_path / "aside")
            habitus("restore", backup, "--settings", settings)
            restored = schema_of(tmp_path)
            with node_of(older_journal, old):
                send(ct_series(3, seed="two"))
                old.wait_for_jobs(["done", "done"], 60.0)
        received = pacs.received

    assert status == 2
    assert f"found a journal of schema version {len(MIGRATIONS)}" in said
    assert "written by a newer Habitus" in said
    assert (before, restored) == (len(MIGRATIONS) - 1, len(MIGRATIONS) - 1)
    assert job["state"] == "done"
    assert len(received) == 4
