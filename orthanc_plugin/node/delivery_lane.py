"""A lane: brings results to one destination until they are confirmed there; no lane waits for another."""

from collections.abc import Callable
from pathlib import Path

from inference.domain.errors import InferenceFailed
from orthanc_plugin.node.delivery_journal import Delivery, DeliveryJournal, DeliveryStep
from orthanc_plugin.node.destinations import Destination, DestinationKind
from orthanc_plugin.node.folder_destination import FolderNotWritable, put_file
from orthanc_plugin.node.job_states import DeliveryState
from orthanc_plugin.node.journal import CLOCK_TOLERANCE_S
from orthanc_plugin.node.logs import Logger
from orthanc_plugin.node.pacs import (
    DestinationUnknown,
    Pacs,
    QueryRefused,
    RequestRefused,
    ResourceGone,
    SendState,
)
from orthanc_plugin.node.settings import OutboxSettings, Settings
from orthanc_plugin.node.spool import Spool
from orthanc_plugin.node.verification import Answer, Finding, Verifier

WRITTEN = "written"
"""Stands for the Orthanc job of a delivery into a folder: it is over when it begins."""
SENDS_AT_ONCE = 2
"""Of one destination: a slow one must leave some of Orthanc's job threads to the others."""
UNDER_WAY_POLL_S = 0.2
"""How soon a send or a report that is under way is looked at again."""
BATCH = 100
"""Deliveries of one pass."""


