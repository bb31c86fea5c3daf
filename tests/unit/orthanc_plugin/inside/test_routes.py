"""The REST routes, without Orthanc: what they answer and what they never open."""

import json
import time
from pathlib import Path

import pytest

from inference.domain.entered_level import EnteredLevel
from orthanc_plugin.inside.exchange import Request
from orthanc_plugin.inside.query import JOB_STATES
from orthanc_plugin.node.choice_journal import ChoiceJournal, SeriesNote
from orthanc_plugin.node.job_route import Route
from orthanc_plugin.node.job_states import JobState
from orthanc_plugin.node.journal import Submission, Verdict
from orthanc_plugin.node.operator_journal import OperatorJournal
from orthanc_plugin.node.routing_rules import Mode, Priority
from orthanc_plugin.node.site_time import window_of
from tests.fakes import ENGINE, write
from tests.unit.orthanc_plugin.inside.route_scene import (
    PAGE,
    SERIES,
    STUDY,
    Control,
    Scene,
    as_user,
    body,
    fault,
    routes_of,
    scene_in,
)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return scene_in(tmp_path)


def note(series_uid: str, reason: str) -> SeriesNote:
    """Of a series that was not taken, or (without reason) of the one that was."""
    return SeriesNote(
        series_uid=series_uid, number=4, images=90, score=31, reason=reason, detail="why"
    )


def test_status_counts_jobs_and_says_how_the_node_is(scene: Scene) -> None:
    scene.computed()
    ChoiceJournal(scene.journal).note("other", [note("1.2.9", "not-ct")])

    status = body(scene.ask("/habitus/status"))

    assert status["node"]["running"] is True
    assert status["jobs"] == {"computed": 1}
    assert status["deliveries"] == {"pending": 1}
    assert status["skipped_series"] == {"not-ct": 1}


def test_status_answers_before_there_is_a_journal(tmp_path: Path) -> None:
    routes = routes_of(tmp_path, Control(is_away=True))

    answer = routes.answer("/habitus/status", Request(method="GET", headers=as_user("vera")))

    assert answer.status == 200
    assert body(answer)["node"]["running"] is False
    assert body(answer)["jobs"] == {}


def test_jobs_before_there_is_a_journal_are_unavailable(tmp_path: Path) -> None:
    routes = routes_of(tmp_path, Control())

    answer = routes.answer("/habitus/jobs", Request(method="GET", headers=as_user("vera")))

    assert answer.status == 503
    assert fault(answer).keys() == {"error", "found", "wanted", "advice"}


def test_the_list_is_read_page_by_page_newest_first(scene: Scene) -> None:
    keys = [scene.submitted(number) for number in range(5)]
    at = [50.0, 10.0, 30.0, 30.0, 20.0]
    for key, created in zip(keys, at, strict=True):
        scene.journal.connection.execute(
            "UPDATE jobs SET created_at = ? WHERE key = ?", (created, key)
        )
    seen, before = [], None
    for _ in range(3):
        query = {"limit": "2"} | ({"before": before} if before else {})
        page = body(scene.ask("/habitus/jobs", query=query))
        seen += [(job["created_at"], job["key"]) for job in page["jobs"]]
        before = page["next"]

    assert seen == sorted(zip(at, keys, strict=True), reverse=True)
    assert before is None


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({}, 2),
        ({"state": "computed"}, 1),
        ({"state": "queued"}, 1),
        ({"state": "dead"}, 0),
        ({"study": STUDY}, 2),
        ({"series": SERIES}, 2),
        ({"study": SERIES}, 0),
        ({"reason": "no-l3"}, 0),
        ({"state": "queued", "study": STUDY}, 1),
    ],
)
def test_the_list_is_filtered(scene: Scene, query: dict[str, str], count: int) -> None:
    scene.computed()
    scene.submitted(9)

    assert len(body(scene.ask("/habitus/jobs", query=query))["jobs"]) == count


@pytest.mark.parametrize(
    "query",
    [
        {"state": "done' OR 1=1 --"},
        {"state": "all"},
        {"study": "../../etc"},
        {"before": "x"},
        {"limit": "0"},
        {"limit": "201"},
        {"limit": "-1"},
        {"limit": ""},
        {"reason": "%27"},
        {"colour": "red"},
    ],
)
def test_a_filter_that_cannot_be_is_refused_and_not_repeated(
    scene: Scene, query: dict[str, str]
) -> None:
    answer = scene.ask("/habitus/jobs", query=query)

    assert answer.status == 400
    assert fault(answer)["error"] == "query-invalid"
    for value in query.values():
        assert not value or value not in fault(answer)["found"]


