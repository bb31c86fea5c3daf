"""The way of a study from Orthanc's knowledge of it to a job that keeps it, and what each way sends."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, time
from pathlib import Path

import pytest

from orthanc_plugin.node.delivery_journal import DeliveryJournal, ObjectUids, ResultFile
from orthanc_plugin.node.demographics import DemographicsSeal
from orthanc_plugin.node.destinations import Destination
from orthanc_plugin.node.intake import Intake
from orthanc_plugin.node.job_key import EngineIdentity
from orthanc_plugin.node.job_route import Route, receivers, route_from
from orthanc_plugin.node.job_states import JobState
from orthanc_plugin.node.journal import Journal, Submission, Verdict
from orthanc_plugin.node.logs import StudyPseudonyms
from orthanc_plugin.node.router import ProfileNotLoaded, Router
from orthanc_plugin.node.routing_rules import Mode, Output, Priority, Rule, TagTest
from orthanc_plugin.node.settings import EngineSettings, Settings
from orthanc_plugin.node.site_time import TimeWindow, window_of
from orthanc_plugin.node.study_choice import StudyChooser
from tests.dicom_peers import ct_series
from tests.fakes import ENGINE, Clock, FakePacs, SilentLog, dicom_bytes, fill
from tests.intake_scene import QUIET_S, SETTINGS, rules_of
from tests.synthetic_study import SEVEN_PORTAL, plain_series, study_of_seven

L3_ENGINE = replace(ENGINE, profile_hash="l3")
LUNG_ENGINE = replace(ENGINE, profile_hash="lung")
PACS, RESEARCH = Destination(name="pacs"), Destination(name="research")


def router(
    pacs: FakePacs, rules: Sequence[Rule], folder: Path, at: float = 0.0, zone: str = "UTC"
) -> Router:
    settings = Settings(
        data_folder=folder,
        engine=EngineSettings(models_folder=folder, profile="abdomen"),
        rules=tuple(rules),
        time_zone=zone,
    )
    loaded: dict[str, EngineIdentity] = {"": ENGINE, "l3": L3_ENGINE, "lung": LUNG_ENGINE}
    return Router(pacs, lambda: settings, loaded.get, clock=lambda: at)


def intake_by(router: Router, pacs: FakePacs, journal: Journal, clock: Clock) -> Intake:
    chooser = StudyChooser(pacs, journal, rules_of, DemographicsSeal(b"s"))
    log = SilentLog()
    return Intake(chooser, SETTINGS, StudyPseudonyms(b"s"), log, clock=clock, router=router)


def series_in(pacs: FakePacs) -> list[str]:
    ids = fill(pacs, ct_series(3))
    return [pacs.series_of_instance(ids[0])]


def way_of(pacs: FakePacs, rules: Sequence[Rule], folder: Path) -> Route | None:
    facts = [pacs.series_facts(one) for one in series_in(pacs)]
    return router(pacs, rules, folder).route(facts)


def test_without_rules_every_study_goes_the_same_way(tmp_path: Path) -> None:
    assert way_of(FakePacs(), [], tmp_path) == Route()


def test_the_rule_that_fits_gives_the_way(tmp_path: Path) -> None:
    pacs = FakePacs()
    pacs.calling = "ER1"
    night = window_of("22:00-06:00")
    rules = [
        Rule(name="other", calling=("CT9",)),
        Rule(
            name="er",
            calling=("ER1",),
            tags={"Modality": TagTest(equals=("CT",))},
            profile="l3",
            outputs=(Output.SR,),
            destinations=("pacs",),
            priority=Priority.OFF_PEAK,
            window=night,
        ),
    ]

    way = router(pacs, rules, tmp_path).way([pacs.series_facts(one) for one in series_in(pacs)])

    assert way is not None
    assert way.engine == L3_ENGINE
    assert way.route == Route(
        rule="er",
        profile="l3",
        outputs=(Output.SR,),
        destinations=("pacs",),
        priority=Priority.OFF_PEAK,
        window=night,
    )


def test_hours_are_those_of_the_site(tmp_path: Path) -> None:
    rules = [Rule(name="night", hours=TimeWindow(begin=time(22), end=time(6)))]
    noon_utc = datetime(2026, 6, 1, 14, tzinfo=UTC).timestamp()
    pacs = FakePacs()
    facts = [pacs.series_facts(one) for one in series_in(pacs)]

    ways = [
        router(pacs, rules, tmp_path, at=noon_utc, zone=zone).route(facts)
        for zone in ("UTC", "Asia/Seoul")
    ]

    assert [way and way.rule for way in ways] == [None, "night"]


def test_a_profile_that_is_not_loaded_yet_is_waited_for(tmp_path: Path) -> None:
    pacs = FakePacs()
    facts = [pacs.series_facts(one) for one in series_in(pacs)]
    rules = [Rule(name="r", profile="l3-small")]

    with pytest.raises(ProfileNotLoaded, match="'l3-small', which is not loaded"):
        router(pacs, rules, tmp_path).way(facts)


def test_the_engines_own_profile_by_its_name_is_loaded(tmp_path: Path) -> None:
    one = router(FakePacs(), [], tmp_path)

    assert one.engine_of("abdomen") == ENGINE
    assert one.names_of("") == one.names_of("abdomen") == {"", "abdomen"}
    assert one.names_of("l3") == {"l3"}


def test_a_journal_keeps_the_way_of_a_job(tmp_path: Path) -> None:
    whole = Route(
        rule="er",
        profile="l3",
        outputs=(Output.SR, Output.PAGE),
        destinations=("pacs",),
        priority=Priority.STAT,
        window=window_of("22:00-06:00"),
        mode=Mode.SHADOW,
    )

    assert [route_from(each.text) for each in (whole, Route())] == [whole, Route()]
    assert route_from("") == Route()


def test_results_go_where_the_way_says() -> None:
    everywhere = (PACS, RESEARCH)

    assert receivers(Route(), everywhere) == everywhere
    assert receivers(Route(destinations=("research",)), everywhere) == (RESEARCH,)
    assert receivers(Route(mode=Mode.SHADOW), everywhere) == ()


@pytest.mark.parametrize(
    ("route", "sent"),
    [
        (Route(), {"seg-tissues", "seg-organs@labelmap", "sr", "page"}),
        (Route(outputs=(Output.SR,)), {"sr"}),
        (Route(outputs=(Output.SEG, Output.PAGE)), {"seg-tissues", "seg-organs@labelmap", "page"}),
    ],
)
def test_of_the_results_those_are_sent_that_the_way_names(
    tmp_path: Path, route: Route, sent: set[str]
) -> None:
    journal = Journal(tmp_path / "journal.db")
    journal.submit(
        Submission(
            series_uid="1.2",
            series_orthanc_id="s",
            study_orthanc_id="t",
            set_hash="h",
            instance_count=1,
            engine=ENGINE,
            route=route,
        )
    )
    job = journal.take(60.0)
    assert job is not None
    results = [
        ResultFile(
            role=role,
            file_name=role,
            sha256="0",
            size_bytes=1,
            uids=ObjectUids(study_uid="1", series_uid="2", sop_uid=f"3.{number}"),
        )
        for number, role in enumerate(("seg-tissues", "seg-organs@labelmap", "sr", "page"))
    ]
    # Both forms of one segmentation never go to one receiver; here each has one form only.
    DeliveryJournal(journal).record_results(job, results[:1] + results[2:], [PACS])

    rows = journal.connection.execute("SELECT role FROM deliveries").fetchall()
    assert {row["role"] for row in rows} == sent - {"seg-organs@labelmap"}
    kept = journal.connection.execute("SELECT count(*) AS n FROM results").fetchone()
    assert kept["n"] == 3


def test_a_study_that_no_rule_fits_is_not_taken_and_says_so(tmp_path: Path) -> None:
    pacs, clock = FakePacs(), Clock()
    journal = Journal(tmp_path / "journal.db", clock)
    rules = [Rule(name="er", calling=("ER1",), priority=Priority.STAT)]
    intake = intake_by(router(pacs, rules, tmp_path), pacs, journal, clock)
    counts = []
    for calling, seed in (("CT9", "one"), ("ER1", "two")):
        pacs.calling = calling
        fill(pacs, ct_series(3, seed=seed))
        intake.step(ENGINE)
        clock.pass_s(QUIET_S)
        counts.append(intake.step(ENGINE))

    notes = journal.connection.execute("SELECT reason FROM skipped").fetchall()
    job = journal.take(60.0)
    assert counts == [0, 1]
    assert [row["reason"] for row in notes] == ["no-rule"]
    assert job is not None
    assert job.submission.route == Route(rule="er", priority=Priority.STAT)


def test_the_series_rules_of_the_profile_that_a_rule_names_choose(tmp_path: Path) -> None:
    pacs, clock = FakePacs(), Clock()
    journal = Journal(tmp_path / "journal.db", clock)
    rules = [Rule(name="lung", calling=("CHEST",), profile="lung"), Rule(name="rest")]
    intake = intake_by(router(pacs, rules, tmp_path), pacs, journal, clock)
    study = study_of_seven()
    numbers = []
    for patient, calling in (("one", "CHEST"), ("two", "CT9")):
        pacs.calling = calling
        for image in (*study["portal"], *study["thin lung"]):
            image.PatientID = patient
            image.SeriesInstanceUID = f"{image.SeriesInstanceUID}.1"
            image.SOPInstanceUID = f"{image.SOPInstanceUID}.1"
            pacs.store_instance(dicom_bytes(image))
        intake.step(ENGINE)
        clock.pass_s(QUIET_S)
        intake.step(ENGINE)
        numbers.append(taken_numbers(journal)[-1])

    assert numbers == [2, SEVEN_PORTAL]


def taken_numbers(journal: Journal) -> list[int]:
    rows = journal.connection.execute(
        "SELECT series_number FROM jobs JOIN choices USING (series_uid) ORDER BY jobs.rowid"
    )
    return [row["series_number"] for row in rows]


def test_the_next_best_is_chosen_by_the_profile_of_what_was_rejected(tmp_path: Path) -> None:
    pacs, clock = FakePacs(), Clock()
    journal = Journal(tmp_path / "journal.db", clock)
    study = study_of_seven()
    thick_lung = plain_series(8, "Thorax 2.0 B70f", slice_thickness_mm=2.0, kernel="B70f")
    for series in (study["portal"], study["thin lung"], thick_lung):
        fill(pacs, series)
    by_lung = [Rule(name="lung", profile="lung")]
    intake = intake_by(router(pacs, by_lung, tmp_path), pacs, journal, clock)
    intake.step(ENGINE)
    clock.pass_s(QUIET_S)
    intake.step(ENGINE)
    while (job := journal.take(60.0)) is not None:
        journal.end(job, JobState.REJECTED, Verdict(reason="no-l3"))
        # The rules name another profile by now.
        intake_by(router(pacs, [Rule(name="rest")], tmp_path), pacs, journal, clock).step(ENGINE)

    routes = {row["route"] for row in journal.connection.execute("SELECT route FROM jobs")}
    assert sorted(taken_numbers(journal)) == [2, 8]
    assert {route_from(text).profile for text in routes} == {"lung"}