class Lane:
    """One destination's share of the outbox."""

    def __init__(
        self,
        destination_name: str,
        pacs: Pacs,
        deliveries: DeliveryJournal,
        spool: Spool,
        in_force: Callable[[], Settings],
        log: Logger,
    ) -> None:
        self._name = destination_name
        self._pacs = pacs
        self._deliveries = deliveries
        self._spool = spool
        self._in_force = in_force
        self._log = log
        self._verifier = Verifier(pacs)

    @property
    def _settings(self) -> OutboxSettings:
        return self._in_force().outbox

    def step(self) -> float:
        """Send, poll and confirm what is due; the seconds until it is worth looking again. Raises PacsUnavailable."""
        self._release_from_the_future()
        sending = self._deliveries.sending(self._name)
        has_moved = False
        for delivery in self._deliveries.due(self._name, BATCH):
            if delivery.state is DeliveryState.PENDING and sending >= SENDS_AT_ONCE:
                continue
            try:
                step = self._next(delivery)
            except (DestinationUnknown, FolderNotWritable) as error:
                step = self._again(delivery, error.code, is_reached=False)
            except (RequestRefused, InferenceFailed) as error:
                step = self._again(delivery, error.code)
            was_sending = delivery.state is DeliveryState.SENDING
            sending += (step.state is DeliveryState.SENDING) - was_sending
            has_moved |= self._deliveries.step(delivery, step) and step.state is not delivery.state
        if has_moved:
            return 0.0
        return min(UNDER_WAY_POLL_S, self._settings.poll_s) if sending else self._settings.poll_s

    def _release_from_the_future(self) -> None:
        outbox = self._settings
        waits_s = (outbox.longest_retry_s, outbox.index_wait_s, outbox.commitment_wait_s)
        count = self._deliveries.release_from_the_future(
            self._name, max(waits_s) + CLOCK_TOLERANCE_S
        )
        if count:
            self._log.warning("clock-set-back", role="lane", destination=self._name, count=count)

    def _next(self, delivery: Delivery) -> DeliveryStep:
        known = {each.name: each for each in self._in_force().destinations}
        destination = known.get(self._name)
        if destination is None:
            return self._unknown(delivery)
        match delivery.state:
            case DeliveryState.PENDING:
                return self._send(delivery, destination)
            case DeliveryState.SENDING:
                return self._poll(delivery)
            case _:
                return self._confirm(delivery, destination)

    def _unknown(self, delivery: Delivery) -> DeliveryStep:
        """It waits as it is until somebody names its destination again."""
        tries = delivery.tries + 1
        return DeliveryStep(
            state=delivery.state,
            tries=tries,
            orthanc_job_id=delivery.orthanc_job_id,
            commitment_id=delivery.commitment_id,
            delay_s=self._back_off_s(tries),
            reason="destination-not-configured",
        )

    def _send(self, delivery: Delivery, destination: Destination) -> DeliveryStep:
        try:
            job_id = self._start(delivery, destination)
        except ResourceGone:
            # Deleted from our Orthanc: stored there once more.
            self._deliveries.forget_stored(delivery)
            return self._again(delivery, "gone-from-orthanc")
        return DeliveryStep(
            state=DeliveryState.SENDING, tries=delivery.tries, orthanc_job_id=job_id
        )

    def _start(self, delivery: Delivery, destination: Destination) -> str:
        if destination.kind is not DestinationKind.FOLDER:
            return self._pacs.send(destination, delivery.orthanc_id)
        content = self._spool.read_result(delivery.key, delivery.file_name, delivery.sha256)
        put_file(Path(destination.address), delivery.uids, content)
        return WRITTEN

    def _poll(self, delivery: Delivery) -> DeliveryStep:
        sent = DeliveryStep(state=DeliveryState.SENT, tries=delivery.tries, is_reached=True)
        if delivery.orthanc_job_id == WRITTEN:
            return sent
        assert delivery.orthanc_job_id is not None
        match self._pacs.job_state(delivery.orthanc_job_id):
            case SendState.RUNNING:
                return DeliveryStep(
                    state=DeliveryState.SENDING,
                    tries=delivery.tries,
                    orthanc_job_id=delivery.orthanc_job_id,
                    delay_s=min(UNDER_WAY_POLL_S, self._settings.poll_s),
                )
            case SendState.SUCCESS:
                return sent
            case SendState.FAILURE:
                return self._again(delivery, "refused-or-away", is_reached=False)
            case SendState.UNKNOWN:
                return self._again(delivery, "send-forgotten")

    def _confirm(self, delivery: Delivery, destination: Destination) -> DeliveryStep:
        """The receiver is asked for the very object; what it cannot tell stays visibly unverified."""
        finding = self._verifier.ask(delivery, destination, self._settings.commitment_wait_s)
        match finding.answer:
            case Answer.THERE:
                return DeliveryStep(
                    state=DeliveryState.CONFIRMED,
                    tries=delivery.tries,
                    verified_by=finding.by,
                    is_reached=True,
                )
            case Answer.NOT_YET:
                return self._ask_later(delivery, finding, self._settings.poll_s)
            case Answer.NOT_THERE if self._may_still_appear(delivery):
                return self._ask_later(delivery, finding, self._settings.index_wait_s / 10)
            case Answer.NOT_THERE:
                return self._again(delivery, "not-found-at-destination")
            case Answer.NONE:
                tries = delivery.tries + 1
                return DeliveryStep(
                    state=DeliveryState.UNVERIFIED,
                    tries=tries,
                    delay_s=self._back_off_s(tries),
                    reason=QueryRefused.code,
                )

    def _may_still_appear(self, delivery: Delivery) -> bool:
        """Some archives show what they received only a while later."""
        return self._deliveries.age_s(delivery) < self._settings.index_wait_s

    def _ask_later(self, delivery: Delivery, finding: Finding, delay_s: float) -> DeliveryStep:
        return DeliveryStep(
            state=delivery.state,
            tries=delivery.tries,
            commitment_id=finding.commitment_id,
            delay_s=delay_s,
        )

    def _again(
        self, delivery: Delivery, reason: str, *, is_reached: bool | None = None
    ) -> DeliveryStep:
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
            is_reached=is_reached,
        )

    def _back_off_s(self, tries: int) -> float:
        """Doubling from the first wait to the longest."""
        doubled = self._settings.first_retry_s * 2.0 ** min(max(0, tries - 1), 20)
        return min(self._settings.longest_retry_s, doubled)
