"""The association tables of docs/dicom-conformance.md are what a running Orthanc with our configuration does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import AE, build_context, evt
from pynetdicom.sop_class import (
    ModalityWorklistInformationFind,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from inference.domain.seg_encoding import SegEncoding
from tests.conformance.statement import STATEMENT_PATH, association_acceptor, written_objects
from tests.orthanc_process import (
    DICOM_PORT,
    RECEIVER,
    RECEIVER_PORT,
    SENDER,
    OrthancProcess,
    orthanc,
    private_network,
    why_not,
)

pytestmark = [pytest.mark.orthanc, pytest.mark.skipif(bool(why_not()), reason=why_not())]

CLASSES = {
    "Verification": Verification,
    "CT Image Storage": CTImageStorage,
    "Enhanced CT Image Storage": EnhancedCTImageStorage,
    "Segmentation Storage": SegmentationStorage,
    "Comprehensive 3D SR Storage": "1.2.840.10008.5.1.4.1.1.88.34",
    "Secondary Capture Image Storage": SecondaryCaptureImageStorage,
    "Label Map Segmentation Storage": "1.2.840.10008.5.1.4.1.1.66.7",
    "Study Root FIND": StudyRootQueryRetrieveInformationModelFind,
    "Study Root MOVE": StudyRootQueryRetrieveInformationModelMove,
    "Storage Commitment Push Model": StorageCommitmentPushModel,
    "Modality Worklist FIND": ModalityWorklistInformationFind,
    "an unknown class": "1.2.3.4",
}
SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEG2000Lossless,
    HTJ2KLossless,
    RLELossless,
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancProcess]:
    folder: Path = tmp_path_factory.mktemp("orthanc")
    with private_network(), orthanc(folder, node="standalone") as process:
        yield process


def sent_as(
    running: OrthancProcess, encoded: bytes, syntax: UID, status: int = 0x0000
) -> tuple[bool, list[UID]]:
    """Whether a send to a peer of one transfer syntax and one answer succeeds, and how the object came."""
    stored = running.session.post(f"{running.url}/instances", data=encoded, timeout=10).json()
    received: list[UID] = []

    def on_store(event: Any) -> int:
        received.append(event.context.transfer_syntax)
        return status

    peer = AE(ae_title=RECEIVER.ae_title)
    peer.add_supported_context(SegmentationStorage, [syntax])
    server = peer.start_server(
        ("127.0.0.1", RECEIVER_PORT), block=False, evt_handlers=[(evt.EVT_C_STORE, on_store)]
    )
    order = {"Resources": [stored["ID"]], "Synchronous": True, "Permissive": False}
    answer = running.session.post(
        f"{running.url}/modalities/{RECEIVER.name}/store", json=order, timeout=60
    )
    server.shutdown()
    return bool(answer.ok), received


def accepted(sop_class: str) -> list[UID]:
    """The transfer syntaxes that are let in, each offered on its own."""
    scanner = AE(ae_title=SENDER.ae_title)
    scanner.acse_timeout = scanner.dimse_timeout = scanner.network_timeout = 10
    contexts = [build_context(sop_class, syntax) for syntax in SYNTAXES]
    association = scanner.associate("127.0.0.1", DICOM_PORT, contexts=contexts, ae_title="HABITUS")
    found = {context.transfer_syntax[0] for context in association.accepted_contexts}
    if association.is_established:
        association.release()
    return [syntax for syntax in SYNTAXES if syntax in found]


def test_what_the_statement_says_is_let_in_is_let_in(running: OrthancProcess) -> None:
    table = association_acceptor({name: accepted(uid) for name, uid in CLASSES.items()})

    assert table in STATEMENT_PATH.read_text(encoding="utf-8"), table


def test_a_query_is_not_answered(running: OrthancProcess) -> None:
    scanner = AE(ae_title=SENDER.ae_title)
    scanner.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
    association = scanner.associate("127.0.0.1", DICOM_PORT, ae_title="HABITUS")
    query = Dataset()
    query.QueryRetrieveLevel, query.PatientID = "STUDY", ""

    answers = list(association.send_c_find(query, StudyRootQueryRetrieveInformationModelFind))

    association.abort()
    statuses = [status.get("Status") for status, _ in answers]
    assert 0x0000 not in statuses
    assert [identifier for _, identifier in answers if identifier is not None] == []


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize("encoding", [SegEncoding.BINARY, SegEncoding.BINARY_DEFLATED])
def test_an_object_is_recoded_for_a_peer_that_takes_it_in_another_syntax(
    encoding: SegEncoding, syntax: UID, running: OrthancProcess
) -> None:
    encoded = written_objects()[f"segmentation, `{encoding.value}`"]

    assert sent_as(running, encoded, syntax) == (True, [syntax])


def test_nothing_is_deflated_on_the_way(running: OrthancProcess) -> None:
    encoded = written_objects()[f"segmentation, `{SegEncoding.BINARY.value}`"]

    assert sent_as(running, encoded, DeflatedExplicitVRLittleEndian) == (False, [])


@pytest.mark.parametrize(
    ("status", "counts_as_stored"),
    [(0xB000, True), (0xB006, True), (0xB007, True), (0xA700, False), (0x0122, False)],
)
def test_a_warning_of_the_peer_counts_as_stored_and_a_refusal_does_not(
    status: int, counts_as_stored: bool, running: OrthancProcess
) -> None:
    encoded = written_objects()[f"segmentation, `{SegEncoding.BINARY.value}`"]

    is_ok, received = sent_as(running, encoded, ExplicitVRLittleEndian, status)

    assert (is_ok, len(received)) == (counts_as_stored, 1)