def test_every_state_of_a_job_can_be_asked_for() -> None:
    assert sorted(JOB_STATES) == sorted(JobState)


def test_a_job_shows_everything_that_happened_to_it(scene: Scene) -> None:
    key = scene.computed()

    history = body(scene.ask(f"/habitus/jobs/{key}"))["history"]

    assert [(h["actor"], h["event"]) for h in history] == [("node", "queued"), ("node", "computed")]


def test_health_says_whether_a_study_would_be_analysed_now(scene: Scene) -> None:
    silent = scene.ask("/habitus/health/ready")
    scene.journal.set_fact("alive_at", str(time.time()))
    unloaded = scene.ask("/habitus/health/ready")
    scene.journal.set_fact("engine", '{"state": "ready"}')
    ready = scene.ask("/habitus/health/ready")
    scene.journal.set_fact("alive_at", str(time.time() - 60))
    gone = scene.ask("/habitus/health/ready")

    found = [(a.status, a.fault and fault(a)["error"]) for a in (silent, unloaded, ready, gone)]
    assert found == [
        (503, "node-silent"),
        (503, "engine-not-ready"),
        (200, ""),
        (503, "node-silent"),
    ]
    assert scene.ask("/habitus/health/live").status == 200


def test_the_plugin_lives_also_without_a_journal(tmp_path: Path) -> None:
    request = Request(method="GET", headers=as_user("vera"))
    routes = routes_of(tmp_path, Control())

    assert routes.answer("/habitus/health/live", request).status == 200
    assert routes.answer("/habitus/health/ready", request).status == 503


def test_models_and_configuration_are_what_the_node_told(scene: Scene) -> None:
    assert body(scene.ask("/habitus/models")) == []
    scene.journal.set_fact("models", '[{"name": "organs"}]')
    scene.journal.set_fact("configuration", '{"data_folder": "x"}')

    assert body(scene.ask("/habitus/models")) == [{"name": "organs"}]
    assert body(scene.ask("/habitus/configuration")) == {"data_folder": "x"}


def test_the_audit_is_read_page_by_page(scene: Scene) -> None:
    for number in range(3):
        scene.submitted(number)

    first = body(scene.ask("/habitus/audit", query={"limit": "2"}))
    rest = body(scene.ask("/habitus/audit", query={"before": str(first[-1]["id"])}))

    assert [row["id"] for row in (*first, *rest)] == [3, 2, 1]
    assert first[0]["actor"] == "node"


def test_a_method_that_a_route_does_not_have_is_named(scene: Scene) -> None:
    answer = scene.ask("/habitus/jobs", "DELETE")

    assert (answer.status, answer.allowed) == (405, "GET")


def test_a_job_is_shown_with_results_deliveries_and_tries(scene: Scene) -> None:
    key = scene.computed()

    job = body(scene.ask(f"/habitus/jobs/{key}"))

    assert job["state"] == "computed"
    assert (job["results"], job["pictures"]) == (["report", "sr"], ["l3"])
    assert [d["state"] for d in job["deliveries"]] == ["pending"]
    assert [a["outcome"] for a in job["attempt_log"]] == ["computed"]


def test_no_uid_leaves_the_journal(scene: Scene) -> None:
    key = scene.computed()

    texts = [
        scene.ask(path).body
        for path in ("/habitus/status", "/habitus/jobs", f"/habitus/jobs/{key}")
    ]

    assert not any(b"1.2.840" in text for text in texts)


def test_report_and_picture_are_served(scene: Scene) -> None:
    key = scene.computed()

    report = scene.ask(f"/habitus/report/{key}")
    picture = scene.ask(f"/habitus/jobs/{key}/pictures/l3.png")

    assert (report.body, report.mime) == (b"{}", "application/json")
    assert (picture.body, picture.mime) == (b"PNG", "image/png")


@pytest.mark.parametrize(
    "path",
    [
        "/habitus/jobs/" + "f" * 32,
        "/habitus/jobs/" + "F" * 32,
        "/habitus/jobs/../journal.db",
        "/habitus/jobs/KEY/pictures/sr.png",
        "/habitus/jobs/KEY/pictures/../l3.png",
        "/habitus/index.htm",
        "/habitus/explorer_link.js",
    ],
)
def test_nothing_else_is_served(scene: Scene, path: str) -> None:
    key = scene.computed()

    assert scene.ask(path.replace("KEY", key)).status == 404


def test_a_file_name_in_the_journal_cannot_lead_out_of_the_results(scene: Scene) -> None:
    key = scene.computed()
    write(scene.results.parent / "secret", "secret")
    scene.journal.connection.execute(
        "UPDATE results SET file_name = '../../secret' WHERE role = 'report'"
    )

    assert scene.ask(f"/habitus/report/{key}").status == 404


