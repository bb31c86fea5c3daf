"""habitus doctor at a real Orthanc with its node: nothing wrong, and three things wrong at once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pynetdicom.sop_class import Verification

import habitus
from tests.dicom_peers import receiver
from tests.orthanc_process import (
    SETTINGS,
    OrthancProcess,
    orthanc,
    private_network,
    wait_for,
    why_not,
)

pytestmark = [pytest.mark.orthanc, pytest.mark.skipif(bool(why_not()), reason=why_not())]

NO_MARKS = "\n[disk]\nhigh_free_mb = 0\ncritical_free_mb = 0\n"


@pytest.fixture(autouse=True)
def _network() -> Iterator[None]:
    with private_network():
        yield


def told(node: OrthancProcess, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """Exit status, and what is wrong by subject; what only the tests' machine is to blame for left out."""
    status = habitus.main(
        [
            *("doctor", "--json", "--settings", str(node.folder / "habitus.toml")),
            *("--orthanc-config", str(node.files.configuration)),
        ]
    )
    text = capsys.readouterr().out
    assert node.files.password.read_text().strip() not in text
    findings = json.loads(text)["findings"]
    ill = {each["subject"]: each for each in findings if each["level"] == "fail"}
    return status, {subject: each for subject, each in ill.items() if ": disk" not in subject}


def test_a_node_at_work_is_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (
        orthanc(tmp_path, settings=SETTINGS + NO_MARKS) as node,
        receiver(further_classes=[Verification]),
    ):
        wait_for(lambda: bool(node.get("/habitus/status")["engine"]), 60.0, "the engine")
        _, ill = told(node, capsys)

    assert ill == {}


def test_three_things_that_are_wrong_are_found_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = f'{SETTINGS}\n[[destinations]]\nname = "nowhere"\n{NO_MARKS}'
    further = {"DicomAlwaysAllowStore": True}
    with orthanc(tmp_path, settings=settings, further=further) as node:
        wait_for(lambda: bool(node.get("/habitus/status")["engine"]), 60.0, "the engine")
        status, ill = told(node, capsys)

    assert status == 1
    assert set(ill) == {"modality pacs", "modality nowhere", "DicomAlwaysAllowStore"}
    assert "no answer to C-ECHO from 'PACS' at 127.0.0.1:11112" in ill["modality pacs"]["text"]
    assert "there: pacs, scanner" in ill["modality nowhere"]["text"]


def test_an_orthanc_and_a_node_that_were_killed_are_missed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with orthanc(tmp_path, settings=SETTINGS + NO_MARKS) as node:
        wait_for(lambda: bool(node.get("/habitus/status")["engine"]), 60.0, "the engine")
        pid = node.node_pid()
        node.kill()
        wait_for(lambda: not Path(f"/proc/{pid}").exists(), 10.0, "the node to be gone")
        status, ill = told(node, capsys)

    assert status == 1
    assert set(ill) == {"node", "orthanc"}
    assert "nobody listening" in ill["orthanc"]["text"]
