"""One contract for both lives of a node: inside Orthanc's life, and as a unit of its own. Whatever dies, no study is lost."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.dicom_peers import ct_series, receiver, send
from tests.lives import LIVES, STANDALONE, Life, is_gone, life
from tests.orthanc_process import (
    OrthancProcess,
    private_network,
    standalone_node,
    wait_for,
    why_not,
)

pytestmark = [pytest.mark.orthanc, pytest.mark.skipif(bool(why_not()), reason=why_not())]


@pytest.fixture(autouse=True)
def _network() -> Iterator[None]:
    with private_network():
        yield


@pytest.fixture(params=LIVES)
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Life]:
    with life(request.param, tmp_path) as one:
        yield one


def tries(one: Life, key: str) -> list[tuple[str, str]]:
    """How each try of a job ended, and why."""
    log = one.orthanc.get(f"/habitus/jobs/{key}")["attempt_log"]
    return [(each["outcome"], each["reason"] or "") for each in log]


def test_a_study_comes_back_as_results_at_the_pacs(node: Life) -> None:
    with receiver() as pacs:
        statuses = send(ct_series(5))
        (job,) = node.orthanc.wait_for_jobs(["done"])

    assert statuses == [0] * 5
    assert job["instance_count"] == 5
    assert len(pacs.received) == 2
    assert {each["state"] for each in job["deliveries"]} == {"confirmed"}


def test_status_and_health_say_who_runs_the_node(node: Life) -> None:
    status, pid = node.orthanc.get("/habitus/status")["node"], node.node_pid()

    assert status["supervised"] is node.is_embedded
    assert status["running"] is node.is_embedded
    assert status["pid"] == (pid if node.is_embedded else None)
    assert status["silent_s"] < 30
    assert node.orthanc.get("/habitus/health/live") == {"live": True}
    assert node.orthanc.get("/habitus/health/ready") == {"ready": True}


@pytest.mark.parametrize("end", [OrthancProcess.kill, OrthancProcess.stop])
def test_orthanc_restarts_in_the_midst_of_a_job_and_no_try_is_charged(
    node: Life, end: Callable[[OrthancProcess], None]
) -> None:
    node.orthanc.behaviour.write_text("slow")
    with receiver() as pacs:
        send(ct_series(3))
        node.wait_for_stage()
        before = node.node_pid(), node.engine_pid()
        end(node.orthanc)
        if node.is_embedded:
            wait_for(lambda: is_gone(*before), 10.0, "node and engine to be gone")
        node.orthanc.start()
        (job,) = node.orthanc.wait_for_jobs(["done"])
        after = node.node_pid(), node.engine_pid()

    assert job["attempts"] == 1
    assert len(pacs.received) == 2
    interrupted, whole = ("queued", "node-restarted"), ("computed", "")
    # Orthanc takes a second or two to stop politely, in which a job may come to its end.
    may_end = not node.is_embedded or end is OrthancProcess.stop
    expected = [[interrupted, whole]] * node.is_embedded + [[whole]] * may_end
    assert tries(node, job["key"]) in expected
    # A unit of its own goes on with the very job.
    assert (before == after) is not node.is_embedded


def test_a_killed_node_is_started_again_and_no_try_is_charged(node: Life) -> None:
    node.orthanc.behaviour.write_text("slow")
    with receiver() as pacs:
        send(ct_series(3))
        node.wait_for_stage()
        victim, engine = node.node_pid(), node.engine_pid()
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: is_gone(engine), 10.0, "the engine to follow its node")
        node.start_node()
        wait_for(lambda: node.node_pid() not in (None, victim), 15.0, "another node")
        (job,) = node.orthanc.wait_for_jobs(["done"])

    assert job["attempts"] == 1
    assert tries(node, job["key"]) == [("queued", "node-restarted"), ("computed", "")]
    assert len(pacs.received) == 2


def test_a_polite_stop_is_clean_and_loses_nothing(node: Life) -> None:
    node.orthanc.behaviour.write_text("slow")
    with receiver() as pacs:
        send(ct_series(3))
        node.wait_for_stage()
        pids = node.node_pid(), node.engine_pid()
        status = node.stop_node()
        wait_for(lambda: is_gone(*pids), 10.0, "node and engine to be gone")
        if node.is_embedded:
            node.orthanc.start()
        still_an_archive = node.orthanc.get("/habitus/jobs")["jobs"]
        node.start_node()
        (job,) = node.orthanc.wait_for_jobs(["done"])

    assert status == 0
    assert len(still_an_archive) == 1
    assert job["attempts"] == 1
    assert len(pacs.received) == 2


def test_a_second_node_on_the_same_data_folder_is_refused(node: Life) -> None:
    with standalone_node(node.orthanc) as second:
        code = second.wait(60.0)
    with receiver():
        send(ct_series(3))
        node.orthanc.wait_for_jobs(["done"])

    assert code == 2
    assert "in use by another node" in node.orthanc.log_path.read_text()


def test_images_and_wishes_that_come_while_a_unit_of_its_own_is_away_are_met_later(
    tmp_path: Path,
) -> None:
    with life(STANDALONE, tmp_path) as node, receiver() as pacs:
        send(ct_series(3))
        (job,) = node.orthanc.wait_for_jobs(["done"])
        node.stop_node()
        send(ct_series(3, seed="meanwhile"))
        answer = node.orthanc.ask(
            f"/habitus/jobs/{job['key']}/body-size", {"height_m": 1.72, "weight_kg": 81.5}
        )
        node.start_node()
        outcome = node.orthanc.outcome(answer)
        node.orthanc.wait_for_jobs(["done", "done", "superseded"])
        wait_for(lambda: len(pacs.received) == 6, 10.0, "all results")

    assert outcome == "new-run"


def test_a_unit_of_its_own_may_start_before_orthanc(tmp_path: Path) -> None:
    with life(STANDALONE, tmp_path) as node, receiver():
        node.stop_node()
        node.orthanc.kill()
        node.start_node()
        wait_for(
            lambda: "waiting-for-orthanc" in node.orthanc.log_path.read_text(),
            60.0,
            "a node that waits",
        )
        node.orthanc.start()
        send(ct_series(3))
        node.orthanc.wait_for_jobs(["done"])
