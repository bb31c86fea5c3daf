"""Intake: follows Orthanc's log of changes; once a study has come to rest, its best series is submitted."""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from orthanc_plugin.node.arrivals import Arrivals
from orthanc_plugin.node.choice_journal import NEXT_BEST_FAILED
from orthanc_plugin.node.job_key import EngineIdentity
from orthanc_plugin.node.journal import Submission
from orthanc_plugin.node.logs import Logger, StudyPseudonyms
from orthanc_plugin.node.pacs import RequestRefused, ResourceGone
from orthanc_plugin.node.patience import Patience
from orthanc_plugin.node.protection import ArrivingStudies
from orthanc_plugin.node.router import Router, Way
from orthanc_plugin.node.settings import IntakeSettings
from orthanc_plugin.node.study_choice import StudyChooser, Wish, note_without_part, skip_reason
from orthanc_plugin.node.submissions import fresh_submission

WOKEN_POLL_S = 2.0
"""Between two looks at /changes where the plugin says when something comes: only for what it could not say."""
LONGEST_PAUSE_S = 3600.0
"""Between two questions about a study that Orthanc refuses to show."""
NO_RULE = "no-rule"
"""There are rules, and none fits the study."""
RULES = "rules"
"""Fact: a digest of those that every study without a rule has been put to."""
AT_ONCE = 5
"""Studies that are put to changed rules at one step: what arrives does not wait for all of them."""
NEXT_BEST_TRIES = 10
"""Refusals after which the next best series of a study is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hold:
    """A quiet study that waits for missing slices."""

    until_s: float
    newest_s: float
    """When the last image before the wait came; a later one ends it."""


class Intake:
    """A cursor into /changes and one quiet timer per series; a study rests when all of its series do.

    StableSeries is not used: Orthanc never emits it after a restart. The cursor is saved only after the
    journal holds what lies before it, so a crash anywhere repeats work that the journal recognises.
    """

    def __init__(
        self,
        chooser: StudyChooser,
        settings: IntakeSettings,
        pseudonyms: StudyPseudonyms,
        log: Logger,
        *,
        clock: Callable[[], float] = time.monotonic,
        router: Router | None = None,
    ) -> None:
        self._chooser = chooser
        self._pacs = chooser.pacs
        self._journal = chooser.journal
        self._settings = settings
        self._pseudonyms = pseudonyms
        self._log = log
        self._clock = clock
        self._router = router
        self._held: dict[str, _Hold] = {}
        self._patience = Patience(settings.quiet_s, LONGEST_PAUSE_S, clock)
        self._arrivals = Arrivals(
            chooser.pacs, chooser.journal, settings.quiet_s, self._patience, log
        )
        self._rules = ""
        self._reconsidered: list[str] = []
        self._arriving = ArrivingStudies(chooser.journal)

    def step(self, engine: EngineIdentity) -> int:
        """Read what is new, submit what came to rest, save the cursor; the number submitted. Raises PacsUnavailable."""
        self._arrivals.follow()
        submitted = 0
        for study, series in self._resting_studies().items():
            try:
                if self._holds_images(series):
                    submitted += self._chooser.notes.revive_returned(study, series)
                    wish = self._wish(study, engine, may_wait=self._may_wait(study))
                    if wish.missing_slices:
                        self._hold(study, series, wish.missing_slices)
                        continue
                    came_at = self._came_at(series)
                    submitted += sum(
                        self._queue(one, received_at=came_at) for one in wish.submissions
                    )
            except RequestRefused as error:
                # This one waits, twice as long each time; the others go on.
                self._patience.refused(study)
                self._log.warning("series-not-read", reason=error.code)
                continue
            self._let_go(study, series)
        for study in self._chooser.notes.studies_without_result():
            if not self._patience.is_waiting(study):
                submitted += self._submit_next_best(study, engine)
        submitted += self._reconsider()
        self._arriving.keep(self._arrivals.image_studies)
        self._arrivals.save_cursor()
        return submitted

    @property
    def moving(self) -> int:
        """How many series are still arriving."""
        return len(self._arrivals)

    @property
    def is_expecting(self) -> bool:
        """Whether something is arriving that may be analysed."""
        return bool(self._arrivals.image_studies)

    def pause_s(self, *, is_woken: bool = False) -> float:
        """How long the next step may wait; longer where somebody tells when something comes."""
        longest_s = max(WOKEN_POLL_S, self._settings.poll_s) if is_woken else self._settings.poll_s
        if self._reconsidered:
            return self._settings.poll_s
        until_quiet_s = self._arrivals.next_quiet_s()
        if until_quiet_s is None:
            return longest_s
        # What is quiet and still here waits for slices, or for an Orthanc that refuses.
        return min(longest_s, until_quiet_s or self._settings.poll_s)

    def _resting_studies(self) -> dict[str, list[str]]:
        """Studies of which nothing has come for the quiet time, with their series that came."""
        studies = self._arrivals.by_study()
        return {study: series for study, series in studies.items() if self._is_due(study, series)}

    def _is_due(self, study: str, series: Sequence[str]) -> bool:
        if self._patience.is_waiting(study):
            return False
        hold = self._held.get(study)
        if hold is not None and hold.newest_s == self._arrivals.newest_s(series):
            return self._clock() >= hold.until_s
        return self._arrivals.is_quiet(series)

    def _may_wait(self, study: str) -> bool:
        hold = self._held.get(study)
        has_waited = hold is not None and self._clock() >= hold.until_s
        return self._settings.incomplete_wait_s > 0 and not has_waited

    def _hold(self, study: str, series: Sequence[str], missing: int) -> None:
        """What is still moving keeps the cursor behind it, so that a crash begins the wait anew."""
        until_s = self._clock() + self._settings.incomplete_wait_s
        self._held[study] = _Hold(until_s=until_s, newest_s=self._arrivals.newest_s(series))
        self._log.info("study-incomplete", study=self._pseudonyms.of(study), count=missing)

    def _let_go(self, study: str, series: Iterable[str]) -> None:
        self._arrivals.let_go(series)
        self._held.pop(study, None)
        self._patience.forget(study)

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

    def _wish(self, study: str, engine: EngineIdentity, *, may_wait: bool) -> Wish:
        try:
            if self._router is None:
                return self._chooser.choose(study, engine, may_wait=may_wait)
            images = self._chooser.images(study)
            way = self._router.way(images)
            if way is None:
                notes = [note_without_part(one, NO_RULE) for one in images]
                self._chooser.notes.note(study, notes)
                return Wish(submissions=())
            return self._chosen(study, way, may_wait=may_wait)
        except ResourceGone:
            self._chooser.notes.give_up(study, "source-deleted")
            return Wish(submissions=())

    def _chosen(self, study: str, way: Way, *, may_wait: bool) -> Wish:
        wish = self._chooser.choose(study, way.engine, way.route.profile, may_wait=may_wait)
        routed = (replace(one, route=way.route) for one in wish.submissions)
        return replace(wish, submissions=tuple(routed))

    def _next_best(self, study: str, engine: EngineIdentity) -> Wish:
        """By the profile of what was rejected, whatever the rules say by now."""
        route = self._chooser.notes.rejected_route(study)
        if route is None or self._router is None:
            return self._wish(study, engine, may_wait=False)
        analyses = self._router.engine_of(route.profile)
        if analyses is None:
            return self._wish(study, engine, may_wait=False)
        try:
            return self._chosen(study, Way(route=route, engine=analyses), may_wait=False)
        except ResourceGone:
            self._chooser.notes.give_up(study, "source-deleted")
            return Wish(submissions=())

    def _submit_next_best(self, study: str, engine: EngineIdentity) -> int:
        try:
            wish = self._next_best(study, engine)
        except RequestRefused as error:
            self._log.warning("series-not-read", reason=error.code)
            if self._patience.refused(study) >= NEXT_BEST_TRIES:
                self._patience.forget(study)
                self._chooser.notes.give_up(study, "orthanc-refuses")
            return 0
        self._patience.forget(study)
        submitted = sum(self._queue(one) for one in wish.submissions)
        if not submitted:
            self._chooser.notes.give_up(study, NEXT_BEST_FAILED)
        return submitted

    def _reconsider(self) -> int:
        """Put what no rule fitted to the rules again once these have changed; some studies at a step."""
        if self._router is None:
            return 0
        rules = self._router.rules_digest
        if rules != self._rules:
            self._rules = rules
            # A journal that knows of no rules yet has nothing to put to others.
            is_other = self._journal.fact(RULES) not in (None, rules)
            since = self._journal.clock() - self._settings.reconsider_h * 3600.0
            self._reconsidered = (
                list(self._chooser.notes.studies_noted(NO_RULE, since)) if is_other else []
            )
            if self._reconsidered:
                self._log.info("studies-reconsidered", count=len(self._reconsidered))
        submitted = sum(self._put_again(study) for study in self._reconsidered[:AT_ONCE])
        # Only now: after a crash all of them are looked at once more, which submits none twice.
        if not self._reconsidered and self._journal.fact(RULES) != rules:
            self._journal.set_fact(RULES, rules)
        return submitted

    def _put_again(self, study: str) -> int:
        assert self._router is not None
        if study in self._arrivals.image_studies:
            # It is put to them when it comes to rest.
            self._reconsidered.remove(study)
            return 0
        if self._patience.is_waiting(study):
            return 0
        try:
            # Noted anew, it would be looked at for ever; so the note stays as old as it is.
            way = self._router.way(self._chooser.images(study))
            wish = Wish(submissions=()) if way is None else self._chosen(study, way, may_wait=False)
        except ResourceGone:
            wish = Wish(submissions=())
        except RequestRefused as error:
            self._log.warning("series-not-read", reason=error.code)
            if self._patience.refused(study) < NEXT_BEST_TRIES:
                self._reconsidered.append(self._reconsidered.pop(self._reconsidered.index(study)))
                return 0
            wish = Wish(submissions=())
        self._patience.forget(study)
        self._reconsidered.remove(study)
        return sum(self._queue(one, why="rules-changed") for one in wish.submissions)

    def _came_at(self, series: Iterable[str]) -> float:
        """When the last image of these came, by the journal's clock."""
        return self._journal.clock() - (self._clock() - self._arrivals.newest_s(series))

    def _queue(self, wanted: Submission, why: str = "", received_at: float | None = None) -> int:
        submission = fresh_submission(self._journal, wanted)
        if submission is None:
            return 0
        if not self._journal.submit(submission, for_study=True, why=why, received_at=received_at):
            return 0
        self._log.info(
            "job-queued",
            job=submission.key,
            study=self._pseudonyms.of(submission.series_uid),
            count=submission.instance_count,
            rule=submission.route.rule or "none",
            priority=submission.route.priority.value,
        )
        self._mark(submission.series_orthanc_id, submission.key)
        return 1

    def _mark(self, series_orthanc_id: str, key: str) -> None:
        """The marker is for people; the journal is the truth, so a series deleted just now is no matter."""
        try:
            self._pacs.set_marker(series_orthanc_id, json.dumps({"job": key}))
        except ResourceGone:
            return
