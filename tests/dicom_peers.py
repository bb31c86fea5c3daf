"""The neighbours of a node in tests: a scanner that sends a small CT series, and a PACS that receives and answers queries."""

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, StoragePresentationContexts, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from inference.dicom.identity import derive_uid
from tests.orthanc_process import DICOM_PORT, RECEIVER, RECEIVER_PORT, SENDER

PATIENT_NAME = "Canary^Melchior"
PATIENT_ID = "CANARY-4711"
ACCESSION = "ACC-CANARY-99"
SUCCESS = 0x0000
WAKE_LOOK_S = 0.0002


def ct_series(slices: int, *, seed: str = "one", modality: str = "CT") -> list[Dataset]:
    """A tiny CT series with canary strings wherever a patient could be named."""
    return [_slice(number, seed, modality) for number in range(1, slices + 1)]


def send(
    series: Sequence[Dataset], *, calling: str = SENDER.ae_title, called: str = "HABITUS"
) -> list[int | None]:
    """C-STORE each slice; the statuses, None where there was no answer; empty when not let in."""
    scanner = AE(ae_title=calling)
    scanner.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    scanner.acse_timeout = scanner.dimse_timeout = scanner.network_timeout = 10
    association = scanner.associate(
        "127.0.0.1",
        DICOM_PORT,
        ae_title=called,
        evt_handlers=[(evt.EVT_CONN_OPEN, _no_delay)],
    )
    if not association.is_established:
        return []
    statuses: list[int | None] = []
    for image in series:
        if not association.is_established:
            statuses.append(None)
            continue
        statuses.append(store(association, image))
    association.release()
    return statuses


def store(association: Association, image: Dataset | Path) -> int | None:
    """One C-STORE; the status, None where there was no answer."""
    status: int | None = association.send_c_store(image).get("Status")
    # pynetdicom's own thread counts as paused until it has woken; with the next C-STORE under way by then, it takes the
    # answer for itself, and send_c_store waits for it in vain (seen in 1 of 7,000).
    while association._is_paused and association.is_established:  # tells nobody else
        time.sleep(WAKE_LOOK_S)
    return status


@dataclass(slots=True)
class Receiver:
    """What the PACS of a test has, and how it behaves."""

    received: list[Dataset] = field(default_factory=list)
    store_status: int = SUCCESS
    """What it answers to a C-STORE."""
    loses: int = 0
    """So many objects it answers success for and does not keep."""
    error_comment: str = ""
    """What it says of an object that it refuses."""

    @property
    def sop_uids(self) -> list[str]:
        """Every object received, repeats included."""
        return [str(image.SOPInstanceUID) for image in self.received]


@contextmanager
def receiver(
    *,
    answers_queries: bool = True,
    transfer_syntaxes: Sequence[str] = (ExplicitVRLittleEndian,),
    further_classes: Sequence[str] = (),
) -> Iterator[Receiver]:
    """A PACS on loopback that keeps what it is sent and, where asked to, answers C-FIND."""
    state = Receiver()

    def on_store(event: Any) -> Dataset:
        if state.store_status == SUCCESS and state.loses > 0:
            state.loses -= 1
        elif state.store_status == SUCCESS:
            received = event.dataset
            received.file_meta = event.file_meta
            state.received.append(received)
        return _store_answer(state)

    def on_find(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        wanted = event.identifier.SOPInstanceUID
        for image in state.received:
            if image.SOPInstanceUID == wanted:
                answer = Dataset()
                answer.QueryRetrieveLevel = "IMAGE"
                answer.SOPInstanceUID = wanted
                answer.SeriesInstanceUID = image.SeriesInstanceUID
                answer.StudyInstanceUID = image.StudyInstanceUID
                yield 0xFF00, answer
                return

    pacs = AE(ae_title=RECEIVER.ae_title)
    for known in StoragePresentationContexts[: 128 - len(further_classes)]:
        pacs.add_supported_context(known.abstract_syntax, list(transfer_syntaxes))
    for further in further_classes:
        pacs.add_supported_context(further, list(transfer_syntaxes))
    if answers_queries:
        pacs.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    server = pacs.start_server(
        ("127.0.0.1", RECEIVER_PORT),
        block=False,
        evt_handlers=[(evt.EVT_C_STORE, on_store), (evt.EVT_C_FIND, on_find)],
    )
    try:
        yield state
    finally:
        server.shutdown()


def _store_answer(state: Receiver) -> Dataset:
    answer = Dataset()
    answer.Status = state.store_status
    if state.store_status != SUCCESS and state.error_comment:
        answer.ErrorComment = state.error_comment
    return answer


def _slice(number: int, seed: str, modality: str) -> Dataset:
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = CTImageStorage
    image.SOPInstanceUID = derive_uid(seed, "slice", str(number))
    image.file_meta.MediaStorageSOPClassUID = CTImageStorage
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.StudyInstanceUID = derive_uid(seed, "study")
    image.SeriesInstanceUID = derive_uid(seed, "series")
    image.PatientName, image.PatientID = PATIENT_NAME, PATIENT_ID
    image.AccessionNumber = ACCESSION
    image.StudyDescription = f"study of {PATIENT_NAME}"
    image.SeriesDescription = f"series of {PATIENT_ID}"
    image.Modality = modality
    image.Manufacturer = "Maker"
    image.InstanceNumber = number
    image.ImagePositionPatient = [0, 0, 5 * number]
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.PixelSpacing = [1, 1]
    image.Rows = image.Columns = 16
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 12, 11
    image.PixelRepresentation = 0
    image.RescaleIntercept, image.RescaleSlope = -1024, 1
    image.PixelData = np.full((16, 16), 1000 + number, np.uint16).tobytes()
    return image


def _no_delay(event: Any) -> None:
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
