"""What the first slice of a study does with a real Orthanc, long before the quiet time is over.

The idle engine, whose process is gone, is brought back, and the patient is protected from recycling.
"""

from pathlib import Path

import pytest

from tests.dicom_peers import ct_series, receiver, send
from tests.orthanc_process import (
    SETTINGS,
    child_pids,
    orthanc,
    private_network,
    wait_for,
    why_not,
)

pytestmark = [pytest.mark.orthanc, pytest.mark.skipif(bool(why_not()), reason=why_not())]

QUIET_S = 12.0
RESTING = SETTINGS.replace("quiet_s = 0.6", f"quiet_s = {QUIET_S}").replace(
    "[engine]", "[engine]\nidle_unload_s = 1.0"
)


def test_an_engine_that_rests_is_loaded_again_while_the_study_still_arrives(
    tmp_path: Path,
) -> None:
    with private_network(), orthanc(tmp_path, settings=RESTING) as node, receiver() as pacs:

        def engine() -> str:
            return str((node.get("/habitus/status")["engine"] or {}).get("state"))

        def children() -> list[int]:
            pid = node.node_pid()
            return [] if pid is None else child_pids(pid)

        wait_for(lambda: engine() == "resting", 60.0, "an engine that rests")
        at_rest = children()
        ready = node.session.get(f"{node.url}/habitus/health/ready", timeout=5).status_code
        send(ct_series(3))
        wait_for(lambda: engine() == "ready", QUIET_S - 1.0, "the engine within the quiet time")
        loaded, too_early = children(), node.jobs()
        node.wait_for_jobs(["done"], 60.0)
        wait_for(lambda: engine() == "resting", 60.0, "its rest after the work")

    assert at_rest == []
    assert ready == 200
    assert len(loaded) == 1
    assert too_early == []
    assert len(pacs.received) == 2


def test_a_patient_is_protected_from_the_first_slice_until_the_results_are_delivered(
    tmp_path: Path,
) -> None:
    with private_network(), orthanc(tmp_path, settings=RESTING) as node, receiver():
        wait_for(lambda: bool(node.get("/habitus/status")["engine"]), 60.0, "the engine")
        send(ct_series(3))
        (patient,) = node.get("/patients")

        def is_protected() -> bool:
            path = f"{node.url}/patients/{patient}/protected"
            return node.session.get(path, timeout=5).text.strip() == "1"

        wait_for(is_protected, QUIET_S - 2.0, "protection within the quiet time")
        too_early = node.jobs()
        node.wait_for_jobs(["done"], 60.0)
        wait_for(lambda: not is_protected(), 30.0, "its end")

    assert too_early == []