def test_a_job_shows_why_its_series_was_taken_and_the_others_not(scene: Scene) -> None:
    key = scene.computed()
    notes = [note("1.2.840.1", ""), note("1.2.9", "outscored-kernel")]
    ChoiceJournal(scene.journal).note(STUDY, notes)
    ChoiceJournal(scene.journal).note("another-study", [note("1.2.10", "scout")])

    shown = body(scene.ask(f"/habitus/jobs/{key}"))

    seen = {"series_number": 4, "score": 31, "detail": "why"}
    assert shown["choice"] == seen
    assert shown["not_taken"] == [seen | {"images": 90, "reason": "outscored-kernel"}]


def test_a_job_shows_who_set_l3_in_its_series(scene: Scene) -> None:
    key, other = scene.submitted(1), scene.submitted(2)
    level = EnteredLevel(z_mm=10.0, entered_by="otto", entered_at=5.0)
    OperatorJournal(scene.journal).enter_level(key, level, None)

    shown = [body(scene.ask(f"/habitus/jobs/{each}"))["level_set"] for each in (key, other)]

    assert shown == [{"by": "otto", "at": 5.0}, None]


def test_series_not_taken_are_listed_also_where_a_study_has_no_job(scene: Scene) -> None:
    ChoiceJournal(scene.journal).note("study", [note("1.2.10", "scout")])

    (row,) = body(scene.ask("/habitus/not-taken"))

    assert (row["study_orthanc_id"], row["reason"]) == ("study", "scout")
    assert "1.2.10" not in str(row)


def test_a_rejection_shows_its_reason(scene: Scene) -> None:
    scene.computed()
    scene.journal.submit(
        Submission(
            series_uid="1.2.840.9",
            series_orthanc_id="s",
            study_orthanc_id="t",
            set_hash="h",
            instance_count=3,
            engine=ENGINE,
        )
    )
    job = scene.journal.take(60.0)
    assert job is not None
    scene.journal.end(job, JobState.REJECTED, Verdict(reason="no-l3", detail="Found no L3."))

    shown = body(scene.ask(f"/habitus/jobs/{job.key}"))

    assert (shown["state"], shown["reason"], shown["detail"]) == (
        "rejected",
        "no-l3",
        "Found no L3.",
    )


@pytest.mark.parametrize("name", ["index.html", "page.js", "page.css"])
def test_the_page_comes_from_its_folder(scene: Scene, name: str) -> None:
    assert scene.ask(f"/habitus/{name}").body == (PAGE / name).read_bytes()


def test_the_short_address_leads_to_the_page(scene: Scene) -> None:
    assert scene.ask("/habitus").location == "/habitus/index.html"


@pytest.mark.parametrize("name", ["index.html", "page.js", "page.css"])
def test_the_page_asks_nobody_else(name: str) -> None:
    text = (PAGE / name).read_text()

    assert "http:" not in text
    assert "https:" not in text


def test_a_job_tells_its_rule_and_when_it_may_begin(scene: Scene) -> None:
    plain = scene.submitted(1)
    way = Route(
        rule="night",
        priority=Priority.OFF_PEAK,
        window=window_of("22:00-06:00"),
        mode=Mode.SHADOW,
    )
    routed = scene.submitted(2, way)
    scene.journal.hold_until_open(lambda window: 9e9)

    told = {job["key"]: job for job in body(scene.ask("/habitus/jobs"))["jobs"]}

    shown = ("rule", "mode", "window", "priority")
    assert [told[plain][name] for name in shown] == ["", "send", "", 0]
    assert [told[routed][name] for name in shown] == ["night", "shadow", "22:00-06:00", -10]
    assert told[routed]["run_at"] == 9e9


def test_the_status_tells_of_settings_that_were_refused(scene: Scene) -> None:
    before = body(scene.ask("/habitus/status"))["settings"]
    scene.journal.set_fact("settings", json.dumps({"state": "refused", "problem": "line 4"}))

    told = body(scene.ask("/habitus/status"))["settings"]

    assert before is None
    assert told == {"state": "refused", "problem": "line 4"}


@pytest.mark.parametrize(("level", "status"), [("ok", 200), ("high", 503), ("critical", 503)])
def test_a_node_whose_disk_is_all_but_full_is_not_ready(
    scene: Scene, level: str, status: int
) -> None:
    scene.journal.set_fact("alive_at", json.dumps(time.time()))
    scene.journal.set_fact("engine", json.dumps({"state": "ready"}))
    scene.journal.set_fact("disk", json.dumps(level))

    assert scene.ask("/habitus/health/ready").status == status
    assert body(scene.ask("/habitus/status"))["disk"] == level
