"""The worker: takes one job after the other from the journal to published results; the one broad except is here."""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime

from inference.domain.errors import HabitusError
from inference.domain.seg_encoding import SegEncoding
from orthanc_plugin.node.analysis_port import AnalysisRequest
from orthanc_plugin.node.choice_journal import ChoiceJournal
from orthanc_plugin.node.delivery_journal import DeliveryJournal, ResultFile
from orthanc_plugin.node.demographics import DemographicsSeal
from orthanc_plugin.node.destinations import Destination, encodings_for
from orthanc_plugin.node.durable_counts import (
    ANALYSE,
    ENGINE_RESTARTS,
    FETCH,
    add_one,
    stage_seconds_of,
)
from orthanc_plugin.node.engine_process import (
    Abandoned,
    Engine,
    EngineLost,
    Finished,
    Outcome,
    Refused,
)
from orthanc_plugin.node.job_key import EngineIdentity, instance_set_hash
from orthanc_plugin.node.job_route import receivers
from orthanc_plugin.node.job_states import JobState
from orthanc_plugin.node.journal import (
    CLOCK_TOLERANCE_S,
    EVERY_PRIORITY,
    SOURCE_DELETED,
    Job,
    Journal,
    Verdict,
)
from orthanc_plugin.node.logs import Logger, where
from orthanc_plugin.node.operator_journal import OperatorJournal
from orthanc_plugin.node.pacs import (
    Pacs,
    PacsUnavailable,
    RequestRefused,
    ResourceGone,
    SeriesFacts,
)
from orthanc_plugin.node.profile_rules import rules_in_force
from orthanc_plugin.node.settings import EngineSettings, Settings
from orthanc_plugin.node.site_time import SiteClock
from orthanc_plugin.node.spool import Spool, WorkFolder
from orthanc_plugin.node.submissions import fresh_submission, submission_of
from orthanc_plugin.node.superseding import predecessors

LEASE_S = 60.0
PACS_RETRY_S = 5.0
ENGINE_FACT = "engine"
"""What the page shows of the engine: {"state": "ready" | "resting" | "unusable" | "lost", …}."""

MODEL_CODES = frozenset(
    {"model-unusable", "manifest-invalid", "checksum-mismatch", "configuration-invalid"}
)
"""Not the job's fault: no job is taken until an operator has mended it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a worker works with."""

    journal: Journal
    pacs: Pacs
    spool: Spool
    engine: Engine
    seal: DemographicsSeal
    log: Logger
    has_room: Callable[[], bool] = lambda: True
    """Whether the disk takes the results of one more job."""
    wanted: threading.Event = field(default_factory=threading.Event)
    """Set by any thread: something is arriving, or was queued."""
    clock: Callable[[], float] = time.monotonic


