"""Intake: follows Orthanc's log of changes; once a study has come to rest, its best series is submitted."""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from orthanc_plugin.node.choice_journal import NEXT_BEST_FAILED
from orthanc_plugin.node.job_key import EngineIdentity
from orthanc_plugin.node.journal import Submission
from orthanc_plugin.node.logs import Logger, StudyPseudonyms
from orthanc_plugin.node.pacs import Change, RequestRefused, ResourceGone
from orthanc_plugin.node.study_choice import StudyChooser, note_without_part, skip_reason
from orthanc_plugin.node.submissions import fresh_submission

CURSOR = "cursor"
PAGE = 500
"""Changes asked for at once."""


@dataclass(slots=True)
class _Arrival:
    """A series that is still moving."""

    first_sequence: int
    last_seen_s: float
    """Monotonic."""
    study: str | None = None


class Intake:
    """A cursor into /changes and one quiet timer per series; a study rests when all of its series do.

    StableSeries is not used: Orthanc never emits it after a restart. The cursor is saved behind the
    oldest series that is still moving, and only after the journal holds what lies before it, so a
    crash anywhere repeats work that the journal recognises, and loses none.
    """

    def __init__(
        self,
        chooser: StudyChooser,
        quiet_s: float,
        pseudonyms: StudyPseudonyms,
        log: Logger,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._chooser = chooser
        self._pacs = chooser.pacs
        self._journal = chooser.journal
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
        for study, series in self._resting_studies().items():
            try:
                if self._holds_images(series):
                    submitted += self._submit(study, engine)
            except RequestRefused as error:
                # This one waits another quiet time; the others go on.
                self._postpone(series, error)
                continue
            for one in series:
                del self._moving[one]
        for study in self._chooser.notes.studies_without_result():
            submitted += self._submit_next_best(study, engine)
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

    def _resting_studies(self) -> dict[str, list[str]]:
        """Studies of which nothing has come for the quiet time, with their series that came."""
        arrived: defaultdict[str, list[str]] = defaultdict(list)
        for series, arrival in list(self._moving.items()):
            try:
                arrival.study = arrival.study or self._pacs.study_of_series(series)
            except ResourceGone:
                del self._moving[series]
                continue
            except RequestRefused as error:
                if self._is_quiet(arrival):
                    self._postpone([series], error)
                continue
            arrived[arrival.study].append(series)
        return {
            study: series
            for study, series in arrived.items()
            if all(self._is_quiet(self._moving[one]) for one in series)
        }

    def _is_quiet(self, arrival: _Arrival) -> bool:
        return self._clock() - arrival.last_seen_s >= self._quiet_s

    def _postpone(self, series: Iterable[str], error: RequestRefused) -> None:
        for one in series:
            self._moving[one].last_seen_s = self._clock()
        self._log.warning("series-not-read", reason=error.code)

    def _holds_images(self, series: Iterable[str]) -> bool:
        """Whether CT came; our own results coming to rest in a study are noted and choose nothing."""
        is_any_image = False
        for one in series:
            try:
                facts = self._pacs.series_facts(one)
            except ResourceGone:
                continue
            if reason := skip_reason(facts):
                self._chooser.notes.note(facts.study_orthanc_id, [note_without_part(facts, reason)])
            else:
                is_any_image = True
        return is_any_image

    def _submit(self, study: str, engine: EngineIdentity) -> int:
        try:
            wanted = self._chooser.choose(study, engine)
        except ResourceGone:
            self._chooser.notes.give_up(study, "source-deleted")
            return 0
        return sum(self._queue(submission) for submission in wanted)

    def _submit_next_best(self, study: str, engine: EngineIdentity) -> int:
        try:
            submitted = self._submit(study, engine)
        except RequestRefused as error:
            self._log.warning("series-not-read", reason=error.code)
            return 0
        if not submitted:
            self._chooser.notes.give_up(study, NEXT_BEST_FAILED)
        return submitted

    def _queue(self, wanted: Submission) -> int:
        submission = fresh_submission(self._journal, wanted)
        if submission is None or self._journal.submit(submission) is None:
            return 0
        self._log.info(
            "job-queued",
            job=submission.key,
            study=self._pseudonyms.of(submission.series_uid),
            count=submission.instance_count,
        )
        self._mark(submission.series_orthanc_id, submission.key)
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
