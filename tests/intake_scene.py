"""A node's intake over the fake Orthanc, with a clock that passes when told to."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydicom.uid import Comprehensive3DSRStorage

from inference.domain.series_rules import (
    SeriesRules,
    load_series_rules,
    series_rules_from_toml,
)
from orthanc_plugin.node.delivery_journal import (
    DeliveryJournal,
    ObjectUids,
    ResultFile,
)
from orthanc_plugin.node.demographics import DemographicsSeal
from orthanc_plugin.node.destinations import Destination
from orthanc_plugin.node.intake import Intake
from orthanc_plugin.node.job_states import JobState
from orthanc_plugin.node.journal import Job, Journal, Verdict
from orthanc_plugin.node.logs import StudyPseudonyms
from orthanc_plugin.node.settings import IntakeSettings
from orthanc_plugin.node.study_choice import StudyChooser
from tests.fakes import ENGINE, Clock, FakePacs, SilentLog

QUIET_S = 5.0
WAIT_S = 40.0
SETTINGS = IntakeSettings(quiet_s=QUIET_S, incomplete_wait_s=WAIT_S)
RULES = load_series_rules("axial-soft-tissue")
LUNG_RULES = series_rules_from_toml(
    """
description = "what the other rules like least"
[[refuse]]
code = "not-lung"
says = "no filter for the lung"
fact = "kernel"
lacks = "B70f"
[[score]]
name = "any"
says = "{value} images"
points = 1
fact = "images"
above = 1
""",
    "lung",
)


def rules_of(profile: str) -> SeriesRules:
    """Of two profiles that want different series of the same study."""
    return LUNG_RULES if profile == "lung" else RULES


@dataclass
class Scene:
    """One data folder, one Orthanc."""

    pacs: FakePacs
    journal: Journal
    clock: Clock
    settings: IntakeSettings = SETTINGS
    log: SilentLog = field(default_factory=SilentLog)

    def intake(self) -> Intake:
        """A fresh process on the same journal."""
        pseudonyms, seal = StudyPseudonyms(b"secret"), DemographicsSeal(b"secret")
        chooser = StudyChooser(self.pacs, self.journal, rules_of, seal, self.settings.late)
        return Intake(chooser, self.settings, pseudonyms, self.log, clock=self.clock)

    def states(self) -> list[str]:
        """Of all jobs, the oldest first."""
        rows = self.journal.connection.execute("SELECT state FROM jobs ORDER BY created_at, rowid")
        return [row["state"] for row in rows]

    def queued_numbers(self) -> list[int]:
        """Series numbers of all jobs in the order of their submission."""
        rows = self.journal.connection.execute(
            "SELECT series_number FROM jobs JOIN choices USING (series_uid) ORDER BY jobs.rowid"
        )
        return [row["series_number"] for row in rows]

    def notes(self) -> dict[int, str]:
        """Why each series was not taken."""
        rows = self.journal.connection.execute("SELECT series_number, reason FROM skipped")
        return {row["series_number"]: row["reason"] for row in rows}

    def take(self) -> Job:
        """The next job, now running."""
        job = self.journal.take(60.0)
        assert job is not None
        return job

    def finish_next(self, destinations: Sequence[Destination] = ()) -> Job:
        """The engine measures the next job, whose report is stored in our own Orthanc."""
        job = self.take()
        uids = ObjectUids(
            study_uid="1.2.1",
            series_uid=f"1.2.{int(job.key, 16)}.1",
            sop_uid=f"1.2.{int(job.key, 16)}.2",
            sop_class_uid=Comprehensive3DSRStorage,
        )
        report = ResultFile(role="sr", file_name="sr.dcm", sha256="0" * 64, size_bytes=1, uids=uids)
        deliveries = DeliveryJournal(self.journal)
        deliveries.record_results(job, [report], destinations)
        for result in deliveries.results_to_store():
            deliveries.mark_stored(result, f"orthanc-{result.key}")
        deliveries.settle()
        return job

    def reject_next(self) -> None:
        """The engine finds no L3 in the next job."""
        if (job := self.journal.take(60.0)) is not None:
            self.journal.end(job, JobState.REJECTED, Verdict(reason="no-l3"))


def settle(scene: Scene, intake: Intake) -> int:
    """See what came, wait until it rests; the number submitted."""
    intake.step(ENGINE)
    scene.clock.pass_s(QUIET_S)
    return intake.step(ENGINE)
