"""The outbox: brings every DICOM result into our own Orthanc and from there to each destination, until confirmed."""

import math
import time
from collections.abc import Callable
from pathlib import Path

from inference.domain.errors import InferenceFailed
from orthanc_plugin.node.delivery_journal import (
    Delivery,
    DeliveryJournal,
    DeliveryStep,
)
from orthanc_plugin.node.destinations import Confirmation, Destination, DestinationKind
from orthanc_plugin.node.folder_destination import FolderNotWritable, holds_file, put_file
from orthanc_plugin.node.job_states import DeliveryState
from orthanc_plugin.node.logs import Logger
from orthanc_plugin.node.pacs import Pacs, QueryRefused, RequestRefused, ResourceGone, SendState
from orthanc_plugin.node.settings import OutboxSettings, Settings, SupersededPolicy
from orthanc_plugin.node.spool import Spool

WRITTEN = "written"
"""Stands for the Orthanc job of a delivery into a folder: it is over when it begins."""
STORE_PAUSE_S = 60.0
"""Before what our own Orthanc refused is asked of it again."""


class Outbox:
    """One pass over everything that is due; never waits for a peer longer than one exchange."""

    def __init__(
        self,
        pacs: Pacs,
        deliveries: DeliveryJournal,
        spool: Spool,
        in_force: Callable[[], Settings],
        log: Logger,
    ) -> None:
        self._pacs = pacs
        self._deliveries = deliveries
        self._spool = spool
        self._in_force = in_force
        self._log = log
        self._tidy_at_s = 0.0
        """Monotonic; after a start there may be something left of the last run."""
        self._held_until_s: dict[tuple[str, str], float] = {}
        """Monotonic; results that could not be stored just now."""

    @property
    def _settings(self) -> OutboxSettings:
        return self._in_force().outbox

    @property
    def _destinations(self) -> dict[str, Destination]:
        return {each.name: each for each in self._in_force().destinations}

    def step(self) -> None:
        """Store, send, poll, confirm and settle what is due; raises PacsUnavailable when Orthanc is away."""
        self._store()
        for delivery in self._deliveries.due():
            try:
                step = self._next(delivery)
            except (RequestRefused, FolderNotWritable, InferenceFailed) as error:
                step = self._again(delivery, error.code)
            self._deliveries.step(delivery, step)
        for key in self._deliveries.settle():
            self._log.info("job-done", job=key)
            self._tidy_at_s = 0.0
        may_tidy = self._in_force().results.superseded is SupersededPolicy.DELETE_HERE
        if may_tidy and time.monotonic() >= self._tidy_at_s:
            self._tidy_at_s = self._tidy()

    def _store(self) -> None:
        """One result that cannot be stored holds up no other."""
        for result in self._deliveries.results_to_store():
            name = (result.key, result.role)
            if time.monotonic() < self._held_until_s.get(name, 0.0):
                continue
            try:
                content = self._spool.read_result(result.key, result.file_name, result.sha256)
                self._deliveries.mark_stored(result, self._pacs.store_instance(content))
            except (InferenceFailed, RequestRefused) as error:
                self._held_until_s[name] = time.monotonic() + STORE_PAUSE_S
                self._log.error(
                    "result-not-stored", job=result.key, role=result.role, reason=error.code
                )

    def _tidy(self) -> float:
        """Delete from our own Orthanc what newer results, delivered where they must be, have replaced; when to come again."""
        again_s = math.inf
        for result in self._deliveries.superseded_here():
            try:
                self._pacs.delete_instance(result.orthanc_id)
            except ResourceGone:
                pass
            except RequestRefused as error:
                again_s = time.monotonic() + STORE_PAUSE_S
                self._log.warning(
                    "result-not-deleted", job=result.key, role=result.role, reason=error.code
                )
                continue
            self._deliveries.mark_deleted(result)
        return again_s

    def _next(self, delivery: Delivery) -> DeliveryStep:
        if delivery.destination not in self._destinations:
            return self._unknown(delivery)
        match delivery.state:
            case DeliveryState.PENDING:
                return self._send(delivery)
            case DeliveryState.SENDING:
                return self._poll(delivery)
            case _:
                return self._confirm(delivery)

    def _send(self, delivery: Delivery) -> DeliveryStep:
        destination = self._destinations[delivery.destination]
        try:
            job_id = self._start(delivery, destination)
        except ResourceGone:
            # Deleted from our Orthanc, or the modality is unknown to it.
            self._deliveries.forget_stored(delivery)
            return self._again(delivery, "gone-from-orthanc")
        return DeliveryStep(
            state=DeliveryState.SENDING, tries=delivery.tries, orthanc_job_id=job_id
        )

    def _unknown(self, delivery: Delivery) -> DeliveryStep:
        """It waits as it is until somebody names its destination again."""
        tries = delivery.tries + 1
        return DeliveryStep(
            state=delivery.state,
            tries=tries,
            orthanc_job_id=delivery.orthanc_job_id,
            delay_s=self._back_off_s(tries),
            reason="destination-not-configured",
        )

    def _start(self, delivery: Delivery, destination: Destination) -> str:
        if destination.kind is not DestinationKind.FOLDER:
            return self._pacs.send(destination, delivery.orthanc_id)
        content = self._spool.read_result(delivery.key, delivery.file_name, delivery.sha256)
        put_file(Path(destination.address), delivery.uids, content)
        return WRITTEN

    def _poll(self, delivery: Delivery) -> DeliveryStep:
        if delivery.orthanc_job_id == WRITTEN:
            return DeliveryStep(state=DeliveryState.SENT)
        assert delivery.orthanc_job_id is not None
        match self._pacs.job_state(delivery.orthanc_job_id):
            case SendState.RUNNING:
                return DeliveryStep(
                    state=DeliveryState.SENDING,
                    tries=delivery.tries,
                    orthanc_job_id=delivery.orthanc_job_id,
                    delay_s=self._settings.poll_s,
                )
            case SendState.SUCCESS:
                return DeliveryStep(state=DeliveryState.SENT)
            case SendState.FAILURE:
                return self._again(delivery, "refused-or-away")
            case SendState.UNKNOWN:
                return self._again(delivery, "send-forgotten")

    def _confirm(self, delivery: Delivery) -> DeliveryStep:
        """The peer is asked for the very object; what it cannot tell stays visibly unverified."""
        destination = self._destinations[delivery.destination]
        if destination.confirm is Confirmation.STORE_STATUS:
            return DeliveryStep(state=DeliveryState.CONFIRMED, reason="store-status")
        tries = delivery.tries + 1
        try:
            is_there = self._is_there(delivery, destination)
        except (QueryRefused, ResourceGone):
            return DeliveryStep(
                state=DeliveryState.UNVERIFIED,
                tries=tries,
                delay_s=self._back_off_s(tries),
                reason=QueryRefused.code,
            )
        if is_there:
            return DeliveryStep(state=DeliveryState.CONFIRMED, tries=delivery.tries)
        if tries < 3:
            # Some archives index what they received only a while later.
            return DeliveryStep(state=delivery.state, tries=tries, delay_s=self._back_off_s(tries))
        return self._again(delivery, "not-found-at-destination")

    def _is_there(self, delivery: Delivery, destination: Destination) -> bool:
        if destination.kind is not DestinationKind.FOLDER:
            return self._pacs.found_at(destination, delivery.uids)
        return holds_file(Path(destination.address), delivery.uids, delivery.sha256)

    def _again(self, delivery: Delivery, reason: str) -> DeliveryStep:
        tries = delivery.tries + 1
        self._log.warning(
            "delivery-retried",
            job=delivery.key,
            role=delivery.role,
            destination=delivery.destination,
            reason=reason,
            attempt=tries,
        )
        return DeliveryStep(
            state=DeliveryState.PENDING,
            tries=tries,
            delay_s=self._back_off_s(tries),
            reason=reason,
        )

    def _back_off_s(self, tries: int) -> float:
        """Doubling from the first wait to the longest."""
        doubled = self._settings.first_retry_s * 2.0 ** min(tries - 1, 20)
        return min(self._settings.longest_retry_s, doubled)
