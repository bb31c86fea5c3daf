"""The REST routes below /habitus: what is asked for, and the answer; knows nothing of Orthanc's objects."""

import json
import re
import sqlite3
import time
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from orthanc_plugin.inside.journal_reader import NOTHING_COUNTED, PICTURE_PREFIX, JournalReader
from orthanc_plugin.inside.supervisor import NodeCondition

KEY = r"([0-9a-f]{32})"
JSON = "application/json"
_ACTOR = re.compile(r"[A-Za-z0-9._@-]{1,64}")

PAGE_FILES = {
    "index.html": "text/html; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What of an HTTP request the routes look at."""

    method: str
    headers: Mapping[str, str]
    """Names in lower case, as Orthanc passes them."""
    groups: tuple[str, ...] = ()
    """What the route's parentheses matched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back."""

    body: bytes = b""
    mime: str = JSON
    status: int = 200
    allowed: str = ""
    """With status 405: the method to use."""
    location: str = ""
    """Where a redirection leads."""


class NodeControl(Protocol):
    """What the routes ask of the supervisor."""

    def condition(self) -> NodeCondition:
        """How the node's process is."""

    def requeue(self, key: str, actor: str) -> bool:
        """Pass an operator's wish on; False when the node cannot take it now."""


Route = Callable[[Request], Answer]


class Routes:
    """Every route of the plugin."""

    def __init__(
        self, reader: JournalReader, control: NodeControl, results_folder: Path, page_folder: Path
    ) -> None:
        self._reader = reader
        self._control = control
        self._results_folder = results_folder
        self._page_folder = page_folder

    def table(self) -> dict[str, tuple[str, Route]]:
        """Pattern of the path → allowed method and route."""
        return {
            r"/habitus/status": ("GET", self.status),
            r"/habitus/jobs": ("GET", self.jobs),
            r"/habitus/not-taken": ("GET", self.not_taken),
            rf"/habitus/jobs/{KEY}": ("GET", self.job),
            rf"/habitus/jobs/{KEY}/requeue": ("POST", self.requeue),
            rf"/habitus/jobs/{KEY}/pictures/([a-z0-9-]{{1,40}})\.png": ("GET", self.picture),
            rf"/habitus/report/{KEY}": ("GET", self.report),
            # Orthanc drops a trailing slash, and without it the page's relative links would miss.
            r"/habitus": ("GET", self.home),
            r"/habitus/(index\.html|page\.js|page\.css)": ("GET", self.page),
        }

    def answer(self, allowed_method: str, route: Route, request: Request) -> Answer:
        """One exchange; a journal that is not there yet is an answer of its own."""
        if request.method != allowed_method:
            fault = _fault(405, "method-not-allowed", f"Use {allowed_method}.")
            return replace(fault, allowed=allowed_method)
        try:
            return route(request)
        except sqlite3.OperationalError:
            return _fault(503, "no-journal", "The node has not started yet; see /habitus/status.")

    def status(self, _: Request) -> Answer:
        """How the node, the engine and the queue are; answers also while the node is down."""
        condition = self._control.condition()
        body: dict[str, Any] = {
            "node": {
                "supervised": condition.is_supervised,
                "running": condition.pid is not None,
                "pid": condition.pid,
                "starts": condition.starts,
                "last_exit_code": condition.last_exit_code,
            },
            "engine": None,
            **NOTHING_COUNTED,
        }
        # Before the node's first start there is no journal yet.
        with suppress(sqlite3.OperationalError):
            body |= self._reader.counts(time.time())
            body["engine"] = json.loads(self._reader.fact("engine") or "null")
        return _json(body)

    def jobs(self, _: Request) -> Answer:
        """The newest jobs."""
        return _json(self._reader.jobs())

    def not_taken(self, _: Request) -> Answer:
        """The newest series that were not taken, and why."""
        return _json(self._reader.not_taken())

    def job(self, request: Request) -> Answer:
        """One job."""
        job = self._reader.job(request.groups[0])
        return _json(job) if job is not None else _fault(404, "unknown-job", "No such job.")

    def report(self, request: Request) -> Answer:
        """The numbers of a job, as the engine wrote them."""
        return self._file(request.groups[0], "report", JSON)

    def picture(self, request: Request) -> Answer:
        """One picture of a job."""
        key, name = request.groups
        return self._file(key, PICTURE_PREFIX + name, "image/png")

    def requeue(self, request: Request) -> Answer:
        """Have a job again: a dead or rejected one from zero, a done one as a new run."""
        # A page of another site can make a browser POST with its cached password, but not with this header.
        if not request.headers.get("x-requested-with"):
            return _fault(403, "header-missing", "Send an X-Requested-With header.")
        key = request.groups[0]
        if self._reader.job(key) is None:
            return _fault(404, "unknown-job", "No such job.")
        if not self._control.requeue(key, actor_of(request.headers)):
            return _fault(503, "node-away", "The node takes no commands now; see /habitus/status.")
        return _json({"key": key, "accepted": True})

    def page(self, request: Request) -> Answer:
        """The web page and its two files."""
        name = request.groups[0]
        return Answer(body=(self._page_folder / name).read_bytes(), mime=PAGE_FILES[name])

    def home(self, _: Request) -> Answer:
        """Lead to the page."""
        return Answer(status=302, location="/habitus/index.html")

    def _file(self, key: str, role: str, mime: str) -> Answer:
        name = self._reader.result_file(key, role)
        path = self._results_folder / key / Path(name).name if name else None
        if path is None or not path.is_file():
            return _fault(404, "no-such-result", "This job has no such result.")
        return Answer(body=path.read_bytes(), mime=mime)


def actor_of(headers: Mapping[str, str]) -> str:
    """Who asks, for the audit: the user that Orthanc has authenticated already."""
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return "anonymous"
    try:
        user = b64decode(encoded, validate=True).decode("utf-8").partition(":")[0]
    except (Base64Error, UnicodeDecodeError):
        return "unknown"
    return user if _ACTOR.fullmatch(user) else "unknown"


def _json(body: object) -> Answer:
    return Answer(body=json.dumps(body).encode())


def _fault(status: int, code: str, advice: str) -> Answer:
    return Answer(body=json.dumps({"error": code, "advice": advice}).encode(), status=status)
