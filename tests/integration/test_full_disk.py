"""A disk that fills, with a real Orthanc: jobs wait first, then images are refused, and with room again all goes on."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orthanc_plugin.inside.disk_space import OUT_OF_RESOURCES
from tests.dicom_peers import ct_series, receiver, send
from tests.orthanc_process import OrthancProcess, orthanc, private_network, wait_for, why_not

pytestmark = [pytest.mark.orthanc, pytest.mark.skipif(bool(why_not()), reason=why_not())]

DISK_MB = 200


@pytest.fixture
def node(tmp_path: Path) -> Iterator[OrthancProcess]:
    """With its data folder on a small disk."""
    disk = tmp_path / "node"
    disk.mkdir()
    options = f"size={DISK_MB}m"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], check=False
    )
    if mounted.returncode:
        pytest.skip("needs a machine that lets root mount a tmpfs")
    try:
        with private_network(), orthanc(tmp_path) as running:
            wait_for(lambda: running.get("/habitus/status")["disk"] == "ok", 60.0, "the node")
            yield running
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(node: OrthancProcess, free_mb: int) -> None:
    """Leave so much room."""
    with (node.folder / "node" / "ballast").open("ab") as ballast:
        ballast.write(bytes(((DISK_MB - free_mb) << 20) - ballast.tell()))


def test_a_disk_that_fills_holds_up_jobs_then_images_and_loses_nothing(
    node: OrthancProcess,
) -> None:
    with receiver() as pacs:
        fill(node, free_mb=15)
        wait_for(lambda: node.get("/habitus/status")["disk"] == "high", 30.0, "the high mark")
        taken = send(ct_series(3, seed="one"))
        node.wait_for_jobs(["queued"])
        ready = node.session.get(f"{node.url}/habitus/health/ready", timeout=5).status_code
        fill(node, free_mb=4)
        wait_for(lambda: send(ct_series(1, seed="probe")) != [0], 30.0, "the critical mark")
        refused = send(ct_series(3, seed="two"))
        waiting = [job["state"] for job in node.jobs() if job["instance_count"] == 3]
        (node.folder / "node" / "ballast").unlink()
        wait_for(lambda: send(ct_series(3, seed="two")) == [0] * 3, 30.0, "room")
        wait_for(
            lambda: [j["state"] for j in node.jobs() if j["instance_count"] == 3] == ["done"] * 2,
            60.0,
            "both studies",
        )

    assert taken == [0] * 3
    assert ready == 503
    assert refused == [OUT_OF_RESOURCES] * 3
    assert waiting == ["queued"]
    assert len(pacs.received) >= 4
