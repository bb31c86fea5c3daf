"""Damaged series at a real Orthanc with the node and the shipped models: what Orthanc takes comes to an end."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pynetdicom import AE, _config
from pynetdicom.association import Association
from pynetdicom.sop_class import CTImageStorage

from inference.engine.model_store import SHIPPED_MODELS
from tests.dicom_peers import receiver
from tests.fuzz import pixel_mutators
from tests.fuzz.anatomy import UNDEFINED, take_apart
from tests.fuzz.base_files import MADE_NAMES, made_series
from tests.fuzz.value_mutators import deep_sequences
from tests.fuzz.variants import MUTATORS, Mutator, Variants
from tests.orthanc_process import (
    DICOM_PORT,
    SENDER,
    OrthancProcess,
    orthanc,
    private_network,
    wait_for,
    why_not,
)

pytestmark = [
    pytest.mark.orthanc,
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
]

SETTINGS = f"""
data_folder = "node"
[orthanc]
url = "http://127.0.0.1:{{http_port}}"
[intake]
quiet_s = 0.6
poll_s = 0.2
[engine]
models_folder = "{SHIPPED_MODELS}"
profile = "l3-small"
job_wall_clock_s = {{job_wall_clock_s}}
retry_backoff_s = 0.05
[outbox]
poll_s = 0.1
first_retry_s = 0.3
[[destinations]]
name = "pacs"
"""
BOMB_MB = 96
"""Orthanc inflates all of a deflated file when it takes it; larger ones would only test Orthanc."""
KINDS = tuple(kind for kind in MUTATORS if kind is not deep_sequences)
"""Deep sequences overflow the stack of DCMTK in Orthanc itself (1.10.1): they have a test of their own."""
ENDED = {"done", "rejected", "dead", "superseded"}
SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")


def damaged_study(number: int, kind: Mutator) -> list[bytes]:
    """A study of its own UIDs, one kind of damage."""
    base = made_series(MADE_NAMES[number % len(MADE_NAMES)], seed=1000 + number)
    variant = Variants(bases=(base,), seed=number).make(MUTATORS.index(kind))
    return [variant.files.get(index, content) for index, content in enumerate(base.files)]


def post(node: OrthancProcess, files: list[bytes]) -> int:
    """Over REST; how many Orthanc took."""
    answers = [node.session.post(f"{node.url}/instances", data=file, timeout=20) for file in files]
    return sum(answer.ok for answer in answers)


@contextmanager
def scanner() -> Iterator[Association]:
    """An association that sends files as they are, without a look inside."""
    entity = AE(ae_title=SENDER.ae_title)
    for syntax in SYNTAXES:
        # A context of several would be accepted for one of them only.
        entity.add_requested_context(CTImageStorage, syntax)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 3
    before, _config.STORE_SEND_CHUNKED_DATASET = _config.STORE_SEND_CHUNKED_DATASET, True
    association = entity.associate("127.0.0.1", DICOM_PORT, ae_title="HABITUS")
    connection = association.dul.socket.socket if association.dul.socket else None
    try:
        yield association
    finally:
        _config.STORE_SEND_CHUNKED_DATASET = before
        if association.is_established:
            association.release()
        if connection is not None:
            # The library forgets a socket that the peer has reset, without closing it.
            connection.close()


def store(files: list[bytes], folder: Path) -> int:
    """Over C-STORE, each file over an association of its own since Orthanc may drop one; how many were taken."""
    taken = 0
    for index, file in enumerate(files):
        path = folder / f"{index}.dcm"
        path.write_bytes(file)
        with scanner() as association:
            try:
                taken += association.send_c_store(path).get("Status") == 0
            except Exception:  # noqa: BLE001 - the sender's own trouble with a file it cannot address
                continue
    return taken


def accounted(node: OrthancProcess) -> bool:
    """Whether every CT series that Orthanc holds has a job that ended, or was skipped with a reason."""
    jobs = node.jobs()
    skipped = sum(node.get("/habitus/status")["skipped_series"].values())
    series = node.get("/series")
    return all(job["state"] in ENDED for job in jobs) and len(jobs) + skipped >= len(series)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[OrthancProcess]:
    """With the shipped models loaded."""
    with private_network(), orthanc(tmp_path / "node", settings=SETTINGS) as running, receiver():
        wait_for(lambda: bool(running.get("/habitus/status")["engine"]), 60.0, "the engine")
        yield running


def wait_until_accounted(node: OrthancProcess) -> Counter[tuple[str, str]]:
    """How the jobs ended, by state and reason."""
    wait_for(lambda: accounted(node), 120.0, lambda: f"an end of all: {node.jobs()}")
    return Counter((job["state"], job["reason"]) for job in node.jobs())


def test_every_damaged_series_that_orthanc_takes_ends_and_the_node_stays_up(
    node: OrthancProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixel_mutators, "BOMB_MB", BOMB_MB)
    node_pid = node.node_pid()
    taken = {"REST": 0, "C-STORE": 0}

    for number, kind in enumerate(KINDS):
        files = damaged_study(number, kind)
        if number % len(MADE_NAMES) < 3:
            taken["C-STORE"] += store(files, tmp_path)
        else:
            taken["REST"] += post(node, files)
    ends = wait_until_accounted(node)

    status = node.get("/habitus/status")
    sys.stdout.write(f"{taken} {dict(ends)} {status['skipped_series']}\n")
    assert min(taken.values()) > 20
    assert (status["node"]["pid"], status["node"]["starts"]) == (node_pid, 1)
    assert status["engine"]["state"] == "ready"
    # A lost answer under load takes a study with it, so no single reason is asked for but the models' own verdict.
    reasons = {reason for _, reason in ends} | set(status["skipped_series"])
    assert ("rejected", "no-l3") in ends
    assert len(reasons) > 4
    assert "internal-error" not in reasons


def test_a_file_that_ends_orthanc_itself_costs_a_restart_and_no_study(
    node: OrthancProcess, tmp_path: Path
) -> None:
    post(node, list(made_series("explicit", seed=1).files))
    poison = take_apart(made_series("explicit", seed=2).files[0])
    tag = 0x00081140
    levels = poison.encoded(tag, "SQ", b"", UNDEFINED)
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    store(
        [poison.file(poison.with_element(tag, "SQ", (item + levels) * 20_000, UNDEFINED))], tmp_path
    )

    node.stop()
    node.start()
    post(node, list(made_series("explicit", seed=3).files))

    ends = wait_until_accounted(node)
    assert ends.total() == 2
    assert {state for state, _ in ends} <= {"done", "rejected"}
