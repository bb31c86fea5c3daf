"""Rules with a real Orthanc: who sent a study decides what becomes of it, also after the file was changed in the run."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orthanc_plugin.node.orthanc_config import modality_of
from tests.dicom_peers import ct_series, receiver, send
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

TRAUMA = replace(SENDER, name="trauma", ae_title="ER1")
RESEARCH = replace(SENDER, name="research", ae_title="LAB")
KNOWN = {
    "DicomModalities": {
        each.name: modality_of(each) for each in (SENDER, TRAUMA, RESEARCH, RECEIVER)
    }
}
RULES = """
[[rules]]
name = "trauma"
calling = "ER1"
profile = "l3"
outputs = ["sr"]
priority = "stat"

[[rules]]
name = "research"
calling = "LAB"
mode = "shadow"
"""


@pytest.fixture(autouse=True)
def _network() -> Iterator[None]:
    with private_network():
        yield


def jobs_by_rule(node: OrthancProcess) -> dict[str, dict[str, object]]:
    return {job["rule"]: job for job in node.jobs()}


def test_the_sender_decides_what_is_analysed_and_where_it_goes(tmp_path: Path) -> None:
    with orthanc(tmp_path, settings=SETTINGS + RULES, further=KNOWN) as node, receiver() as pacs:
        for peer in (SENDER, TRAUMA, RESEARCH):
            assert send(ct_series(3, seed=peer.name), calling=peer.ae_title) == [0] * 3
        node.wait_for_jobs(["done", "done"])
        wait_for(lambda: len(node.get("/habitus/not-taken")) >= 1, 30.0, "the third study")
        jobs = jobs_by_rule(node)
        notes = {row["reason"] for row in node.get("/habitus/not-taken")}
        report = node.get(f"/habitus/report/{jobs['trauma']['key']}")

    sent = [str(image.SOPInstanceUID) for image in pacs.received]
    assert set(jobs) == {"trauma", "research"}
    assert "no-rule" in notes
    assert report["profile"] == "l3"
    assert len(sent) == 1
    assert jobs["research"]["deliveries"] == []
    assert jobs["research"]["mode"] == "shadow"


def test_a_changed_file_is_in_force_without_a_restart_and_a_mistake_is_not(tmp_path: Path) -> None:
    with orthanc(tmp_path, settings=SETTINGS + RULES, further=KNOWN) as node, receiver() as pacs:
        path = tmp_path / "habitus.toml"
        good = path.read_text()
        wait_for(lambda: bool(node.get("/habitus/status")["settings"]), 30.0, "the settings")
        pid = node.node_pid()
        path.write_text(good.replace('calling = "LAB"', 'caling = "LAB"'))
        wait_for(
            lambda: node.get("/habitus/status")["settings"]["state"] == "refused",
            30.0,
            "the refusal",
        )
        problem = node.get("/habitus/status")["settings"]["problem"]
        send(ct_series(3, seed="one"), calling="LAB")
        node.wait_for_jobs(["done"])
        path.write_text(good.replace('calling = "LAB"\nmode = "shadow"', 'calling = "LAB"'))
        wait_for(
            lambda: node.get("/habitus/status")["settings"]["state"] == "in-force",
            30.0,
            "the new settings",
        )
        before = len(pacs.received)
        send(ct_series(3, seed="two"), calling="LAB")
        node.wait_for_jobs(["done", "done"])
        same = node.node_pid() == pid

    assert "rules[1].caling; wanted 'calling'" in problem
    assert same
    assert (before, len(pacs.received)) == (0, 2)


def test_a_stat_job_does_not_wait_for_a_long_one_where_there_are_two_workers(
    tmp_path: Path,
) -> None:
    settings = (
        SETTINGS.replace("[engine]", "[engine]\nworkers = 2") + RULES + "[[rules]]\nname = 'rest'\n"
    )
    with orthanc(tmp_path, settings=settings, further=KNOWN) as node, receiver():
        wait_for(lambda: bool(node.get("/habitus/status")["engine"]), 60.0, "the engine")
        # Only the first image number tells the fake analyser which series it has.
        node.behaviour.write_text("for 7 hang")
        for seed in ("long", "also-long"):
            send(ct_series(9, seed=seed)[6:])
        node.wait_for_jobs(["queued", "running"])
        began_s = time.monotonic()
        send(ct_series(3, seed="stat"), calling="ER1")
        wait_for(
            lambda: jobs_by_rule(node).get("trauma", {}).get("state") == "done",
            20.0,
            "the stat job",
        )
        took_s = time.monotonic() - began_s
        states = sorted((job["rule"], job["state"]) for job in node.jobs())

    assert states == [("rest", "queued"), ("rest", "running"), ("trauma", "done")]
    assert took_s < 20.0


def test_rules_that_are_read_again_by_rest_take_what_no_rule_fitted(tmp_path: Path) -> None:
    with orthanc(tmp_path, settings=SETTINGS + RULES, further=KNOWN) as node, receiver():

        def reload() -> dict[str, object]:
            answer = node.session.post(
                f"{node.url}/habitus/settings/reload",
                json={},
                headers={"X-Requested-With": "test"},
                timeout=10.0,
            )
            node.outcome(answer)
            return dict(node.get(f"/habitus/commands/{answer.json()['command']}"))

        path = tmp_path / "habitus.toml"
        good = path.read_text()
        wait_for(lambda: bool(node.get("/habitus/status")["engine"]), 60.0, "the engine")
        send(ct_series(3))
        wait_for(lambda: bool(node.get("/habitus/not-taken")), 30.0, "a study that no rule fits")
        told = [reload()]
        path.write_text(good + "[[rules]]\nname = 'rest'\ncaling = 'X'\n")
        told.append(reload())
        path.write_text(good + "[[rules]]\nname = 'rest'\n")
        told.append(reload())
        (job,) = node.wait_for_jobs(["done"])
        history = node.get(f"/habitus/jobs/{job['key']}")["history"]
        left = node.get("/habitus/not-taken")

    assert [each["outcome"] for each in told] == ["unchanged", "refused", "in-force"]
    assert "caling" in str(told[1]["detail"])
    assert (job["rule"], left) == ("rest", [])
    assert ("queued", "rules-changed") in [(each["event"], each["detail"]) for each in history]
