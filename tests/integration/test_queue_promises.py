"""What a queue promises, with a real Orthanc: urgent studies first, and a poison one in nobody's way."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orthanc_plugin.node.orthanc_config import modality_of
from tests.dicom_peers import ct_series, receiver, send
from tests.fake_analyser import SLOW_S
from tests.orthanc_process import (
    RECEIVER,
    SENDER,
    SETTINGS,
    OrthancProcess,
    orthanc,
    private_network,
    wait_for,
    why_not,
)

pytestmark = [pytest.mark.orthanc, pytest.mark.skipif(bool(why_not()), reason=why_not())]

QUEUED = 20
NOISE_S = 1.0
"""Of a machine that does other work; a try of the poison costs the next study more."""
TRAUMA = replace(SENDER, name="trauma", ae_title="ER1")
KNOWN = {"DicomModalities": {each.name: modality_of(each) for each in (SENDER, TRAUMA, RECEIVER)}}
RULES = """
[[rules]]
name = "trauma"
calling = "ER1"
priority = "stat"

[[rules]]
name = "rest"
"""


@pytest.fixture(autouse=True)
def _network() -> Iterator[None]:
    with private_network():
        yield


def study(first: int, seed: str) -> list[Any]:
    """Three slices; by the number of the first one the fake analyser knows what to do."""
    return ct_series(first + 2, seed=seed)[first - 1 :]


def moments(node: OrthancProcess, key: str) -> dict[str, float]:
    """When a job came to what, each for the first time."""
    history = node.get(f"/habitus/jobs/{key}")["history"]
    return {event["event"]: event["at"] for event in reversed(history)}


def test_a_stat_study_overtakes_twenty_that_wait(tmp_path: Path) -> None:
    with orthanc(tmp_path, settings=SETTINGS + RULES, further=KNOWN) as node, receiver():
        wait_for(lambda: bool(node.get("/habitus/status")["engine"]), 60.0, "the engine")
        node.behaviour.write_text("for 7 hang")
        send(study(7, "long"))
        (long,) = node.wait_for_jobs(["running"])
        for number in range(QUEUED):
            assert send(study(1, f"waits-{number}")) == [0] * 3
        node.wait_for_jobs(["running", *["queued"] * QUEUED], 60.0)
        assert send(study(1, "urgent"), calling=TRAUMA.ae_title) == [0] * 3
        node.wait_for_jobs(["running", *["queued"] * (QUEUED + 1)])
        node.outcome(node.ask(f"/habitus/jobs/{long['key']}/cancel"))
        jobs = node.wait_for_jobs(["cancelled", *["done"] * (QUEUED + 1)], 120.0)
        ends = {
            job["key"]: moments(node, job["key"])["done"] for job in jobs if job["state"] == "done"
        }
        began = {
            key: node.get(f"/habitus/jobs/{key}")["attempt_log"][0]["started_at"] for key in ends
        }

    (urgent,) = [job["key"] for job in jobs if job["rule"] == "trauma"]
    assert len(ends) == QUEUED + 1
    assert min(began, key=lambda key: began[key]) == urgent
    assert min(ends, key=lambda key: ends[key]) == urgent


def test_a_poison_study_holds_up_the_next_one_by_one_job_at_most(tmp_path: Path) -> None:
    with orthanc(tmp_path, settings=SETTINGS) as node, receiver():
        wait_for(lambda: bool(node.get("/habitus/status")["engine"]), 60.0, "the engine")
        node.behaviour.write_text("for 1 slow\nfor 11 die")
        send(study(1, "alone"))
        (alone,) = node.wait_for_jobs(["done"])
        send(study(11, "poison"))
        send(study(1, "next"))
        node.wait_for_jobs(["dead", "done", "done"], 60.0)
        (poison,) = [job for job in node.jobs() if job["state"] == "dead"]
        (following,) = {job["key"] for job in node.jobs()} - {alone["key"], poison["key"]}
        undisturbed, last, after = (
            moments(node, key) for key in (alone["key"], poison["key"], following)
        )
        tries = node.get(f"/habitus/jobs/{poison['key']}")["attempt_log"]
        began = node.get(f"/habitus/jobs/{following}")["attempt_log"][0]["started_at"]

    job_s = undisturbed["done"] - undisturbed["queued"]
    held_up_s = after["done"] - after["queued"] - job_s
    once_begun_s = after["done"] - began
    figures = f"{job_s=:.2f} {held_up_s=:.2f} {once_begun_s=:.2f} {began - last['dead']=:.2f}"
    assert job_s > SLOW_S
    assert (poison["attempts"], len(tries)) == (3, 3)
    assert held_up_s <= job_s, figures
    assert once_begun_s <= job_s + NOISE_S, figures