class Worker:
    """One loop over the journal; one engine child."""

    def __init__(
        self, bench: Bench, in_force: Callable[[], Settings], least_priority: int = EVERY_PRIORITY
    ) -> None:
        self._bench = bench
        self._in_force = in_force
        self._least_priority = least_priority
        self._deliveries = DeliveryJournal(bench.journal)
        self.identity: EngineIdentity | None = None
        """Of the engine as last loaded, also while it rests; None until then."""
        self._is_resting = False
        self._used_s = bench.clock()
        self._why_ended = ""
        """Of the engine, for the one that takes its place."""

    @property
    def _settings(self) -> EngineSettings:
        return self._in_force().engine

    def _receivers(self, job: Job) -> tuple[Destination, ...]:
        return receivers(job.submission.route, self._in_force().destinations)

    def identity_of(self, profile: str) -> EngineIdentity | None:
        """Of a loaded profile (empty: the engine's own); None until the engine has loaded it."""
        return self._bench.engine.identity_of(profile) if self.identity is not None else None

    def pause(self, limit_s: float) -> None:
        """Until somebody wants the engine, or for so long."""
        if self._bench.wanted.wait(limit_s):
            self._bench.wanted.clear()
            self._touch()

    def rests(self) -> bool:
        """End a child that had no work for engine.idle_unload_s; True as long as nobody wants it again."""
        idle_s = self._settings.idle_unload_s
        self._configure()
        if not idle_s or self.identity is None or self._has_work():
            self._touch()
        elif not self._is_resting and self._bench.clock() - self._used_s >= idle_s:
            self._bench.engine.stop()
            self._is_resting, self._why_ended = True, "rested"
            self._note_engine("resting", self.identity)
            self._bench.log.info("engine-resting")
        return self._is_resting

    def ensure_engine(self) -> bool:
        """Have a loaded engine child; False (and a fact for the page) where that fails."""
        self._configure()
        if self.identity is not None and self._bench.engine.is_running():
            return True
        if self.identity is not None or self._why_ended:
            # Nobody ended it: it died between two jobs.
            why = self._why_ended or "engine-died"
            add_one(self._bench.journal.connection, ENGINE_RESTARTS, why)
        started = self._bench.engine.start()
        if isinstance(started, EngineIdentity):
            self.identity, self._why_ended = started, ""
            self._touch()
            self._note_engine("ready", started)
            self._bench.log.info("engine-ready", pid=self._bench.engine.pid)
            return True
        if isinstance(started, Refused):
            fact = {"state": "unusable", "reason": started.code, "detail": started.sentence}
        else:
            fact = {"state": "lost", "reason": started.reason, "detail": started.where}
        self._why_ended = "not-started"
        self._bench.journal.set_fact(ENGINE_FACT, json.dumps(fact))
        self._bench.log.error("engine-not-started", reason=fact["reason"])
        return False

    def step(self) -> bool:
        """Run one job if there is one; True when there was."""
        if count := self._bench.journal.reclaim():
            self._bench.log.warning("lease-ran-out", count=count)
        if not self._bench.has_room():
            return False
        self._hold_until_open()
        job = self._bench.journal.take(LEASE_S, self._least_priority)
        if job is None:
            return False
        self._bench.log.info("job-started", job=job.key, attempt=job.attempts)
        try:
            self._run(job)
        except PacsUnavailable as error:
            self._bench.journal.put_back(job, Verdict(reason=error.code), PACS_RETRY_S)
        except RequestRefused as error:
            self._retry(job, Verdict(reason=error.code, detail=str(error)))
        except ResourceGone as error:
            self._end(job, JobState.REJECTED, Verdict(reason=SOURCE_DELETED, detail=str(error)))
        except HabitusError as error:
            self._end(job, JobState.DEAD, Verdict(reason=error.code, detail=str(error)))
        except Exception as error:  # noqa: BLE001 # the one broad catch: a job's fault must not end the node
            self._bench.log.error(  # noqa: TRY400 # a traceback's text could quote DICOM values
                "job-crashed", job=job.key, error_type=type(error).__name__, where=where(error)
            )
            self._retry(job, Verdict(reason="internal-error", detail=type(error).__name__))
        finally:
            self._bench.spool.close_work(job.key, job.fence)
            self._retire_spent_engine()
            self._touch()
        return True

    def _configure(self) -> None:
        if self._bench.engine.configure(self._in_force()):
            # Its identity is not known before it was loaded.
            self.identity, self._why_ended = None, "settings-changed"

    def _touch(self) -> None:
        self._is_resting, self._used_s = False, self._bench.clock()

    def _hold_until_open(self) -> None:
        engine = self._settings
        waits_s = (PACS_RETRY_S, engine.retry_backoff_s * 2**engine.max_attempts)
        longest_wait_s = max(waits_s) + CLOCK_TOLERANCE_S
        if count := self._bench.journal.release_from_the_future(longest_wait_s):
            self._bench.log.warning("clock-set-back", role="worker", count=count)
        clock = SiteClock(zone_name=self._in_force().time_zone)
        journal = self._bench.journal
        journal.hold_until_open(lambda window: clock.opening_s(window, journal.clock()))

    def _has_work(self) -> bool:
        self._hold_until_open()
        return self._bench.journal.has_ready(self._least_priority) and self._bench.has_room()

    def _run(self, job: Job) -> None:
        if self.identity_of(job.submission.route.profile) != job.submission.engine:
            self._submit_anew(job)
            return
        facts = self._bench.pacs.series_facts(job.submission.series_orthanc_id)
        if instance_set_hash(facts.sop_uids.values()) != job.submission.set_hash:
            self._submit_anew(job, facts)
            return
        if self._record_published(job):
            return
        fetch_began_s = self._bench.clock()
        work = self._fetch(job, facts)
        began_s = self._bench.clock()
        request = AnalysisRequest(
            series_folder=work.series_folder,
            out_folder=work.out_folder,
            job_key=job.key,
            created=datetime.fromtimestamp(job.created_at, UTC).astimezone(),
            encodings=self._encodings(job),
            predecessors=predecessors(self._bench.journal.connection, job.key),
            entered=OperatorJournal(self._bench.journal).entered_size(
                job.submission.study_orthanc_id
            ),
            level=OperatorJournal(self._bench.journal).entered_level(
                job.submission.series_uid, facts.sop_uids.values()
            ),
            profile=job.submission.route.profile,
            may_lack_level=self._is_last_of_study(job),
        )
        outcome = self._bench.engine.analyse(
            request,
            lambda stage, fraction: self._bench.journal.beat(job, LEASE_S, stage, fraction),
        )
        seconds = {FETCH: began_s - fetch_began_s, ANALYSE: self._bench.clock() - began_s}
        self._conclude(job, work, outcome, seconds)

    def _is_last_of_study(self, job: Job) -> bool:
        """Whether L3 is no longer to be hoped for from another series."""
        rules = rules_in_force(self._in_force)(job.submission.route.profile)
        notes = ChoiceJournal(self._bench.journal)
        return notes.is_last(job.submission.study_orthanc_id, rules.finalists)

    def _encodings(self, job: Job) -> tuple[SegEncoding, ...]:
        return encodings_for(self._receivers(job))

    def _record_published(self, job: Job) -> bool:
        """Whether the spool has this job's results already, of a try whose end the journal does not remember."""
        results = self._bench.spool.published(job.key, self._encodings(job))
        if results is None:
            return False
        self._record(job, results, {})
        return True

    def _record(
        self, job: Job, results: Sequence[ResultFile], seconds: Mapping[str, float]
    ) -> None:
        if self._deliveries.record_results(job, results, self._receivers(job), seconds):
            self._bench.log.info("job-computed", job=job.key, count=len(results))

    def _fetch(self, job: Job, facts: SeriesFacts) -> WorkFolder:
        """The files of exactly the instances that the key names, in a fresh folder."""
        work = self._bench.spool.open_work(job.key, job.fence)
        by_sop_uid = sorted(facts.sop_uids.items(), key=lambda item: item[1])
        for number, (orthanc_id, _) in enumerate(by_sop_uid):
            work.put_instance(number, self._bench.pacs.fetch_instance_file(orthanc_id))
            if number % 100 == 0:
                self._bench.journal.beat(job, LEASE_S, "fetch", number / len(by_sop_uid))
        return work

    def _conclude(
        self, job: Job, work: WorkFolder, outcome: Outcome, seconds: Mapping[str, float]
    ) -> None:
        match outcome:
            case Finished():
                encodings = self._encodings(job)
                report = work.out_folder / outcome.files.get("report", "report.json")
                seconds = {**seconds, **stage_seconds_of(report)}
                results = self._bench.spool.publish(work, job.key, outcome.files, encodings)
                self._record(job, results, seconds)
            case Refused(is_rejection=True):
                self._end(
                    job,
                    JobState.REJECTED,
                    Verdict(reason=outcome.reason, detail=outcome.sentence),
                )
            case Refused():
                self._conclude_failure(job, outcome)
            case EngineLost():
                self._why_ended = outcome.reason
                self._bench.log.error(
                    "engine-lost",
                    job=job.key,
                    reason=outcome.reason,
                    exit_code=outcome.exit_code or 0,
                    error_type=outcome.error_type or "none",
                    where=outcome.where or "none",
                )
                self._retry(job, Verdict(reason=outcome.reason, detail=_loss_sentence(outcome)))
            case Abandoned():
                self._why_ended = "job-abandoned"
                self._bench.log.info("job-abandoned", job=job.key)

    def _conclude_failure(self, job: Job, refused: Refused) -> None:
        verdict = Verdict(reason=refused.code, detail=refused.sentence)
        if not self._bench.engine.is_running():
            self._why_ended = refused.code
        if refused.code in MODEL_CODES:
            self._bench.engine.stop()
            self.identity, self._why_ended = None, "model-unusable"
            self._bench.journal.put_back(job, verdict, PACS_RETRY_S)
        elif refused.is_retryable:
            self._retry(job, verdict)
        else:
            self._end(job, JobState.DEAD, verdict)

    def _retry(self, job: Job, verdict: Verdict) -> None:
        if job.attempts >= self._settings.max_attempts:
            self._end(job, JobState.DEAD, verdict)
            return
        delay_s = self._settings.retry_backoff_s * 2**job.attempts
        self._bench.journal.try_again(job, verdict, delay_s)
        self._bench.log.warning(
            "job-retried", job=job.key, attempt=job.attempts, reason=verdict.reason
        )

    def _end(self, job: Job, state: JobState, verdict: Verdict) -> None:
        self._bench.journal.end(job, state, verdict)
        self._bench.log.info("job-ended", job=job.key, state=str(state), reason=verdict.reason)

    def _submit_anew(self, job: Job, facts: SeriesFacts | None = None) -> None:
        """The engine or the series is no longer what the key says: a new key takes this job's place."""
        route = job.submission.route
        if (identity := self.identity_of(route.profile)) is None:
            if self.identity is None:
                verdict = Verdict(reason="engine-not-ready")
                self._bench.journal.put_back(job, verdict, PACS_RETRY_S)
                return
            # No rule names its profile any more: the engine's own is what is left.
            route, identity = replace(route, profile=""), self.identity
        pacs, series = self._bench.pacs, job.submission.series_orthanc_id
        now = facts or pacs.series_facts(series)
        seal = self._bench.seal.of(pacs.image_texts(series))
        wanted = submission_of(now, identity, job.submission.run, seal)
        anew = fresh_submission(self._bench.journal, replace(wanted, route=route))
        if anew is None or self._bench.journal.submit(anew) is None:
            self._end(job, JobState.SUPERSEDED, Verdict(reason="known-under-new-key"))

    def _retire_spent_engine(self) -> None:
        if reason := self._bench.engine.retire_if_spent():
            self._why_ended = reason
            self._bench.log.info("engine-recycled", reason=reason)

    def _note_engine(self, state: str, engine: EngineIdentity) -> None:
        fact = {
            "state": state,
            "models": [list(model) for model in engine.models],
            "downgrades": list(self._bench.engine.downgrades),
            "networks": [asdict(network) for network in self._bench.engine.networks],
            "code_version": engine.code_version,
        }
        self._bench.journal.set_fact(ENGINE_FACT, json.dumps(fact))


def _loss_sentence(lost: EngineLost) -> str:
    if lost.error_type:
        return f"The engine met {lost.error_type} at {lost.where}."
    return f"The engine process ended with status {lost.exit_code}."
