"""The routes over a real journal, without Orthanc."""

import json
import re
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orthanc_plugin.inside.command_box import CommandBox
from orthanc_plugin.inside.exchange import Answer, Request
from orthanc_plugin.inside.guard import Admission, Role
from orthanc_plugin.inside.journal_reader import JournalReader
from orthanc_plugin.inside.routes import Places, Routes
from orthanc_plugin.inside.supervisor import NodeCondition
from orthanc_plugin.node.delivery_journal import (
    DeliveryJournal,
    ObjectUids,
    ResultFile,
)
from orthanc_plugin.node.destinations import Destination
from orthanc_plugin.node.job_route import DEFAULT_ROUTE, Route
from orthanc_plugin.node.journal import Journal, Submission
from tests.fakes import ENGINE, write

PLUGIN = Path(__file__).resolve().parents[4] / "orthanc_plugin"
PAGE = PLUGIN / "page"
SERIES = "1af5ed9c-1af5ed9c-1af5ed9c-1af5ed9c-1af5ed9c"
STUDY = "2af5ed9c-2af5ed9c-2af5ed9c-2af5ed9c-2af5ed9c"
ADMISSION = Admission(
    roles={"vera": Role.VIEWER, "otto": Role.OPERATOR, "ada": Role.ADMIN, "nils": Role.NONE}
)


def as_user(name: str) -> dict[str, str]:
    """Headers of a request that Orthanc has authenticated."""
    return {"authorization": f"Basic {b64encode(f'{name}:secret'.encode()).decode()}"}


POST = {"x-requested-with": "page", "content-type": "application/json", **as_user("otto")}


@dataclass
class Control:
    """A supervisor that counts how often it is woken."""

    is_away: bool = False
    woken: int = 0

    def condition(self) -> NodeCondition:
        return NodeCondition(pid=None if self.is_away else 7, starts=1, last_exit_code=None)

    def wake(self) -> None:
        self.woken += 1


@dataclass
class Scene:
    """Routes, and what is behind them."""

    folder: Path
    control: Control
    journal: Journal

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def ask(
        self,
        path: str,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: object = None,
        query: dict[str, str] | None = None,
    ) -> Answer:
        """As Orthanc would: the first pattern that matches the whole path."""
        routes = routes_of(self.folder, self.control)
        content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        for pattern in routes.table():
            if match := re.fullmatch(pattern, path):
                request = Request(
                    method=method,
                    headers=as_user("ada") if headers is None else headers,
                    groups=match.groups(),
                    query=query or {},
                    body=content,
                )
                return routes.answer(pattern, request)
        return Answer(status=404)

    def wishes(self) -> list[dict[str, Any]]:
        """What waits for the node, without number and time."""
        files = sorted((self.folder / "commands").glob("*.json"))
        wishes = [json.loads(path.read_bytes()) for path in files]
        return [{k: v for k, v in wish.items() if k not in ("id", "at")} for wish in wishes]

    def submitted(self, number: int = 1, route: Route = DEFAULT_ROUTE) -> str:
        """A queued job."""
        key = self.journal.submit(
            Submission(
                series_uid=f"1.2.840.{number}",
                series_orthanc_id=SERIES,
                study_orthanc_id=STUDY,
                set_hash="h",
                instance_count=3,
                engine=ENGINE,
                route=route,
            )
        )
        assert key is not None
        return key

    def computed(self) -> str:
        """A job with a report, a picture and one delivery."""
        job_key = self.submitted()
        job = self.journal.take(60.0)
        assert job is not None
        uids = ObjectUids(study_uid="1.2.840.2", series_uid="1.2.840.3", sop_uid="1.2.840.4")
        results = [
            ResultFile(role=role, file_name=name, sha256="0", size_bytes=2, uids=known)
            for role, name, known in (
                ("report", "report.json", None),
                ("picture-l3", "l3.png", None),
                ("sr", "sr.dcm", uids),
            )
        ]
        DeliveryJournal(self.journal).record_results(job, results, [Destination(name="pacs")])
        write(self.results / job_key / "report.json", "{}")
        write(self.results / job_key / "l3.png", "PNG")
        return job_key


def routes_of(folder: Path, control: Control, admission: Admission = ADMISSION) -> Routes:
    """Over the journal of a folder, which may not be there."""
    places = Places(results=folder / "results", page=PAGE, description=PLUGIN / "openapi.json")
    box = CommandBox(folder=folder / "commands")
    return Routes(JournalReader(folder / "journal.db"), control, box, places, admission)


def scene_in(folder: Path) -> Scene:
    """With a journal and no job."""
    return Scene(folder, Control(), Journal(folder / "journal.db"))


def body(answer: Answer) -> Any:
    """JSON of an answer."""
    return json.loads(answer.body)


def fault(answer: Answer) -> Any:
    """Why it was refused."""
    return json.loads(answer.fault)
