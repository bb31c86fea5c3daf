"""The retention rule at a real Orthanc: listed by the command line, then switched on while the node runs."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import habitus
from tests.dicom_peers import ct_series, receiver, send
from tests.orthanc_process import SETTINGS, orthanc, private_network, wait_for, why_not

pytestmark = [pytest.mark.orthanc, pytest.mark.skipif(bool(why_not()), reason=why_not())]

RULE = "\n[retention]\nlook_every_s = 0.2\nstudies_days = {days}\n"
A_SECOND = 1.0 / 86_400.0


@pytest.fixture(autouse=True)
def _network() -> Iterator[None]:
    with private_network():
        yield


def test_what_was_delivered_goes_and_what_waits_for_the_pacs_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings_path = tmp_path / "habitus.toml"
    ask = ["retention", "--dry-run", "--json", "--settings", str(settings_path), "--days"]
    with orthanc(tmp_path, settings=SETTINGS + RULE.format(days=0)) as node:
        with receiver():
            send(ct_series(3, seed="delivered"))
            (delivered,) = node.wait_for_jobs(["done"])
        others = ct_series(3, seed="waits")
        for image in others:
            # Orthanc protects patients, not studies.
            image.PatientID = "somebody else"
        send(others)
        waits, _ = node.wait_for_jobs(["computed", "done"])
        wait_for(lambda: habitus.main([*ask, f"{A_SECOND}"]) == 0, 10.0, "a list")
        capsys.readouterr()
        wait_for(
            lambda: (
                habitus.main([*ask, f"{A_SECOND}"]) == 0
                and len(json.loads(capsys.readouterr().out)["would_go"]) == 1
            ),
            20.0,
            "the delivered study to be old enough",
        )
        before = set(node.get("/studies"))
        off = habitus.main(ask[:-1])
        settings_path.write_text(
            settings_path.read_text().replace("studies_days = 0", f"studies_days = {A_SECOND:f}")
        )
        wait_for(lambda: len(node.get("/studies")) == 1, 30.0, "the deletion")
        left = set(node.get("/studies"))
        # The node writes this down once Orthanc has let the study go.
        wait_for(
            lambda: "study-deleted" in [row["event"] for row in node.get("/habitus/audit")],
            10.0,
            "the audit's line",
        )
        (deleted,) = [row for row in node.get("/habitus/audit") if row["event"] == "study-deleted"]

    assert off == 2
    assert before == {delivered["study_orthanc_id"], waits["study_orthanc_id"]}
    assert left == {waits["study_orthanc_id"]}
    assert (deleted["job"], deleted["detail"]) == (delivered["key"], delivered["study_orthanc_id"])
