"""Asks a receiver whether it has an object: by storage commitment where it offers that, else by a query."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from orthanc_plugin.node.delivery_journal import Delivery
from orthanc_plugin.node.destinations import Destination, DestinationKind, Verification
from orthanc_plugin.node.folder_destination import holds_file
from orthanc_plugin.node.pacs import CommitmentState, Pacs, QueryRefused, ResourceGone

COMMITMENT_SILENCE_S = 600.0
"""So long "auto" asks by query alone, once a receiver has not answered a request for commitment."""

QUERY_NAMES = {
    DestinationKind.MODALITY: "c-find",
    DestinationKind.DICOMWEB: "qido",
    DestinationKind.PEER: "lookup",
    DestinationKind.FOLDER: "bytes",
}


class Answer(StrEnum):
    """What a receiver says of an object."""

    THERE = "there"
    NOT_THERE = "not-there"
    NOT_YET = "not-yet"
    """It will report later."""
    NONE = "none"
    """It cannot be asked, or does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """An answer, and how it was had."""

    answer: Answer
    by: str = ""
    commitment_id: str | None = None
    """Of a request whose report is still to come."""


class Verifier:
    """Of one destination; remembers for a while that it offers no storage commitment."""

    def __init__(self, pacs: Pacs, clock: Callable[[], float] = time.monotonic) -> None:
        self._pacs = pacs
        self._clock = clock
        self._silent_until_s = 0.0
        self._asked_at_s: dict[str, float] = {}
        """By commitment; requests of an earlier run of the node count from when they are met again."""

    def ask(self, delivery: Delivery, destination: Destination, wait_s: float) -> Finding:
        """What the receiver says; a report of commitment is waited for so long."""
        if destination.verify is Verification.NONE:
            return Finding(answer=Answer.THERE, by="store-status")
        if destination.verify is Verification.FIND or not self._may_commit(delivery, destination):
            return self._find(delivery, destination)
        finding = self._commitment(delivery, destination, wait_s)
        if finding.answer is Answer.NONE and destination.verify is Verification.AUTO:
            self._silent_until_s = self._clock() + COMMITMENT_SILENCE_S
            return self._find(delivery, destination)
        return finding

    def _may_commit(self, delivery: Delivery, destination: Destination) -> bool:
        # Results of before the journal kept their SOP class cannot be named in a request.
        is_possible = destination.kind is DestinationKind.MODALITY and delivery.uids.sop_class_uid
        is_wanted = destination.verify is Verification.COMMITMENT
        return bool(is_possible) and (is_wanted or self._clock() >= self._silent_until_s)

    def _commitment(self, delivery: Delivery, destination: Destination, wait_s: float) -> Finding:
        if delivery.commitment_id is None:
            return self._request(delivery, destination)
        asked_at_s = self._asked_at_s.setdefault(delivery.commitment_id, self._clock())
        state = self._pacs.commitment_state(delivery.commitment_id)
        if state is CommitmentState.PENDING and self._clock() - asked_at_s < wait_s:
            return Finding(answer=Answer.NOT_YET, commitment_id=delivery.commitment_id)
        del self._asked_at_s[delivery.commitment_id]
        match state:
            case CommitmentState.MADE:
                return Finding(answer=Answer.THERE, by="commitment")
            case CommitmentState.REFUSED:
                return Finding(answer=Answer.NOT_THERE, by="commitment")
            case CommitmentState.UNKNOWN:
                return self._request(delivery, destination)
            case CommitmentState.PENDING:
                return Finding(answer=Answer.NONE)

    def _request(self, delivery: Delivery, destination: Destination) -> Finding:
        try:
            asked = self._pacs.request_commitment(destination, delivery.uids)
        except (QueryRefused, ResourceGone):
            return Finding(answer=Answer.NONE)
        return Finding(answer=Answer.NOT_YET, commitment_id=asked)

    def _find(self, delivery: Delivery, destination: Destination) -> Finding:
        try:
            if destination.kind is DestinationKind.FOLDER:
                folder = Path(destination.address)
                is_there = holds_file(folder, delivery.uids, delivery.sha256)
            else:
                is_there = self._pacs.found_at(destination, delivery.uids)
        except (QueryRefused, ResourceGone):
            return Finding(answer=Answer.NONE)
        answer = Answer.THERE if is_there else Answer.NOT_THERE
        return Finding(answer=answer, by=QUERY_NAMES[destination.kind])
