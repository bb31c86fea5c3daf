"""Operators' wishes at the node: what each does, once, and what is noted of it."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from orthanc_plugin.inside.command_box import CommandBox
from orthanc_plugin.node.commands import LONGEST_COMMAND, CommandDesk
from orthanc_plugin.node.delivery_journal import (
    DeliveryJournal,
    ObjectUids,
    ResultFile,
)
from orthanc_plugin.node.demographics import DemographicsSeal
from orthanc_plugin.node.destinations import Destination
from orthanc_plugin.node.job_key import EngineIdentity
from orthanc_plugin.node.job_route import Route
from orthanc_plugin.node.job_states import JobState
from orthanc_plugin.node.journal import Job, Journal, Verdict
from orthanc_plugin.node.operator_journal import OperatorJournal, Wish
from orthanc_plugin.node.pacs import PacsUnavailable
from orthanc_plugin.node.router import Router
from orthanc_plugin.node.routing_rules import Priority, Rule, TagTest
from orthanc_plugin.node.settings import EngineSettings, Settings
from orthanc_plugin.node.study_choice import StudyChooser
from orthanc_plugin.node.submissions import submission_of
from tests.dicom_peers import ct_series
from tests.fakes import ENGINE, Clock, FakePacs, SilentLog, dicom_bytes, fill
from tests.intake_scene import rules_of
from tests.synthetic_study import SEVEN_PORTAL, study_of_seven

SEAL = DemographicsSeal(b"secret")
UIDS = ObjectUids(study_uid="1.2.3.4", series_uid="1.2.3.5", sop_uid="1.2.3.6")


@dataclass
class Scene:
    folder: Path
    pacs: FakePacs
    journal: Journal
    series: str
    engine: EngineIdentity | None = ENGINE
    further: dict[str, EngineIdentity] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    reloaded: tuple[str, str] = ("unchanged", "")
    """What reading the settings comes to."""

    @property
    def desk(self) -> CommandDesk:
        """A fresh one, as after a restart."""
        return CommandDesk(
            folder=self.folder / "commands",
            journal=self.journal,
            pacs=self.pacs,
            chooser=StudyChooser(self.pacs, self.journal, rules_of, SEAL),
            seal=SEAL,
            router=Router(self.pacs, self._settings, self._identity_of),
            reload=lambda: self.reloaded,
            log=SilentLog(),
        )

    def _settings(self) -> Settings:
        engine = EngineSettings(models_folder=self.folder, profile="abdomen")
        return Settings(data_folder=self.folder, engine=engine, rules=self.rules)

    def _identity_of(self, profile: str) -> EngineIdentity | None:
        return self.further.get(profile) if profile else self.engine

    def ask(self, kind: str, **fields: Any) -> str:
        return CommandBox(folder=self.folder / "commands").put(kind, "maria", fields)

    def outcome(self, kind: str, **fields: Any) -> str:
        """Of a wish that is done at once."""
        number = self.ask(kind, **fields)
        self.desk.step()
        return self.outcome_of(number)

    def outcome_of(self, number: str) -> str:
        row = self.journal.connection.execute(
            "SELECT outcome FROM commands WHERE id = ?", (number,)
        ).fetchone()
        return "none" if row is None else str(row["outcome"])

    def analyse(self, **fields: str) -> str:
        return self.outcome(
            "analyse", **({"study": None, "series": None, "profile": None} | fields)
        )

    def queued(self) -> str:
        key = self.journal.submit(submission_of(self.pacs.series_facts(self.series), ENGINE))
        assert key is not None
        return key

    def computed(self) -> Job:
        """A job with two results on their way to two destinations."""
        self.queued()
        job = self.journal.take(60.0)
        assert job is not None
        results = [
            ResultFile(role=role, file_name=role, sha256="0", size_bytes=1, uids=UIDS)
            for role in ("seg-tissues", "sr")
        ]
        places = [Destination(name="pacs"), Destination(name="research")]
        DeliveryJournal(self.journal).record_results(job, results, places)
        return job

    def state(self, key: str) -> JobState:
        job = self.journal.job(key)
        assert job is not None
        return job.state

    def deliveries(self) -> dict[str, str]:
        """Destination to state; both results of one go the same way here."""
        rows = self.journal.connection.execute("SELECT destination, state FROM deliveries")
        return {row["destination"]: row["state"] for row in rows}

    def set_deliveries(self, state: str) -> None:
        self.journal.connection.execute("UPDATE deliveries SET state = ?, tries = 4", (state,))

    def audit(self) -> list[tuple[str, str, str]]:
        rows = self.journal.connection.execute("SELECT actor, event, detail FROM audit ORDER BY id")
        return [tuple(row) for row in rows]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    pacs = FakePacs()
    (first, *_) = fill(pacs, ct_series(3))
    journal = Journal(tmp_path / "journal.db", Clock())
    return Scene(tmp_path, pacs, journal, pacs.series_of_instance(first))


def test_a_waiting_job_is_cancelled_and_can_be_had_again(scene: Scene) -> None:
    key = scene.queued()

    assert scene.outcome("cancel", job=key) == "cancelled"
    cancelled = (scene.state(key), scene.journal.take(60.0))
    assert scene.outcome("requeue", job=key) == "revived"

    assert cancelled == (JobState.CANCELLED, None)
    assert scene.state(key) is JobState.QUEUED


def test_whoever_runs_a_cancelled_job_has_lost_it(scene: Scene) -> None:
    key = scene.queued()
    job = scene.journal.take(60.0)
    assert job is not None

    scene.outcome("cancel", job=key)

    assert not scene.journal.beat(job, 60.0, "s", 0.5)
    assert not scene.journal.end(job, JobState.DEAD, Verdict(reason="late"))
    assert not DeliveryJournal(scene.journal).record_results(job, [], [])
    assert scene.state(key) is JobState.CANCELLED


def test_what_is_over_is_not_cancelled(scene: Scene) -> None:
    key = scene.computed().key

    assert scene.outcome("cancel", job=key) == "not-under-way"
    assert scene.outcome("cancel", job="f" * 32) == "unknown-job"
    assert scene.state(key) is JobState.COMPUTED


@pytest.mark.parametrize(
    ("destination", "states"),
    [
        (None, {"pacs": "pending", "research": "pending"}),
        ("research", {"pacs": "confirmed", "research": "pending"}),
        ("nowhere", {"pacs": "confirmed", "research": "confirmed"}),
    ],
)
def test_results_are_sent_again_where_asked(
    scene: Scene, destination: str | None, states: dict[str, str]
) -> None:
    key = scene.computed().key
    scene.set_deliveries("confirmed")

    outcome = scene.outcome("resend", job=key, destination=destination)

    assert outcome == ("nothing-to-send" if destination == "nowhere" else "resending")
    assert scene.deliveries() == states


def test_a_send_under_way_is_left_alone(scene: Scene) -> None:
    key = scene.computed().key
    scene.set_deliveries("sending")

    assert scene.outcome("resend", job=key, destination=None) == "nothing-to-send"
    assert set(scene.deliveries().values()) == {"sending"}


def test_results_that_newer_ones_replaced_are_not_sent_again(scene: Scene) -> None:
    key = scene.computed().key
    scene.outcome("body-size", job=key, height_m=1.7, weight_kg=None)

    assert scene.outcome("resend", job=key, destination=None) == "no-results"


def test_a_body_size_is_kept_for_the_study_and_computed_with(scene: Scene) -> None:
    job = scene.computed()

    outcome = scene.outcome("body-size", job=job.key, height_m=1.7, weight_kg=None)
    second = scene.journal.take(60.0)
    assert second is not None
    scene.outcome("body-size", job=second.key, height_m=None, weight_kg=71.5)
    newest = scene.journal.take(60.0)
    late = scene.outcome("body-size", job=job.key, height_m=1.9, weight_kg=None)

    kept = OperatorJournal(scene.journal).entered_size(job.submission.study_orthanc_id)
    assert outcome == "new-run"
    assert newest is not None
    assert newest.submission.run > second.submission.run > job.submission.run
    assert late == "superseded"
    assert kept is not None
    assert (kept.height_m, kept.weight_kg, kept.entered_by) == (1.7, 71.5, "maria")


def test_a_run_that_began_before_a_body_size_was_entered_is_given_up(scene: Scene) -> None:
    key = scene.queued()
    running = scene.journal.take(60.0)
    assert running is not None

    scene.outcome("body-size", job=key, height_m=1.7, weight_kg=None)

    assert not scene.journal.beat(running, 60.0, "s", 0.5)
    assert scene.journal.take(60.0) is not None


def test_nobody_else_has_a_body_size(scene: Scene) -> None:
    assert OperatorJournal(scene.journal).entered_size("another-study") is None


def test_a_series_is_analysed_when_asked_for_and_again_when_asked_again(scene: Scene) -> None:
    first = scene.analyse(series=scene.series)
    waiting = scene.analyse(series=scene.series)
    scene.journal.connection.execute("UPDATE jobs SET state = 'done'")
    again = scene.analyse(series=scene.series)

    assert (first, waiting, again) == ("queued", "already-queued", "new-run")


def test_of_a_study_the_best_series_is_analysed(scene: Scene) -> None:
    study = study_of_seven()
    ids = fill(scene.pacs, [i for name in study if name != "dose page" for i in study[name][::3]])
    facts = scene.pacs.series_facts(scene.pacs.series_of_instance(ids[0]))

    outcome = scene.analyse(study=facts.study_orthanc_id)

    job = scene.journal.take(60.0)
    assert outcome == "queued"
    assert job is not None
    best = scene.journal.connection.execute("SELECT series_number FROM choices").fetchone()
    assert best["series_number"] == SEVEN_PORTAL


@pytest.mark.parametrize(
    ("fields", "engine", "outcome"),
    [
        ({"series": "gone"}, ENGINE, "resource-gone"),
        ({"study": "gone"}, ENGINE, "resource-gone"),
        ({"series": "SERIES", "profile": "l3"}, ENGINE, "profile-not-loaded"),
        ({"series": "SERIES", "profile": "abdomen"}, ENGINE, "queued"),
        ({"series": "SERIES"}, None, "engine-not-ready"),
    ],
)
def test_why_nothing_is_analysed_is_said(
    scene: Scene, fields: dict[str, str], engine: EngineIdentity | None, outcome: str
) -> None:
    filled = {name: scene.series if v == "SERIES" else v for name, v in fields.items()}
    number = scene.ask("analyse", **({"study": None, "series": None, "profile": None} | filled))

    scene.engine = engine
    scene.desk.step()

    assert scene.outcome_of(number) == outcome


def test_our_own_results_are_not_analysed(scene: Scene) -> None:
    result = ct_series(1, seed="own")[0]
    result.Modality = "SR"
    result.Manufacturer = "Habitus"
    series = scene.pacs.series_of_instance(scene.pacs.store_instance(dicom_bytes(result)))

    assert scene.analyse(series=series) == "own-result"


def test_a_wish_waits_for_an_orthanc_that_is_away(scene: Scene) -> None:
    number = scene.ask("analyse", study=None, series=scene.series, profile=None)
    scene.pacs.is_away = True
    with pytest.raises(PacsUnavailable):
        scene.desk.step()
    before = scene.outcome_of(number)
    scene.pacs.is_away = False

    scene.desk.step()

    assert (before, scene.outcome_of(number)) == ("none", "queued")


def test_no_wish_is_done_twice(scene: Scene) -> None:
    job = scene.computed()
    number = scene.ask("requeue", job=job.key)
    (path,) = (scene.folder / "commands").iterdir()
    content = path.read_bytes()
    scene.desk.step()

    # As if the node had died before it could remove the file.
    path.write_bytes(content)
    scene.desk.step()

    runs = scene.journal.connection.execute("SELECT max(run) AS n FROM jobs").fetchone()["n"]
    assert (scene.outcome_of(number), runs) == ("new-run", 2)
    assert not path.exists()


def test_wishes_are_done_in_the_order_they_came(scene: Scene) -> None:
    key = scene.queued()
    first = scene.ask("cancel", job=key)
    second = scene.ask("requeue", job=key)

    assert scene.desk.step() == 2
    assert (scene.outcome_of(first), scene.outcome_of(second)) == ("cancelled", "revived")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b'{"id": "x"}', b"[" * 60000, b" " * (LONGEST_COMMAND + 1)],
)
def test_a_file_that_is_no_wish_is_thrown_away(scene: Scene, content: bytes) -> None:
    folder = scene.folder / "commands"
    folder.mkdir()
    (folder / "0.json").write_bytes(content)

    assert scene.desk.step() == 0
    assert list(folder.iterdir()) == []


def test_a_wish_of_another_version_ends_as_unknown(scene: Scene) -> None:
    assert scene.outcome("dance") == "unknown-command"


def test_who_asked_for_what_is_in_the_audit_and_no_number_of_the_patient(scene: Scene) -> None:
    key = scene.queued()
    scene.outcome("body-size", job=key, height_m=1.83, weight_kg=71.25)

    rows = [row for row in scene.audit() if row[0] == "maria"]

    assert ("maria", "body-size-entered", "height+weight") in rows
    assert ("maria", "asked-body-size", "new-run") in rows
    assert "1.83" not in str(rows)
    assert "71.25" not in str(rows)


def test_a_wish_begun_by_a_node_that_died_stays_begun(scene: Scene) -> None:
    key = scene.queued()
    number = scene.ask("cancel", job=key)
    wish = Wish(number=number, kind="cancel", actor="maria", at=1.0)
    OperatorJournal(scene.journal).begin(wish)

    scene.desk.step()

    assert (scene.outcome_of(number), scene.state(key)) == ("begun", JobState.QUEUED)


def test_another_engine_makes_another_job(scene: Scene) -> None:
    key = scene.computed().key
    number = scene.ask("body-size", job=key, height_m=1.7, weight_kg=None)

    scene.engine = replace(ENGINE, code_version="2")
    scene.desk.step()

    row = scene.journal.connection.execute(
        "SELECT job FROM commands WHERE id = ?", (number,)
    ).fetchone()
    job = scene.journal.job(row["job"])
    assert job is not None
    assert job.submission.engine.code_version == "2"


def test_an_analysis_with_another_loaded_profile_goes_the_way_of_its_rule(scene: Scene) -> None:
    scene.rules = (
        Rule(name="portal", tags={"Modality": TagTest(equals=("CT",))}, priority=Priority.STAT),
    )
    scene.further["l3"] = replace(ENGINE, profile_hash="l3")

    outcome = scene.analyse(series=scene.series, profile="l3")
    job = scene.journal.take(60.0)

    assert outcome == "queued"
    assert job is not None
    assert job.submission.route == Route(rule="portal", profile="l3", priority=Priority.STAT)
    assert job.submission.engine.profile_hash == "l3"


def test_what_no_rule_fits_is_analysed_when_asked_for(scene: Scene) -> None:
    scene.rules = (Rule(name="nobody", calling=("NOBODY",)),)

    assert scene.analyse(series=scene.series) == "queued"


def test_a_job_of_another_profile_runs_again_with_that(scene: Scene) -> None:
    scene.further["l3"] = replace(ENGINE, profile_hash="l3")
    scene.analyse(series=scene.series, profile="l3")
    first = scene.journal.take(60.0)
    assert first is not None
    DeliveryJournal(scene.journal).record_results(first, [], [])

    outcome = scene.outcome("requeue", job=first.key)
    second = scene.journal.take(60.0)

    assert outcome == "new-run"
    assert second is not None
    assert second.submission.engine.profile_hash == "l3"


def test_a_profile_takes_the_series_that_its_own_rules_choose(scene: Scene) -> None:
    scene.further["lung"] = replace(ENGINE, profile_hash="lung")
    study = study_of_seven()
    ids = fill(scene.pacs, [*study["portal"], *study["thin lung"]])
    wanted = scene.pacs.series_facts(scene.pacs.series_of_instance(ids[0])).study_orthanc_id

    outcomes = [
        scene.analyse(study=wanted),
        scene.analyse(study=wanted, profile="lung"),
        scene.analyse(study=wanted, profile="lung"),
    ]

    rows = scene.journal.connection.execute(
        "SELECT series_number, profile_hash FROM jobs JOIN choices USING (series_uid)"
        " ORDER BY jobs.rowid"
    )
    assert [tuple(row) for row in rows] == [(SEVEN_PORTAL, "p"), (2, "lung")]
    assert outcomes == ["queued", "queued", "already-queued"]


@pytest.mark.parametrize(
    "told", [("in-force", ""), ("unchanged", ""), ("refused", "line 3: found x; wanted y.")]
)
def test_what_reading_the_settings_came_to_is_told_and_the_file_is_not_quoted_in_the_audit(
    scene: Scene, told: tuple[str, str]
) -> None:
    scene.reloaded = told

    outcome = scene.outcome("reload-settings")

    row = scene.journal.connection.execute("SELECT outcome, detail FROM commands").fetchone()
    assert (outcome, tuple(row)) == (told[0], told)
    assert ("maria", "asked-reload-settings", told[0]) in scene.audit()
