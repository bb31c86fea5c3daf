"""Every kind of destination with a real Orthanc at both ends: what goes out arrives, is asked for, and is the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dicom_peers import ct_series, send
from tests.orthanc_process import SETTINGS, OrthancProcess, orthanc, private_network, why_not
from tests.second_orthanc import (
    ARCHIVE,
    DICOMWEB_LIBRARY,
    PASSWORD,
    Archive,
    archive,
    ways_to_archive,
)

REASON = why_not() or ("" if DICOMWEB_LIBRARY.exists() else "needs orthanc-dicomweb")
pytestmark = [pytest.mark.orthanc, pytest.mark.skipif(bool(REASON), reason=REASON)]

HEAD = SETTINGS.partition("[[destinations]]")[0]
TO_MODALITY = f'[[destinations]]\nname = "by-c-store"\ntarget = "{ARCHIVE.name}"\n'
TO_WEB = '[[destinations]]\nname = "by-stow"\nkind = "dicomweb"\ntarget = "archive-web"\n'
TO_PEER = '[[destinations]]\nname = "by-peer"\nkind = "peer"\ntarget = "archive-peer"\n'
TO_FOLDER = '[[destinations]]\nname = "by-file"\nkind = "folder"\ntarget = "export"\n'


@pytest.fixture(autouse=True)
def _network() -> Iterator[None]:
    with private_network():
        yield


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Archive]:
    with archive(tmp_path / "archive") as running:
        yield running


def result_uids(node: OrthancProcess, sent: int) -> list[str]:
    """Of the results in the node's own Orthanc."""
    rows = node.get("/instances?expand")
    uids = [row["MainDicomTags"]["SOPInstanceUID"] for row in rows]
    images = {str(image.SOPInstanceUID) for image in ct_series(sent)}
    return sorted(set(uids) - images)


@pytest.mark.parametrize(
    "destination",
    [TO_MODALITY, TO_WEB, TO_PEER + 'password_file = "peer.password"\n', TO_FOLDER],
    ids=["c-store", "stow", "peer", "folder"],
)
def test_results_arrive_and_are_confirmed(
    tmp_path: Path, receiver: Archive, destination: str
) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "peer.password").write_text(PASSWORD + "\n")
    with orthanc(tmp_path, settings=HEAD + destination, further=ways_to_archive()) as node:
        assert send(ct_series(3)) == [0] * 3
        (job,) = node.wait_for_jobs(["done"])
        wanted = result_uids(node, 3)

    in_folder = sorted(path.stem for path in (tmp_path / "export").rglob("*.dcm"))
    assert len(wanted) == 2
    assert {d["state"] for d in job["deliveries"]} == {"confirmed"}
    assert wanted == (in_folder if destination == TO_FOLDER else receiver.sop_uids())


def test_a_peer_that_does_not_tell_leaves_the_delivery_unverified(
    tmp_path: Path, receiver: Archive
) -> None:
    best_effort = TO_PEER + "required = false\n"
    with orthanc(tmp_path, settings=HEAD + best_effort, further=ways_to_archive()) as node:
        send(ct_series(3))
        node.wait_for_jobs(["done"])
        node.wait_for_deliveries({"sent-unverified"})
        wanted = result_uids(node, 3)

    assert receiver.sop_uids() == wanted


def test_a_web_server_that_orthanc_does_not_know_holds_up_no_other_destination(
    tmp_path: Path, receiver: Archive
) -> None:
    unknown = TO_WEB.replace("archive-web", "nowhere") + "required = false\n"
    settings = HEAD + unknown + TO_MODALITY
    with orthanc(tmp_path, settings=settings, further=ways_to_archive()) as node:
        send(ct_series(3))
        (job,) = node.wait_for_jobs(["done"])

    states = {d["destination"]: d["state"] for d in job["deliveries"]}
    assert states["by-c-store"] == "confirmed"
    assert states["by-stow"] in ("pending", "sending")
