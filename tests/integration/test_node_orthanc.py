"""The node in a real Orthanc, with the fake analyser: C-STORE in, results at a second receiver, whatever dies meanwhile."""

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
import requests

from tests.dicom_peers import ct_series, receiver, send
from tests.orthanc_process import (
    OrthancProcess,
    child_pids,
    orthanc,
    private_network,
    wait_for,
    why_not,
)
from tests.synthetic_study import SEVEN_PORTAL, study_of_seven

pytestmark = [pytest.mark.orthanc, pytest.mark.skipif(bool(why_not()), reason=why_not())]


@pytest.fixture(autouse=True)
def _network() -> Iterator[None]:
    with private_network():
        yield


@pytest.fixture
def node(tmp_path: Path) -> Iterator[OrthancProcess]:
    with orthanc(tmp_path) as running:
        wait_for(lambda: running.node_pid() is not None, 10.0, "the node")
        yield running


def engine_pid(node: OrthancProcess) -> int | None:
    """Of the engine child, once its models are loaded."""
    status = node.get("/habitus/status")
    pid = status["node"]["pid"]
    children = child_pids(pid) if pid and status["engine"] else []
    return children[0] if children else None


def wait_for_stage(node: OrthancProcess, stage: str) -> None:
    """Until a job runs in that stage."""
    wait_for(
        lambda: any(j["state"] == "running" and j["stage"] == stage for j in node.jobs()),
        15.0,
        f"a job in stage {stage}",
    )


def test_results_are_in_our_own_archive_and_start_no_job(node: OrthancProcess) -> None:
    with receiver():
        send(ct_series(3))
        node.wait_for_jobs(["done"])
        wait_for(
            lambda: node.get("/habitus/status")["skipped_series"] == {"own-result": 2},
            10.0,
            "both results seen and skipped",
        )

    assert len(node.get("/instances")) == 5
    assert len(node.jobs()) == 1


def test_report_and_picture_are_served_and_the_page_is_there(node: OrthancProcess) -> None:
    with receiver():
        send(ct_series(3))
        (job,) = node.wait_for_jobs(["done"])

    report = node.get(f"/habitus/report/{job['key']}")
    picture = node.session.get(f"{node.url}/habitus/jobs/{job['key']}/pictures/l3.png", timeout=5)
    page = node.session.get(f"{node.url}/habitus/", timeout=5)
    script = node.session.get(f"{node.url}/habitus/page.js", timeout=5)
    explorer = node.session.get(f"{node.url}/plugins/explorer.js", timeout=5)
    assert report["slices"] == 3
    assert picture.content.startswith(b"\x89PNG")
    assert "<title>Habitus</title>" in page.text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert script.headers["Content-Type"].startswith("text/javascript")
    assert "habitus-link" in explorer.text


def test_of_a_study_one_series_is_analysed_and_the_rest_is_explained(node: OrthancProcess) -> None:
    study = study_of_seven()
    images = [image for name in study if name != "dose page" for image in study[name][::3]]
    Random(3).shuffle(images)
    with receiver():
        assert set(send(images)) == {0}
        (job,) = node.wait_for_jobs(["done"])

    assert job["choice"]["series_number"] == SEVEN_PORTAL
    assert "portal venous phase by its name (+20)" in job["choice"]["detail"]
    reasons = {row["series_number"]: row["reason"] for row in job["not_taken"]}
    assert reasons == {
        1: "scout",
        2: "outscored-kernel",
        3: "outscored-phase",
        4: "not-axial",
        6: "outscored-phase",
    }


def test_where_the_best_series_is_rejected_the_next_one_is_analysed(node: OrthancProcess) -> None:
    node.behaviour.write_text("reject")
    study = study_of_seven()
    with receiver():
        send([*study["portal"][:12], *study["arterial"][:12]])
        node.wait_for_jobs(["rejected", "rejected"])

    assert sorted(job["choice"]["series_number"] for job in node.jobs()) == [6, SEVEN_PORTAL]


def test_an_unknown_path_is_not_found(node: OrthancProcess) -> None:
    wait_for(lambda: engine_pid(node) is not None, 10.0, "the engine")
    key = "0" * 32
    paths = [
        f"/habitus/jobs/{key}",
        f"/habitus/report/{key}",
        f"/habitus/jobs/{key}/pictures/l3.png",
        "/habitus/jobs/..%2f..%2fjournal.db",
        "/habitus/nothing",
    ]

    statuses = {path: node.session.get(node.url + path, timeout=5).status_code for path in paths}

    assert statuses == dict.fromkeys(paths, 404)


