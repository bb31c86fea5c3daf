"""A machine is lost in the midst of its work: a backup taken while it worked, put onto an empty one, goes on from there."""

import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from tests.dicom_peers import Receiver, ct_series, receiver, send
from tests.orthanc_process import (
    REPOSITORY_ROOT,
    OrthancProcess,
    orthanc,
    private_network,
    standalone_node,
    wait_for,
    why_not,
)

pytestmark = [pytest.mark.orthanc, pytest.mark.skipif(bool(why_not()), reason=why_not())]

WAITING = ("runs", "waits", "waits-too")


@pytest.fixture(autouse=True)
def _network() -> Iterator[None]:
    with private_network():
        yield


def habitus(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command, as an operator runs it."""
    return subprocess.run(
        [sys.executable, "-m", "habitus", *map(str, arguments)],
        cwd=REPOSITORY_ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


@contextmanager
def at_work(folder: Path) -> Iterator[OrthancProcess]:
    """A node of its own with one study delivered, one that hangs in the engine and two that wait."""
    with orthanc(folder, node="standalone") as one, standalone_node(one) as node:
        wait_for(lambda: bool(one.get("/habitus/status")["engine"]), 60.0, "the engine")
        send(ct_series(3, seed="delivered"))
        one.wait_for_jobs(["done"])
        one.wait_for_deliveries({"confirmed"})
        one.behaviour.write_text("hang")
        for seed in WAITING:
            send(ct_series(3, seed=seed))
        one.wait_for_jobs(["done", "running", "queued", "queued"])
        yield one
        node.kill()


def settings_on(machine: Path) -> None:
    """As much of a configuration as a restore wants; the start writes the rest."""
    (machine / "models").mkdir(parents=True)
    (machine / "habitus.toml").write_text(
        'data_folder = "node"\n[engine]\nmodels_folder = "models"\n'
    )


def contents(pacs: Receiver) -> dict[str, set[bytes]]:
    """What came under each UID."""
    seen: defaultdict[str, set[bytes]] = defaultdict(set)
    for image in pacs.received:
        seen[str(image.SOPInstanceUID)].add(image.to_json().encode())
    return seen


def studies(images: list[Dataset]) -> set[str]:
    """The studies that results came of."""
    return {str(image.StudyInstanceUID) for image in images}


def study_of(seed: str) -> str:
    """The UID of a study that was sent."""
    return str(ct_series(1, seed=seed)[0].StudyInstanceUID)


def keys(jobs: list[dict[str, Any]]) -> set[str]:
    """Of the jobs."""
    return {job["key"] for job in jobs}


def require_all_once(pacs: Receiver, before: int) -> None:
    """Everything that waited came once after the restore, and no UID has two contents."""
    late = pacs.received[before:]
    assert studies(late) == {study_of(seed) for seed in WAITING}
    assert len(late) == 2 * len(WAITING)
    assert {len(each) for each in contents(pacs).values()} == {1}


def test_with_images_the_queue_goes_on_where_it_stood(tmp_path: Path) -> None:
    lost, empty, backup = tmp_path / "lost", tmp_path / "empty", tmp_path / "backup"
    with receiver() as pacs:
        with at_work(lost) as one:
            settings, storage = lost / "habitus.toml", lost / "storage"
            refused = habitus("backup", backup, "--settings", settings, "--images", storage)
            jobs = one.jobs()
            one.stop()
            # The node of its own still works.
            copied = habitus("backup", backup, "--settings", settings, "--images", storage)
        assert (refused.returncode, copied.returncode) == (2, 0), refused.stderr + copied.stderr
        assert "Stop Orthanc" in refused.stderr
        shutil.rmtree(lost)
        settings_on(empty)
        restored = habitus(
            *("restore", backup, "--settings", empty / "habitus.toml"),
            *("--images", empty / "storage"),
        )
        assert restored.returncode == 0, restored.stderr
        before = len(pacs.received)
        with orthanc(empty) as two:
            done = two.wait_for_jobs(["done"] * 4, 90.0)
            two.wait_for_deliveries({"confirmed"})
        require_all_once(pacs, before)

    assert keys(done) == keys(jobs)


def test_without_images_open_jobs_say_so_and_go_on_once_the_images_come_again(
    tmp_path: Path,
) -> None:
    lost, empty, backup = tmp_path / "lost", tmp_path / "empty", tmp_path / "backup"
    with receiver() as pacs:
        with at_work(lost) as one:
            copied = habitus("backup", backup, "--settings", lost / "habitus.toml")
            jobs = one.jobs()
        assert copied.returncode == 0, copied.stderr
        shutil.rmtree(lost)
        settings_on(empty)
        restored = habitus("restore", backup, "--settings", empty / "habitus.toml")
        assert restored.returncode == 0, restored.stderr
        before = len(pacs.received)
        with orthanc(empty) as two:
            waiting = two.wait_for_jobs(["done", "rejected", "rejected", "rejected"], 90.0)
            for seed in WAITING:
                send(ct_series(3, seed=seed))
            done = two.wait_for_jobs(["done"] * 4, 60.0)
            two.wait_for_deliveries({"confirmed"})
        require_all_once(pacs, before)

    assert {job["reason"] for job in waiting if job["state"] == "rejected"} == {"source-deleted"}
    assert keys(done) == keys(jobs)


def test_what_was_delivered_after_the_backup_comes_again_under_uids_of_its_own(
    tmp_path: Path,
) -> None:
    lost, empty, backup = tmp_path / "lost", tmp_path / "empty", tmp_path / "backup"
    with receiver() as pacs:
        with orthanc(lost) as one:
            send(ct_series(3, seed="before"))
            one.wait_for_jobs(["done"], 60.0)
            copied = habitus("backup", backup, "--settings", lost / "habitus.toml")
            send(ct_series(3, seed="after"))
            one.wait_for_jobs(["done", "done"])
        assert copied.returncode == 0, copied.stderr
        shutil.rmtree(lost)
        settings_on(empty)
        assert habitus("restore", backup, "--settings", empty / "habitus.toml").returncode == 0
        before = len(pacs.received)
        with orthanc(empty) as two:
            wait_for(lambda: bool(two.get("/habitus/status")["engine"]), 60.0, "the engine")
            send(ct_series(3, seed="before"))
            send(ct_series(3, seed="after"))
            two.wait_for_jobs(["done", "done"], 60.0)
            two.wait_for_deliveries({"confirmed"})
        late = pacs.received[before:]

    assert before == 4
    assert studies(late) == {study_of("after")}
    assert {len(each) for each in contents(pacs).values()} == {1}
    assert len(contents(pacs)) == 6
