"""The outbox: brings every DICOM result into our own Orthanc, opens a lane for each destination, settles jobs."""

import math
import time
from collections.abc import Callable

from inference.domain.errors import InferenceFailed
from orthanc_plugin.node.delivery_journal import DeliveryJournal
from orthanc_plugin.node.logs import Logger
from orthanc_plugin.node.pacs import Pacs, RequestRefused, ResourceGone
from orthanc_plugin.node.settings import Settings, SupersededPolicy
from orthanc_plugin.node.spool import Spool

STORE_PAUSE_S = 60.0
"""Before what our own Orthanc refused is asked of it again."""


class Outbox:
    """One pass over what our own Orthanc is to have and what has become of it; never waits for a receiver."""

    def __init__(
        self,
        pacs: Pacs,
        deliveries: DeliveryJournal,
        spool: Spool,
        in_force: Callable[[], Settings],
        open_lane: Callable[[str], None],
        log: Logger,
    ) -> None:
        self._pacs = pacs
        self._deliveries = deliveries
        self._spool = spool
        self._in_force = in_force
        self._open_lane = open_lane
        """Called once for each destination that something waits for."""
        self._opened: set[str] = set()
        self._log = log
        self._tidy_at_s = 0.0
        """Monotonic; after a start there may be something left of the last run."""
        self._held_until_s: dict[tuple[str, str], float] = {}
        """Monotonic; results that could not be stored just now."""

    def step(self) -> bool:
        """Store, open lanes, settle and tidy; True where lanes have something new. Raises PacsUnavailable."""
        has_stored = self._store()
        for name in self._deliveries.open_destinations() - self._opened:
            self._opened.add(name)
            self._open_lane(name)
        for key in self._deliveries.settle():
            self._log.info("job-done", job=key)
            self._tidy_at_s = 0.0
        may_tidy = self._in_force().results.superseded is SupersededPolicy.DELETE_HERE
        if may_tidy and time.monotonic() >= self._tidy_at_s:
            self._tidy_at_s = self._tidy()
        return has_stored

    def _store(self) -> bool:
        """Whether anything was; one result that cannot be stored holds up no other."""
        has_stored = False
        for result in self._deliveries.results_to_store():
            name = (result.key, result.role)
            if time.monotonic() < self._held_until_s.get(name, 0.0):
                continue
            try:
                content = self._spool.read_result(result.key, result.file_name, result.sha256)
                self._deliveries.mark_stored(result, self._pacs.store_instance(content))
                has_stored = True
            except (InferenceFailed, RequestRefused) as error:
                self._held_until_s[name] = time.monotonic() + STORE_PAUSE_S
                self._log.error(
                    "result-not-stored", job=result.key, role=result.role, reason=error.code
                )
        return has_stored

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
