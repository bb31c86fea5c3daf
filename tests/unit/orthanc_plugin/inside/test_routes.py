"""The REST routes, without Orthanc: what they answer and what they never open."""

import json
import re
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orthanc_plugin.inside.journal_reader import JournalReader
from orthanc_plugin.inside.routes import Answer, Request, Routes, actor_of
from orthanc_plugin.inside.supervisor import NodeCondition
from orthanc_plugin.node.choice_journal import ChoiceJournal, SeriesNote
from orthanc_plugin.node.delivery_journal import (
    DeliveryJournal,
    Destination,
    ObjectUids,
    ResultFile,
)
from orthanc_plugin.node.job_states import JobState
from orthanc_plugin.node.journal import Journal, Submission, Verdict
from tests.fakes import ENGINE, write

PAGE = Path(__file__).resolve().parents[4] / "orthanc_plugin" / "page"
POST = {"x-requested-with": "page"}


@dataclass
class Control:
    """A supervisor that notes what it is asked for."""

    is_away: bool = False
    requeued: list[tuple[str, str]] = field(default_factory=list)

    def condition(self) -> NodeCondition:
        return NodeCondition(pid=None if self.is_away else 7, starts=1, last_exit_code=None)

    def requeue(self, key: str, actor: str) -> bool:
        self.requeued.append((key, actor))
        return not self.is_away


@dataclass
class Scene:
    routes: Routes
    control: Control
    journal: Journal
    results: Path

    def ask(self, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
        """As Orthanc would: the first pattern that matches the whole path."""
        for pattern, (allowed, route) in self.routes.table().items():
            if match := re.fullmatch(pattern, path):
                request = Request(method=method, headers=headers or {}, groups=match.groups())
                return self.routes.answer(allowed, route, request)
        return Answer(status=404)

    def computed(self) -> str:
        """A job with a report, a picture and one delivery."""
        job_key = self.journal.submit(
            Submission(
                series_uid="1.2.840.1",
                series_orthanc_id="s",
                study_orthanc_id="t",
                set_hash="h",
                instance_count=3,
                engine=ENGINE,
            )
        )
        job = self.journal.take(60.0)
        assert job is not None
        assert job_key is not None
        uids = ObjectUids(study_uid="1.2.840.2", series_uid="1.2.840.3", sop_uid="1.2.840.4")
        results = [
            ResultFile(role=role, file_name=name, sha256="0", size_bytes=2, uids=known)
            for role, name, known in (
                ("report", "report.json", None),
                ("picture-l3", "l3.png", None),
                ("sr", "sr.dcm", uids),
            )
        ]
        DeliveryJournal(self.journal).record_results(job, results, [Destination(modality="pacs")])
        write(self.results / job_key / "report.json", "{}")
        write(self.results / job_key / "l3.png", "PNG")
        return job_key


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    control = Control()
    journal = Journal(tmp_path / "journal.db")
    results = tmp_path / "results"
    routes = Routes(JournalReader(tmp_path / "journal.db"), control, results, PAGE)
    return Scene(routes, control, journal, results)


def note(series_uid: str, reason: str) -> SeriesNote:
    """Of a series that was not taken, or (without reason) of the one that was."""
    return SeriesNote(
        series_uid=series_uid, number=4, images=90, score=31, reason=reason, detail="why"
    )


def body(answer: Answer) -> Any:
    return json.loads(answer.body)


def test_status_counts_jobs_and_says_how_the_node_is(scene: Scene) -> None:
    scene.computed()
    ChoiceJournal(scene.journal).note("other", [note("1.2.9", "not-ct")])

    status = body(scene.ask("/habitus/status"))

    assert status["node"]["running"] is True
    assert status["jobs"] == {"computed": 1}
    assert status["deliveries"] == {"pending": 1}
    assert status["skipped_series"] == {"not-ct": 1}


def test_status_answers_before_there_is_a_journal(tmp_path: Path) -> None:
    routes = Routes(JournalReader(tmp_path / "none.db"), Control(is_away=True), tmp_path, PAGE)

    answer = routes.answer("GET", routes.status, Request(method="GET", headers={}))

    assert answer.status == 200
    assert body(answer)["node"]["running"] is False
    assert body(answer)["jobs"] == {}


def test_jobs_before_there_is_a_journal_are_unavailable(tmp_path: Path) -> None:
    routes = Routes(JournalReader(tmp_path / "none.db"), Control(), tmp_path, PAGE)

    answer = routes.answer("GET", routes.jobs, Request(method="GET", headers={}))

    assert answer.status == 503


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
    ChoiceJournal(scene.journal).note("t", notes)
    ChoiceJournal(scene.journal).note("another-study", [note("1.2.10", "scout")])

    shown = body(scene.ask(f"/habitus/jobs/{key}"))

    seen = {"series_number": 4, "score": 31, "detail": "why"}
    assert shown["choice"] == seen
    assert shown["not_taken"] == [seen | {"images": 90, "reason": "outscored-kernel"}]


def test_series_not_taken_are_listed_also_where_a_study_has_no_job(scene: Scene) -> None:
    ChoiceJournal(scene.journal).note("study", [note("1.2.10", "scout")])

    (row,) = body(scene.ask("/habitus/not-taken"))

    assert (row["study_orthanc_id"], row["reason"]) == ("study", "scout")
    assert "1.2.10" not in str(row)


def test_a_requeue_goes_to_the_node_with_the_user(scene: Scene) -> None:
    key = scene.computed()
    basic = b64encode(b"maria:secret").decode()

    answer = scene.ask(
        f"/habitus/jobs/{key}/requeue", "POST", POST | {"authorization": f"Basic {basic}"}
    )

    assert answer.status == 200
    assert scene.control.requeued == [(key, "maria")]


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [("POST", {}, 403), ("GET", POST, 405), ("DELETE", POST, 405)],
)
def test_a_requeue_needs_post_and_the_header(
    scene: Scene, method: str, headers: dict[str, str], status: int
) -> None:
    key = scene.computed()

    answer = scene.ask(f"/habitus/jobs/{key}/requeue", method, headers)

    assert answer.status == status
    assert scene.control.requeued == []


def test_a_requeue_while_the_node_is_away_says_so(scene: Scene) -> None:
    key = scene.computed()
    scene.control.is_away = True

    assert scene.ask(f"/habitus/jobs/{key}/requeue", "POST", POST).status == 503


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


@pytest.mark.parametrize(
    ("header", "actor"),
    [
        ("", "anonymous"),
        ("Bearer x", "anonymous"),
        ("Basic !!!", "unknown"),
        ("Basic " + b64encode(b"\xff\xfe").decode(), "unknown"),
        ("Basic " + b64encode(b"a b:pw").decode(), "unknown"),
        ("Basic " + b64encode(b"ward.7:pw").decode(), "ward.7"),
    ],
)
def test_the_actor_is_the_authenticated_user_or_nothing(header: str, actor: str) -> None:
    assert actor_of({"authorization": header}) == actor
