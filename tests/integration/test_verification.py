"""How deliveries are verified with real receivers: by commitment, by a query, and what a receiver lost or never answers."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from orthanc_plugin.node.orthanc_config import Peer, modality_of
from tests.dicom_peers import ct_series, receiver, send
from tests.orthanc_process import RECEIVER, SENDER, SETTINGS, orthanc, private_network, why_not
from tests.second_orthanc import ARCHIVE, DICOMWEB_LIBRARY, archive, ways_to_archive

REASON = why_not() or ("" if DICOMWEB_LIBRARY.exists() else "needs orthanc-dicomweb")
pytestmark = [pytest.mark.orthanc, pytest.mark.skipif(bool(REASON), reason=REASON)]

TO_ARCHIVE = f'[[destinations]]\nname = "archive"\ntarget = "{ARCHIVE.name}"\n'
SILENT = Peer(name="silent", ae_title="SILENT", host="127.0.0.1", port=11113)
TO_SILENT = '[[destinations]]\nname = "silent"\nrequired = false\n'


@pytest.fixture(autouse=True)
def _network() -> Iterator[None]:
    with private_network():
        yield


def test_a_receiver_that_offers_storage_commitment_confirms_by_it(tmp_path: Path) -> None:
    settings = SETTINGS.partition("[[destinations]]")[0] + TO_ARCHIVE
    with (
        archive(tmp_path / "archive") as running,
        orthanc(tmp_path, settings=settings, further=ways_to_archive()) as node,
    ):
        send(ct_series(3))
        (job,) = node.wait_for_jobs(["done"])
        kept = running.sop_uids()

    assert len(kept) == 2
    assert {d["verified_by"] for d in job["deliveries"]} == {"commitment"}


def test_a_receiver_that_offers_none_is_asked_by_query(tmp_path: Path) -> None:
    with orthanc(tmp_path) as node, receiver():
        send(ct_series(3))
        (job,) = node.wait_for_jobs(["done"])

    assert {d["verified_by"] for d in job["deliveries"]} == {"c-find"}


def test_what_a_receiver_took_and_did_not_keep_is_sent_again(tmp_path: Path) -> None:
    settings = SETTINGS.replace("[outbox]", "[outbox]\nindex_wait_s = 1")
    with orthanc(tmp_path, settings=settings) as node, receiver() as pacs:
        pacs.loses = 1
        send(ct_series(3))
        (job,) = node.wait_for_jobs(["done"])

    assert pacs.loses == 0
    assert len(pacs.received) == len(set(pacs.sop_uids)) == 2
    assert {d["state"] for d in job["deliveries"]} == {"confirmed"}


def test_a_receiver_that_never_answers_delays_no_other(tmp_path: Path) -> None:
    known = {peer.name: modality_of(peer) for peer in (SENDER, RECEIVER, SILENT)}
    # Longer than the test waits: whoever stands behind the silent one would be seen.
    further = {"DicomModalities": known, "DicomScuTimeout": 120}
    with (
        closing(socket.create_server((SILENT.host, SILENT.port))),
        orthanc(tmp_path, settings=SETTINGS + TO_SILENT, further=further) as node,
        receiver() as pacs,
    ):
        for seed in ("one", "two", "three"):
            send(ct_series(3, seed=seed))
        jobs = node.wait_for_jobs(["done"] * 3)

    states = {(d["destination"], d["state"]) for job in jobs for d in job["deliveries"]}
    assert ("pacs", "confirmed") in states
    assert {state for name, state in states if name == "pacs"} == {"confirmed"}
    assert {state for name, state in states if name == "silent"} <= {"pending", "sending"}
    assert len(pacs.received) == 6
