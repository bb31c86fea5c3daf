"""Operators' wishes through a real Orthanc, with the node inside its life and as a unit of its own."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.dicom_peers import ct_series, receiver, send
from tests.lives import LIVES, life
from tests.orthanc_process import (
    OrthancProcess,
    orthanc,
    private_network,
    wait_for,
    why_not,
)

pytestmark = [pytest.mark.orthanc, pytest.mark.skipif(bool(why_not()), reason=why_not())]


@pytest.fixture(autouse=True)
def _network() -> Iterator[None]:
    with private_network():
        yield


@pytest.fixture(params=LIVES)
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OrthancProcess]:
    """The contract is one for both lives."""
    with life(request.param, tmp_path) as one:
        yield one.orthanc


def test_a_job_is_cancelled_had_again_and_sent_again(node: OrthancProcess) -> None:
    node.behaviour.write_text("hang-once")
    with receiver() as pacs:
        send(ct_series(3))
        wait_for(lambda: any(j["state"] == "running" for j in node.jobs()), 60.0, "a running job")
        job = f"/habitus/jobs/{node.jobs()[0]['key']}"
        cancelled = node.outcome(node.ask(f"{job}/cancel"))
        (shown,) = node.wait_for_jobs(["cancelled"])
        node.behaviour.write_text("good")
        revived = node.outcome(node.ask(f"{job}/requeue"))
        node.wait_for_jobs(["done"])
        resent = node.outcome(node.ask(f"{job}/resend", {"destination": "pacs"}))
        wait_for(lambda: len(pacs.received) >= 4, 60.0, "the results a second time")

    assert (cancelled, revived, resent) == ("cancelled", "revived", "resending")
    assert shown["reason"] == "cancelled-by-operator"
    assert len({each.SOPInstanceUID for each in pacs.received}) == 2
    history = [(h["actor"], h["event"]) for h in node.get(job)["history"]]
    for event in ("cancelled", "requeued", "resent"):
        assert ("otto", event) in history


def test_height_and_weight_are_entered_and_computed_with(node: OrthancProcess) -> None:
    with receiver():
        send(ct_series(3))
        (first,) = node.wait_for_jobs(["done"])
        fields = {"height_m": 1.72, "weight_kg": 81.5}
        outcome = node.outcome(node.ask(f"/habitus/jobs/{first['key']}/body-size", fields))
        wait_for(
            lambda: sorted(j["state"] for j in node.jobs()) == ["done", "superseded"],
            60.0,
            "the second run",
        )
    (second,) = [job for job in node.jobs() if job["state"] == "done"]
    entered = node.get(f"/habitus/report/{second['key']}")["entered"]

    assert outcome == "new-run"
    assert {name: entered[name] for name in fields} == fields
    assert entered["entered_by"] == "otto"
    assert node.get(f"/habitus/report/{first['key']}")["entered"] is None
    with closing(sqlite3.connect(node.folder / "node" / "journal.db")) as journal:
        audit = str(journal.execute("SELECT * FROM audit").fetchall())
    assert "81.5" not in audit


def test_a_study_that_came_is_analysed_at_once_when_asked_for(node: OrthancProcess) -> None:
    with receiver():
        send(ct_series(3))
        (job,) = node.wait_for_jobs(["done"])
        again = node.outcome(node.ask("/habitus/analyses", {"study": job["study_orthanc_id"]}))
        node.wait_for_jobs(["done", "superseded"])
        series = node.outcome(node.ask("/habitus/analyses", {"series": job["series_orthanc_id"]}))
        unknown = node.outcome(node.ask("/habitus/analyses", {"study": "-".join(["0" * 8] * 5)}))

    assert (again, series, unknown) == ("new-run", "new-run", "resource-gone")


def test_models_configuration_and_health_are_told(node: OrthancProcess) -> None:
    wait_for(lambda: bool(node.get("/habitus/models")), 60.0, "the models")
    configuration = node.get("/habitus/configuration")
    (model,) = node.get("/habitus/models")

    assert configuration["intake"]["quiet_s"] == 0.6
    assert configuration["orthanc"]["password_file"] == "(set)"
    assert model["name"] == "fake"
    assert node.get("/habitus/health/live") == {"live": True}
    assert node.get("/habitus/me") == {"user": "habitus", "role": "admin"}
    assert node.get("/habitus/status")["node"]["silent_s"] < 30


def test_a_wish_outlives_a_kill_of_everything(tmp_path: Path) -> None:
    with orthanc(tmp_path) as running, receiver():
        running.behaviour.write_text("reject")
        send(ct_series(3))
        (job,) = running.wait_for_jobs(["rejected"])
        running.behaviour.write_text("good")
        answer = running.ask(f"/habitus/jobs/{job['key']}/requeue")
        running.kill()
        running.start()
        outcome = running.outcome(answer)
        running.wait_for_jobs(["done"])

    # Killed in the midst of it, it would be "begun", and the job as it was.
    assert outcome == "revived"
