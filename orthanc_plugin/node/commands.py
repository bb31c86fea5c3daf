"""Operators' wishes: takes each out of the folder where the plugin leaves them, does it, and notes what became of it."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inference.domain.entered_level import EnteredLevel
from inference.domain.entered_size import EnteredSize
from inference.domain.errors import HabitusError, LevelNotInSeries
from orthanc_plugin.node.demographics import DemographicsSeal
from orthanc_plugin.node.job_key import EngineIdentity
from orthanc_plugin.node.job_route import Route
from orthanc_plugin.node.job_states import JobState
from orthanc_plugin.node.journal import Journal, Submission
from orthanc_plugin.node.logs import Logger
from orthanc_plugin.node.named_slices import require_slice
from orthanc_plugin.node.operator_journal import OperatorJournal, Wish
from orthanc_plugin.node.pacs import Pacs, PacsUnavailable
from orthanc_plugin.node.router import Router
from orthanc_plugin.node.study_choice import StudyChooser, skip_reason
from orthanc_plugin.node.submissions import requeue, submission_of

LONGEST_COMMAND = 64 * 1024
"""Bytes; what is longer is none of ours."""

RELOAD = "reload-settings"

Outcome = tuple[str, str | None]
"""A code, and the job it led to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandDesk:
    """What wishes are done with."""

    folder: Path
    journal: Journal
    pacs: Pacs
    chooser: StudyChooser
    seal: DemographicsSeal
    router: Router
    """Which way a series goes, and which profiles are loaded."""
    reload: Callable[[], tuple[str, str]]
    """Reads the settings again: a code and a sentence of what came of it."""
    log: Logger

    def step(self) -> int:
        """Do what waits, oldest first; the number done. Raises PacsUnavailable and leaves the rest for later."""
        done = 0
        for path in self._waiting():
            fields = _read(path)
            if fields is not None:
                self._do(fields)
                done += 1
            path.unlink(missing_ok=True)
        return done

    def _waiting(self) -> Iterator[Path]:
        if self.folder.is_dir():
            yield from sorted(path for path in self.folder.iterdir() if path.suffix == ".json")

    def _do(self, fields: Mapping[str, Any]) -> None:
        wish = Wish(
            number=fields["id"], kind=fields["kind"], actor=fields["actor"], at=fields["at"]
        )
        operators = OperatorJournal(self.journal)
        # Needs Orthanc, and may be asked twice: begun only once Orthanc has answered.
        prepared = self._prepared(wish, fields)
        if not operators.begin(wish):
            return
        job, detail = None, ""
        try:
            if wish.kind == RELOAD:
                outcome, detail = self.reload()
            else:
                outcome, job = prepared() if prepared else self._change(wish, fields)
        except LevelNotInSeries as refusal:
            outcome, job, detail = refusal.reason_code, fields["job"], str(refusal)
        operators.finish(wish, outcome, job, detail)
        self.log.info("command-done", role=wish.kind, outcome=outcome)

    def _prepared(self, wish: Wish, fields: Mapping[str, Any]) -> Callable[[], Outcome] | None:
        match wish.kind:
            case "analyse":
                return self._analyse(fields)
            case "level":
                return self._set_level(wish, fields)
            case _:
                return None

    def _change(self, wish: Wish, fields: Mapping[str, Any]) -> Outcome:
        operators = OperatorJournal(self.journal)
        match wish.kind:
            case "requeue":
                engine = self._engine_of_job(fields["job"])
                return requeue(self.journal, fields["job"], wish.actor, engine), fields["job"]
            case "cancel":
                return operators.cancel(fields["job"], wish.actor), fields["job"]
            case "resend":
                outcome = operators.resend(fields["job"], fields["destination"], wish.actor)
                return outcome, fields["job"]
            case "body-size":
                size = EnteredSize(
                    height_m=fields["height_m"],
                    weight_kg=fields["weight_kg"],
                    entered_by=wish.actor,
                    entered_at=wish.at,
                )
                return operators.enter_size(fields["job"], size, self._engine_of_job(fields["job"]))
            case "level-remove":
                engine = self._engine_of_job(fields["job"])
                return operators.remove_level(fields["job"], wish.actor, engine)
            case _:
                return "unknown-command", None

    def _set_level(self, wish: Wish, fields: Mapping[str, Any]) -> Callable[[], Outcome]:
        """Ask Orthanc for the slices there are, then the change to the journal, to be made once."""
        key = fields["job"]
        level = EnteredLevel(
            sop_instance_uid=fields["sop_instance_uid"],
            instance_number=fields["instance_number"],
            z_mm=fields["z_mm"],
            entered_by=wish.actor,
            entered_at=wish.at,
        )
        if (job := self.journal.job(key)) is None:
            return lambda: ("unknown-job", None)
        try:
            images = self.pacs.image_texts(job.submission.series_orthanc_id)
        except PacsUnavailable:
            raise
        except HabitusError as error:
            code = error.code
            return lambda: (code, None)

        def change() -> Outcome:
            require_slice(images, level)
            operators = OperatorJournal(self.journal)
            return operators.enter_level(key, level, self._engine_of_job(key))

        return change

    def _engine_of_job(self, key: str) -> EngineIdentity | None:
        job = self.journal.job(key)
        return None if job is None else self.router.engine_of(job.submission.route.profile)

    def _analyse(self, fields: Mapping[str, Any]) -> Callable[[], Outcome]:
        """Ask Orthanc what there is, then the change to the journal, to be made once."""
        if self.router.engine_of("") is None:
            return lambda: ("engine-not-ready", None)
        engine = self.router.engine_of(fields["profile"] or "")
        if engine is None:
            return lambda: ("profile-not-loaded", None)
        try:
            route = self._route(fields)
            analyses = self.router.engine_of(route.profile) or engine
            series = fields["series"] or self._series_of(fields["study"], route, analyses)
            if series is None:
                return lambda: ("no-suitable-series", None)
            facts = self.pacs.series_facts(series)
            seal = self.seal.of(self.pacs.image_texts(series))
        except PacsUnavailable:
            raise
        except HabitusError as error:
            code = error.code
            return lambda: (code, None)
        if reason := skip_reason(facts):
            return lambda: (reason, None)
        wanted = submission_of(facts, analyses, demographics=seal)
        return lambda: self._submit(replace(wanted, route=route), fields["actor"])

    def _submit(self, wanted: Submission, actor: str) -> Outcome:
        wanted = self.journal.numbered(wanted)
        while (known := self.journal.job(wanted.key)) is not None:
            if known.state is not JobState.SUPERSEDED:
                return requeue(self.journal, known.key, actor, wanted.engine), known.key
            wanted = self.journal.numbered(replace(wanted, run=wanted.run + 1))
        return "queued", self.journal.submit(wanted, actor, for_study=True)

    def _route(self, fields: Mapping[str, Any]) -> Route:
        """As the rules say, but for the profile, where one was asked for."""
        if fields["series"]:
            images = [self.pacs.series_facts(fields["series"])]
        else:
            images = self.chooser.images(fields["study"])
        # Where no rule fits, it was still asked for.
        route = self.router.route(images) or Route()
        return route if fields["profile"] is None else replace(route, profile=fields["profile"])

    def _series_of(self, study: str, route: Route, engine: EngineIdentity) -> str | None:
        """The series that the study's result by this profile stands on, else the one that suits it best."""
        names = self.router.names_of(route.profile)
        if held := self.chooser.notes.series_by(study, names):
            return held
        wanted = self.chooser.choose(study, engine, route.profile).submissions
        return wanted[0].series_orthanc_id if wanted else None


def _read(path: Path) -> Mapping[str, Any] | None:
    """A wish, or None for a file that is none: it is thrown away, or it would be met for ever."""
    try:
        if path.stat().st_size > LONGEST_COMMAND:
            return None
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    known = isinstance(value, dict) and {"id", "kind", "actor", "at"} <= value.keys()
    return value if known else None