def test_a_killed_engine_costs_one_try_and_the_job_completes(node: OrthancProcess) -> None:
    node.behaviour.write_text("hang-once")
    with receiver() as pacs:
        send(ct_series(3))
        wait_for_stage(node, "fake stage")
        victim = engine_pid(node)
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        (job,) = node.wait_for_jobs(["done"])

    assert job["attempts"] == 2
    assert len(pacs.received) == 2


def test_a_job_past_its_wall_clock_limit_is_killed_and_given_up(tmp_path: Path) -> None:
    with orthanc(tmp_path, job_wall_clock_s=0.5) as running, receiver():
        running.behaviour.write_text("hang")
        send(ct_series(3))
        (job,) = running.wait_for_jobs(["dead"])

    assert (job["attempts"], job["reason"]) == (3, "engine-timeout")


def test_orthanc_killed_before_the_series_was_quiet_loses_nothing(node: OrthancProcess) -> None:
    with receiver():
        send(ct_series(4))
        node.kill()
        node.start()
        (job,) = node.wait_for_jobs(["done"])

    assert job["instance_count"] == 4


def test_a_poison_job_is_dead_after_three_tries_and_the_next_one_runs(
    node: OrthancProcess,
) -> None:
    node.behaviour.write_text("die")
    with receiver() as pacs:
        send(ct_series(3, seed="poison"))
        node.wait_for_jobs(["dead"])
        node.behaviour.write_text("good")
        send(ct_series(3, seed="good"))
        good, poison = node.wait_for_jobs(["dead", "done"])

    assert poison["attempts"] == 3
    assert poison["reason"] == "engine-died"
    assert good["attempts"] == 1
    assert len(pacs.received) == 2


def test_a_rejection_is_shown_with_its_reason_and_can_be_run_again(node: OrthancProcess) -> None:
    node.behaviour.write_text("reject")
    with receiver():
        send(ct_series(3))
        (rejected,) = node.wait_for_jobs(["rejected"])
        node.behaviour.write_text("good")
        outcome = node.outcome(node.ask(f"/habitus/jobs/{rejected['key']}/requeue"))
        node.wait_for_jobs(["done"])

    assert rejected["reason"] == "no-l3"
    assert outcome == "revived"
    with closing(sqlite3.connect(node.folder / "node" / "journal.db")) as journal:
        actors = journal.execute("SELECT actor FROM audit WHERE event = 'requeued'").fetchall()
    journal.close()
    assert actors == [("otto",)]


def test_a_pacs_that_is_away_gets_the_results_later(node: OrthancProcess) -> None:
    send(ct_series(3))
    (job,) = node.wait_for_jobs(["computed"])
    wait_for(
        lambda: any(d["reason"] == "refused-or-away" for d in node.jobs()[0]["deliveries"]),
        15.0,
        "a failed delivery",
    )

    with receiver() as pacs:
        node.wait_for_jobs(["done"])

    assert job["results"] == ["report", "seg-tissues", "sr"]
    assert len(pacs.received) == 2


def test_a_pacs_that_refuses_an_object_is_not_taken_for_done(node: OrthancProcess) -> None:
    with receiver() as pacs:
        pacs.store_status = 0xA700
        send(ct_series(3))
        wait_for(
            lambda: any(d["tries"] >= 2 for j in node.jobs() for d in j["deliveries"]),
            15.0,
            "two refused deliveries",
        )
        refused = node.jobs()[0]["state"]
        pacs.store_status = 0x0000
        node.wait_for_jobs(["done"])

    assert refused == "computed"


def test_a_pacs_that_answers_no_query_leaves_deliveries_unverified(node: OrthancProcess) -> None:
    with receiver(answers_queries=False) as pacs:
        send(ct_series(3))
        wait_for(
            lambda: node.get("/habitus/status")["deliveries"] == {"sent-unverified": 2},
            15.0,
            "unverified deliveries",
        )

    assert node.jobs()[0]["state"] == "computed"
    assert len(pacs.received) == 2


def test_who_is_not_known_or_calls_us_by_another_name_is_not_served(node: OrthancProcess) -> None:
    unknown_caller = send(ct_series(1), calling="STRANGER")
    wrong_name = send(ct_series(1), called="ANYONE")

    assert unknown_caller in ([], [None])
    assert wrong_name == []
    assert node.get("/instances") == []


def test_nobody_enters_without_a_password(node: OrthancProcess) -> None:
    paths = ["/system", "/habitus", "/habitus/index.html", "/habitus/status", "/habitus/jobs"]

    statuses = {path: requests.get(node.url + path, timeout=5).status_code for path in paths}

    assert statuses == dict.fromkeys(paths, 401)
