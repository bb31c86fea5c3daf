"""Deletes studies from our own Orthanc by the site's rule: old enough, every job ended, every required delivery confirmed."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from orthanc_plugin.node.arrivals import CURSOR, PAGE
from orthanc_plugin.node.delivery_journal import OPEN_STATES
from orthanc_plugin.node.job_states import DeliveryState, JobState
from orthanc_plugin.node.journal import CLOCK_TOLERANCE_S, NODE, Journal
from orthanc_plugin.node.logs import Logger, StudyPseudonyms
from orthanc_plugin.node.pacs import Pacs, RequestRefused, ResourceGone
from orthanc_plugin.node.settings import RetentionSettings
from orthanc_plugin.node.spool_retention import DAY_S

MOST_UNREAD_PAGES = 20
"""Of /changes: an intake that is further behind is waited for."""
CLOCK_TRIAL_S = DAY_S
"""After a jump of the machine's clock: a wrong one would make every study old, and somebody may set it right."""
Arriving = Callable[[], frozenset[str] | None]
"""Images that the intake has not put behind it; None where they are too many to look at."""
_UNDER_WAY = frozenset({JobState.QUEUED, JobState.RUNNING, JobState.COMPUTED})


class Kept(StrEnum):
    """Why a study stays."""

    UNDER_WAY = "job-under-way"
    DEAD = "job-dead"
    """Until somebody requeues or cancels it."""
    UNDELIVERED = "undelivered"
    WITHOUT_RESULTS = "without-delivered-results"
    """Rejected, cancelled, no rule, sent nowhere."""
    UNKNOWN = "not-looked-at"
    """By the intake; perhaps not ours at all."""
    YOUNG = "young"
    PROTECTED = "protected"
    ARRIVING = "images-not-taken-in"
    REFUSED = "orthanc-refuses"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Of one study."""

    study_orthanc_id: str
    kept: Kept | None
    """None: it goes."""
    age_days: float = 0.0
    """Since its last change; 0 where that was not asked."""


class RetentionRule:
    """Says what goes and deletes nothing; reads the journal only."""

    def __init__(
        self, connection: sqlite3.Connection, pacs: Pacs, clock: Callable[[], float]
    ) -> None:
        self._connection = connection
        self._pacs = pacs
        self._clock = clock

    def verdicts(self, rule: RetentionSettings) -> Iterator[Verdict]:
        """Of every study that Orthanc has, each at the moment it is asked for; raises PacsUnavailable."""
        arriving = self._arriving()
        for study in self._pacs.studies():
            yield self._verdict(study, rule, lambda: arriving)

    def verdict(self, study: str, rule: RetentionSettings) -> Verdict:
        """Of one, as it is now; raises PacsUnavailable."""
        return self._verdict(study, rule, self._arriving)

    def _verdict(self, study: str, rule: RetentionSettings, arriving: Arriving) -> Verdict:
        if kept := self.by_journal(study, rule):
            return Verdict(study_orthanc_id=study, kept=kept)
        try:
            return self._by_orthanc(study, rule, arriving)
        except ResourceGone:
            return Verdict(study_orthanc_id=study, kept=Kept.GONE)
        except RequestRefused:
            return Verdict(study_orthanc_id=study, kept=Kept.REFUSED)

    def by_journal(self, study: str, rule: RetentionSettings) -> Kept | None:
        """What the journal alone knows against it."""
        jobs = self._jobs(study)
        states = {job["state"] for job in jobs}
        if states & _UNDER_WAY:
            return Kept.UNDER_WAY
        if JobState.DEAD in states:
            return Kept.DEAD
        if any(job["open"] or (job["state"] == JobState.DONE and job["missing"]) for job in jobs):
            return Kept.UNDELIVERED
        if any(self._clock() - job["changed_at"] < rule.studies_days * DAY_S for job in jobs):
            return Kept.YOUNG
        if any(job["state"] == JobState.DONE and job["confirmed"] for job in jobs):
            return None
        if not rule.also_without_results:
            return Kept.WITHOUT_RESULTS
        return None if jobs or self._was_looked_at(study) else Kept.UNKNOWN

    def _by_orthanc(self, study: str, rule: RetentionSettings, arriving: Arriving) -> Verdict:
        facts = self._pacs.study_facts(study)
        age_days = (self._clock() - facts.changed_at) / DAY_S
        kept = None
        if age_days < rule.studies_days:
            kept = Kept.YOUNG
        elif self._pacs.is_protected(facts.patient_orthanc_id):
            # By us for another study of the patient, or by somebody who wants it kept.
            kept = Kept.PROTECTED
        elif self._has_any(facts.series, arriving()):
            kept = Kept.ARRIVING
        return Verdict(study_orthanc_id=study, kept=kept, age_days=age_days)

    def _has_any(self, series: tuple[str, ...], arriving: frozenset[str] | None) -> bool:
        if arriving is None:
            return True
        return bool(arriving) and any(arriving & self._pacs.glance(one).instances for one in series)

    def _arriving(self) -> frozenset[str] | None:
        """A node that was away for long meets images that are old, and yet were never looked at."""
        row = self._connection.execute(
            "SELECT value FROM facts WHERE name = ?", (CURSOR,)
        ).fetchone()
        if row is None or self._pacs.last_change() < int(row["value"]):
            # The intake has not begun, or Orthanc's index was replaced.
            return None
        position, unread = int(row["value"]), set[str]()
        for _ in range(MOST_UNREAD_PAGES):
            page = self._pacs.changes(position, PAGE)
            unread |= {each.orthanc_id for each in page.changes if each.kind == "NewInstance"}
            position = page.last
            if page.is_done:
                return frozenset(unread)
        return None

    def _jobs(self, study: str) -> list[sqlite3.Row]:
        # With +, since SQLite would look through every delivery of that state: 90 ms a study at 100,000 jobs, with it 0.01.
        return self._connection.execute(
            "SELECT state, max(updated_at, coalesce((SELECT max(updated_at) FROM deliveries d"  # noqa: S608 # constants
            "   WHERE d.key = jobs.key), 0)) AS changed_at,"
            " EXISTS (SELECT 1 FROM deliveries d WHERE d.key = jobs.key"
            f"   AND +d.state IN ({OPEN_STATES})) AS open,"
            " EXISTS (SELECT 1 FROM deliveries d WHERE d.key = jobs.key"
            "   AND d.required = 1 AND +d.state != ?) AS missing,"
            " EXISTS (SELECT 1 FROM deliveries d WHERE d.key = jobs.key"
            "   AND +d.state = ?) AS confirmed"
            " FROM jobs WHERE study_orthanc_id = ?",
            (DeliveryState.CONFIRMED, DeliveryState.CONFIRMED, study),
        ).fetchall()

    def _was_looked_at(self, study: str) -> bool:
        found = self._connection.execute(
            "SELECT 1 FROM skipped WHERE study_orthanc_id = ? LIMIT 1", (study,)
        ).fetchone()
        return found is not None


class StudyRetention:
    """Follows the rule: each deletion is by Orthanc's identifier, asked for again just before, and audited."""

    def __init__(
        self,
        pacs: Pacs,
        journal: Journal,
        pseudonyms: StudyPseudonyms,
        log: Logger,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pacs = pacs
        self._journal = journal
        self._pseudonyms = pseudonyms
        self._log = log
        self._monotonic = monotonic
        self._clock_offset_s = journal.clock() - monotonic()
        self._clock_is_trusted_at_s = monotonic()
        self._rule = RetentionRule(journal.connection, pacs, journal.clock)

    def step(self, in_force: Callable[[], RetentionSettings]) -> Mapping[str, int]:
        """Look at every study once; how many went, and how many stay for which reason. Raises PacsUnavailable."""
        counts: dict[str, int] = {}
        if not in_force().studies_days:
            return counts
        for seen in self._rule.verdicts(in_force()):
            if not self._clock_is_trusted():
                break
            outcome = self._follow(seen, in_force())
            counts[outcome] = counts.get(outcome, 0) + 1
        return counts

    def _clock_is_trusted(self) -> bool:
        offset_s = self._journal.clock() - self._monotonic()
        if abs(offset_s - self._clock_offset_s) > CLOCK_TOLERANCE_S:
            self._clock_is_trusted_at_s = self._monotonic() + CLOCK_TRIAL_S
            self._log.warning("clock-jumped", role="retention", seconds=CLOCK_TRIAL_S)
        self._clock_offset_s = offset_s
        return self._monotonic() >= self._clock_is_trusted_at_s

    def _follow(self, seen: Verdict, rule: RetentionSettings) -> str:
        """The rule may have been switched off since, and an image may have come."""
        study = seen.study_orthanc_id
        if seen.kept is None and rule.studies_days:
            seen = self._rule.verdict(study, rule)
        if seen.kept is not None or not rule.studies_days:
            return seen.kept or "switched-off"
        # Before and after: a crash between leaves no deletion that nobody wrote down.
        self._audit("study-due", study)
        try:
            self._pacs.delete_study(study)
        except ResourceGone:
            return Kept.GONE
        except RequestRefused as error:
            self._log.warning("study-not-deleted", reason=error.code)
            return Kept.REFUSED
        self._audit("study-deleted", study)
        self._log.info("study-deleted", study=self._pseudonyms.of(study))
        return "deleted"

    def _audit(self, event: str, study: str) -> None:
        """Under the study's newest job, if any; by Orthanc's identifier, as the list of jobs names it."""
        row = self._journal.connection.execute(
            "SELECT key FROM jobs WHERE study_orthanc_id = ? ORDER BY created_at DESC LIMIT 1",
            (study,),
        ).fetchone()
        self._journal.connection.execute(
            "INSERT INTO audit (at, actor, event, key, detail) VALUES (?, ?, ?, ?, ?)",
            (self._journal.clock(), NODE, event, "" if row is None else row["key"], study),
        )
