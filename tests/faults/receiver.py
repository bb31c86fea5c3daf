"""A PACS in a process of its own: keeps what it is sent on disk, answers C-FIND, and misbehaves when a file tells it to."""

import argparse
import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, StoragePresentationContexts, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

SUCCESS, OUT_OF_RESOURCES = 0x0000, 0xA700
SLOW_S = 1.5
WISH = "wish"
"""File with a behaviour and for how many C-STOREs it lasts: "refuse 3"."""
LOG = "stored.jsonl"
"""One line for each C-STORE that was answered."""


class ReceivingPacs:
    """Folder on disk; nothing is kept in memory, so that a kill forgets nothing that was acknowledged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def store(self, event: Any) -> int:
        """Answer one C-STORE."""
        behaviour = self._behaviour()
        if behaviour == "abort":
            event.assoc.abort()
            return OUT_OF_RESOURCES
        if behaviour == "slow":
            time.sleep(SLOW_S)
        uid = str(event.request.AffectedSOPInstanceUID)
        content = _file_of(event)
        status = OUT_OF_RESOURCES if behaviour == "refuse" else SUCCESS
        if status == SUCCESS and behaviour != "half":
            self._keep(uid, content)
        self._note(uid, content, behaviour)
        return status

    def find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        """The one object asked for, where it is kept."""
        asked = event.identifier
        if (self._folder / f"{asked.SOPInstanceUID}.dcm").is_file():
            answer = Dataset()
            answer.QueryRetrieveLevel = "IMAGE"
            for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
                setattr(answer, keyword, asked[keyword].value)
            yield 0xFF00, answer

    def _keep(self, uid: str, content: bytes) -> None:
        draft = self._folder / f"{uid}.{threading.get_ident()}.draft"
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._folder / f"{uid}.dcm")

    def _note(self, uid: str, content: bytes, behaviour: str) -> None:
        line = {"uid": uid, "sha256": hashlib.sha256(content).hexdigest(), "behaviour": behaviour}
        with self._lock, (self._folder / LOG).open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _behaviour(self) -> str:
        """What the file wishes for this C-STORE, which counts it down."""
        wish = self._folder / WISH
        with self._lock:
            if not wish.is_file():
                return "good"
            behaviour, times = wish.read_text().split()
            if int(times) > 1:
                draft = self._folder / f"{WISH}.draft"
                draft.write_text(f"{behaviour} {int(times) - 1}")
                draft.replace(wish)
            else:
                wish.unlink()
            return behaviour


def _file_of(event: Any) -> bytes:
    """The data set as it came, behind a file's head."""
    return bytes(event.encoded_dataset())


def _no_delay(event: Any) -> None:
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="tests.faults.receiver", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--ae-title", required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    pacs = ReceivingPacs(arguments.folder)
    entity = AE(ae_title=arguments.ae_title)
    for known in StoragePresentationContexts[:127]:
        entity.add_supported_context(known.abstract_syntax, [ExplicitVRLittleEndian])
    entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    entity.maximum_associations = 50
    entity.start_server(
        ("127.0.0.1", arguments.port),
        evt_handlers=[
            (evt.EVT_CONN_OPEN, _no_delay),
            (evt.EVT_C_STORE, pacs.store),
            (evt.EVT_C_FIND, pacs.find),
        ],
    )


if __name__ == "__main__":
    main()
