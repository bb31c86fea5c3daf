"""Intake: follows Orthanc's log of changes and submits each CT series once it has come to rest."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from orthanc_plugin.node.job_key import EngineIdentity
from orthanc_plugin.node.journal import Journal
from orthanc_plugin.node.logs import Logger, StudyPseudonyms
from orthanc_plugin.node.pacs import Change, Pacs, RequestRefused, ResourceGone, SeriesFacts
from orthanc_plugin.node.submissions import fresh_submission, submission_of

CURSOR = "cursor"
PAGE = 500
"""Changes asked for at once."""
OWN_MODALITIES = frozenset({"SEG", "SR"})
OWN_MANUFACTURER = "Habitus"


@dataclass(slots=True)
class _Arrival:
    """A series that is still moving."""

    first_sequence: int
    last_seen_s: float
    """Monotonic."""


def skip_reason(facts: SeriesFacts) -> str | None:
    """Why a series is not submitted at all; whether a CT can be measured is the pipeline's to say."""
    if facts.manufacturer == OWN_MANUFACTURER:
        return "own-result"
    if facts.modality in OWN_MODALITIES:
        return "result-object"
    if facts.modality != "CT":
        return "not-ct"
    return None


class Intake:
    """A cursor into /changes and one quiet timer per series.

    StableSeries is not used: Orthanc never emits it after a restart. The cursor is saved behind the
    oldest series that is still moving, and only after the journal holds what lies before it, so a
    crash anywhere repeats work that the journal recognises, and loses none.
    """

    def __init__(
        self,
        pacs: Pacs,
        journal: Journal,
        quiet_s: float,
        pseudonyms: StudyPseudonyms,
        log: Logger,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pacs = pacs
        self._journal = journal
        self._quiet_s = quiet_s
        self._pseudonyms = pseudonyms
        self._log = log
        self._clock = clock
        self._moving: dict[str, _Arrival] = {}
        self._position: int | None = None

    def step(self, engine: EngineIdentity) -> int:
        """Read what is new, submit what came to rest, save the cursor; the number submitted. Raises PacsUnavailable."""
        self._read_changes()
        submitted = 0
        for series, arrival in list(self._moving.items()):
            if self._clock() - arrival.last_seen_s < self._quiet_s:
                continue
            try:
                submitted += self._submit(series, engine)
                del self._moving[series]
            except RequestRefused as error:
                # This one waits another quiet time; the others go on.
                arrival.last_seen_s = self._clock()
                self._log.warning("series-not-read", reason=error.code)
        self._save_cursor()
        return submitted

    @property
    def moving(self) -> int:
        """How many series are still arriving."""
        return len(self._moving)

    def _start(self) -> int:
        cursor = int(self._journal.fact(CURSOR) or 0)
        if self._pacs.last_change() < cursor:
            # Orthanc's index was replaced: its sequence began anew.
            self._log.warning("cursor-reset", cursor=cursor)
            return 0
        return cursor

    def _read_changes(self) -> None:
        position = self._start() if self._position is None else self._position
        while True:
            page = self._pacs.changes(position, PAGE)
            for change in page.changes:
                self._note(change)
            position = page.last
            self._position = position
            if page.is_done:
                return

    def _note(self, change: Change) -> None:
        if change.kind != "NewInstance":
            return
        try:
            series = self._pacs.series_of_instance(change.orthanc_id)
        except ResourceGone:
            return
        arrival = self._moving.setdefault(
            series, _Arrival(first_sequence=change.sequence, last_seen_s=0.0)
        )
        arrival.last_seen_s = self._clock()

    def _submit(self, series_orthanc_id: str, engine: EngineIdentity) -> int:
        try:
            facts = self._pacs.series_facts(series_orthanc_id)
        except ResourceGone:
            return 0
        if reason := skip_reason(facts):
            self._journal.skip(facts.series_uid, reason)
            return 0
        submission = fresh_submission(self._journal, submission_of(facts, engine))
        if submission is None or self._journal.submit(submission) is None:
            return 0
        self._log.info(
            "job-queued",
            job=submission.key,
            study=self._pseudonyms.of(facts.series_uid),
            count=submission.instance_count,
        )
        self._mark(series_orthanc_id, submission.key)
        return 1

    def _mark(self, series_orthanc_id: str, key: str) -> None:
        """The marker is for people; the journal is the truth, so a series deleted just now is no matter."""
        try:
            self._pacs.set_marker(series_orthanc_id, json.dumps({"job": key}))
        except ResourceGone:
            return

    def _save_cursor(self) -> None:
        assert self._position is not None
        behind = [arrival.first_sequence - 1 for arrival in self._moving.values()]
        cursor = min([self._position, *behind])
        if self._journal.fact(CURSOR) != str(cursor):
            self._journal.set_fact(CURSOR, str(cursor))
