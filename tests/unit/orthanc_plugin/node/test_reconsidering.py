"""Studies that no rule fitted, once the rules have changed."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from orthanc_plugin.node.demographics import DemographicsSeal
from orthanc_plugin.node.intake import AT_ONCE, Intake
from orthanc_plugin.node.job_key import EngineIdentity
from orthanc_plugin.node.journal import Journal
from orthanc_plugin.node.logs import StudyPseudonyms
from orthanc_plugin.node.router import Router
from orthanc_plugin.node.routing_rules import Rule
from orthanc_plugin.node.settings import EngineSettings, Settings
from orthanc_plugin.node.study_choice import StudyChooser
from tests.dicom_peers import ct_series
from tests.fakes import ENGINE, Clock, FakePacs, SilentLog, fill
from tests.intake_scene import QUIET_S, SETTINGS, rules_of

NOBODY, ALL = Rule(name="er", calling=("ER1",)), Rule(name="all")
HOUR_S = 3600.0


@dataclass
class Scene:
    folder: Path
    pacs: FakePacs
    journal: Journal
    clock: Clock
    loaded: dict[str, EngineIdentity]
    rules: tuple[Rule, ...] = (NOBODY,)
    reconsider_h: float = 24.0

    def intake(self) -> Intake:
        """A fresh process."""
        chooser = StudyChooser(self.pacs, self.journal, rules_of, DemographicsSeal(b"s"))
        router = Router(self.pacs, self._settings, self.loaded.get)
        settings = replace(SETTINGS, reconsider_h=self.reconsider_h)
        log = SilentLog()
        return Intake(
            chooser, settings, StudyPseudonyms(b"s"), log, clock=self.clock, router=router
        )

    def _settings(self) -> Settings:
        engine = EngineSettings(models_folder=self.folder, profile="abdomen")
        return Settings(data_folder=self.folder, engine=engine, rules=self.rules)

    def come_to_rest(self, intake: Intake, *seeds: str) -> int:
        for seed in seeds:
            fill(self.pacs, ct_series(3, seed=seed))
        intake.step(ENGINE)
        self.clock.pass_s(QUIET_S)
        return intake.step(ENGINE)

    def reasons(self) -> list[str]:
        rows = self.journal.connection.execute("SELECT reason FROM skipped").fetchall()
        return [row["reason"] for row in rows]

    def queued_because(self) -> list[str]:
        rows = self.journal.connection.execute("SELECT detail FROM audit WHERE event = 'queued'")
        return [row["detail"] for row in rows]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    clock = Clock(10 * 24 * HOUR_S)
    journal = Journal(tmp_path / "journal.db", clock)
    return Scene(tmp_path, FakePacs(), journal, clock, {"": ENGINE})


@pytest.mark.parametrize("is_fresh", [False, True])
def test_changed_rules_are_put_to_what_no_rule_fitted(scene: Scene, is_fresh: bool) -> None:
    intake = scene.intake()
    scene.come_to_rest(intake, "one", "two")
    before = scene.reasons()
    scene.rules = (NOBODY, ALL)

    submitted = (scene.intake() if is_fresh else intake).step(ENGINE)

    assert before == ["no-rule"] * 2
    assert submitted == 2
    assert scene.reasons() == []
    assert scene.queued_because() == ["rules-changed"] * 2


def test_the_same_rules_are_not(scene: Scene) -> None:
    scene.come_to_rest(scene.intake(), "one")
    asked = scene.pacs.texts_asked

    assert scene.intake().step(ENGINE) == 0
    assert scene.pacs.texts_asked == asked


@pytest.mark.parametrize(("reconsider_h", "passed_h"), [(24.0, 25.0), (0.0, 1.0)])
def test_what_came_too_long_ago_is_left(scene: Scene, reconsider_h: float, passed_h: float) -> None:
    scene.reconsider_h = reconsider_h
    intake = scene.intake()
    scene.come_to_rest(intake, "one")
    scene.clock.pass_s(passed_h * HOUR_S)
    scene.rules = (ALL,)

    assert intake.step(ENGINE) == 0


def test_what_still_fits_no_rule_keeps_its_age(scene: Scene) -> None:
    intake = scene.intake()
    scene.come_to_rest(intake, "one")
    for hour in range(3):
        scene.clock.pass_s(10 * HOUR_S)
        scene.rules = (replace(NOBODY, name=f"er-{hour}"),)
        intake.step(ENGINE)
    scene.rules = (ALL,)

    assert scene.reasons() == ["no-rule"]
    assert intake.step(ENGINE) == 0


def test_what_was_cut_off_by_a_crash_is_done_by_the_next_process(scene: Scene) -> None:
    seeds = [f"study-{number}" for number in range(AT_ONCE + 2)]
    intake = scene.intake()
    scene.come_to_rest(intake, *seeds)
    scene.rules = (ALL,)
    first = intake.step(ENGINE)
    pause_s = intake.pause_s(is_woken=True)
    second = scene.intake().step(ENGINE)

    assert (first, second) == (AT_ONCE, 2)
    assert pause_s == SETTINGS.poll_s


def test_a_profile_that_is_only_being_loaded_is_waited_for(scene: Scene) -> None:
    intake = scene.intake()
    scene.come_to_rest(intake, "one")
    scene.rules = (Rule(name="all", profile="l3"),)
    early = intake.step(ENGINE)
    scene.loaded["l3"] = replace(ENGINE, profile_hash="l3")
    scene.clock.pass_s(QUIET_S)

    assert (early, intake.step(ENGINE)) == (0, 1)


def test_a_study_deleted_meanwhile_is_passed_over(scene: Scene) -> None:
    intake = scene.intake()
    scene.come_to_rest(intake, "one")
    for orthanc_id in list(scene.pacs.instances):
        scene.pacs.forget(orthanc_id)
    scene.rules = (ALL,)

    assert intake.step(ENGINE) == 0


def test_a_study_that_is_arriving_again_is_left_to_its_rest(scene: Scene) -> None:
    intake = scene.intake()
    scene.come_to_rest(intake, "one")
    fill(scene.pacs, ct_series(4, seed="one")[3:])
    scene.rules = (ALL,)
    early = intake.step(ENGINE)
    scene.clock.pass_s(QUIET_S)

    assert (early, intake.step(ENGINE)) == (0, 1)
    assert scene.queued_because() == [""]
