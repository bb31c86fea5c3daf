"""The REST routes below /habitus: what is asked for, and the answer; knows nothing of Orthanc's objects."""

import json
import sqlite3
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from orthanc_plugin.inside import wishes
from orthanc_plugin.inside.command_box import CommandBox
from orthanc_plugin.inside.exchange import JSON, Answer, Refused, Request, Route, as_json
from orthanc_plugin.inside.guard import (
    Admission,
    Role,
    json_object,
    require_own_page,
    require_role,
)
from orthanc_plugin.inside.journal_reader import NOTHING_COUNTED, PICTURE_PREFIX, JournalReader
from orthanc_plugin.inside.query import job_filter, limit_of, whole_number
from orthanc_plugin.inside.readiness import NODE_SILENT, NotReady, not_ready
from orthanc_plugin.inside.supervisor import NodeCondition

KEY = r"([0-9a-f]{32})"

PAGE_FILES = {
    "index.html": "text/html; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The folders that routes read from."""

    results: Path
    page: Path
    description: Path
    """openapi.json."""


class NodeControl(Protocol):
    """What the routes ask of the supervisor."""

    def condition(self) -> NodeCondition:
        """How the node's process is."""

    def wake(self) -> None:
        """Have the node look at once."""


Table = Mapping[str, Mapping[str, tuple[Role, Route]]]


class Routes:
    """Every route of the plugin."""

    def __init__(
        self,
        reader: JournalReader,
        control: NodeControl,
        box: CommandBox,
        places: Places,
        admission: Admission,
    ) -> None:
        self._reader = reader
        self._control = control
        self._box = box
        self._places = places
        self._admission = admission

    def table(self) -> Table:
        """Pattern of the path → method → the role it needs, and the route."""
        job = rf"/habitus/jobs/{KEY}"
        look, operate, administer = Role.VIEWER, Role.OPERATOR, Role.ADMIN
        return {
            r"/habitus/status": {"GET": (look, self.status)},
            r"/habitus/health/live": {"GET": (look, self.live)},
            r"/habitus/health/ready": {"GET": (look, self.ready)},
            r"/habitus/jobs": {"GET": (look, self.jobs)},
            job: {"GET": (look, self.job)},
            rf"{job}/requeue": {"POST": (operate, self.requeue)},
            rf"{job}/cancel": {"POST": (operate, self.cancel)},
            rf"{job}/resend": {"POST": (operate, self.resend)},
            rf"{job}/body-size": {"POST": (operate, self.enter_body_size)},
            rf"{job}/level": {"POST": (operate, self.set_level)},
            rf"{job}/level/remove": {"POST": (operate, self.remove_level)},
            rf"{job}/pictures/([a-z0-9-]{{1,40}})\.png": {"GET": (look, self.picture)},
            rf"/habitus/report/{KEY}": {"GET": (look, self.report)},
            r"/habitus/analyses": {"POST": (operate, self.analyse)},
            rf"/habitus/commands/{KEY}": {"GET": (look, self.command)},
            r"/habitus/not-taken": {"GET": (look, self.not_taken)},
            r"/habitus/models": {"GET": (look, self.models)},
            r"/habitus/configuration": {"GET": (administer, self.configuration)},
            r"/habitus/settings/reload": {"POST": (administer, self.reload_settings)},
            r"/habitus/audit": {"GET": (administer, self.audit)},
            r"/habitus/me": {"GET": (look, self.me)},
            r"/habitus/openapi\.json": {"GET": (look, self.description)},
            # Orthanc drops a trailing slash, and without it the page's relative links would miss.
            r"/habitus": {"GET": (look, self.home)},
            r"/habitus/(index\.html|page\.js|page\.css)": {"GET": (look, self.page)},
        }

    def answer(self, pattern: str, request: Request) -> Answer:
        """One exchange, guarded."""
        methods = self.table()[pattern]
        if request.method not in methods:
            # Orthanc lists one method only.
            return Answer(status=405, allowed=",".join(methods))
        role, route = methods[request.method]
        user = self._admission.user_of(request.headers)
        try:
            require_role(self._admission, user, role)
            if request.method != "GET":
                require_own_page(request)
            return route(replace(request, user=user))
        except Refused as refused:
            return refused.answer
        except sqlite3.OperationalError:
            return _unavailable(NODE_SILENT).answer

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
                "silent_s": None,
            },
            "engine": None,
            "settings": None,
            "disk": None,
            **NOTHING_COUNTED,
        }
        # Before the node's first start there is no journal yet.
        with suppress(sqlite3.OperationalError):
            body |= self._reader.counts(time.time())
            body["node"]["silent_s"] = self._silent_s()
            body["engine"] = self._fact("engine")
            body["settings"] = self._fact("settings")
            body["disk"] = self._fact("disk")
        return as_json(body)

    def live(self, _: Request) -> Answer:
        """The plugin answers."""
        return as_json({"live": True})

    def ready(self, _: Request) -> Answer:
        """Whether a study that came now would be analysed."""
        fault = not_ready(self._silent_s(), self._fact("engine"), self._fact("disk"))
        if fault is not None:
            raise _unavailable(fault)
        return as_json({"ready": True})

    def jobs(self, request: Request) -> Answer:
        """Jobs, newest first, a page at a time."""
        wanted = job_filter(request.query)
        found = self._reader.jobs(wanted)
        following = found[-1]["key"] if len(found) == wanted.limit else None
        return as_json({"jobs": found, "next": following})

    def not_taken(self, _: Request) -> Answer:
        """The newest series that were not taken, and why."""
        return as_json(self._reader.not_taken())

    def job(self, request: Request) -> Answer:
        """One job with its history."""
        return as_json(self._job(request))

    def report(self, request: Request) -> Answer:
        """The numbers of a job, as the engine wrote them."""
        return self._file(request.groups[0], "report", JSON)

    def picture(self, request: Request) -> Answer:
        """One picture of a job."""
        key, name = request.groups
        return self._file(key, PICTURE_PREFIX + name, "image/png")

    def requeue(self, request: Request) -> Answer:
        """Have a job again: a dead, rejected or cancelled one from zero, a done one as a new run."""
        wishes.no_fields(json_object(request))
        return self._wish("requeue", request, {"job": self._job(request)["key"]})

    def cancel(self, request: Request) -> Answer:
        """End a job that waits or runs, or give up a dead one."""
        wishes.no_fields(json_object(request))
        return self._wish("cancel", request, {"job": self._job(request)["key"]})

    def resend(self, request: Request) -> Answer:
        """Send the results of a job again, to one destination or to all."""
        fields = wishes.resend_fields(json_object(request))
        return self._wish("resend", request, {"job": self._job(request)["key"], **fields})

    def enter_body_size(self, request: Request) -> Answer:
        """Height and weight of a job's patient, where the images lack them or are wrong."""
        fields = wishes.body_size_fields(json_object(request))
        return self._wish("body-size", request, {"job": self._job(request)["key"], **fields})

    def set_level(self, request: Request) -> Answer:
        """The slice through the middle of L3, where the networks found none, doubted theirs or were wrong."""
        fields = wishes.level_fields(json_object(request))
        return self._wish("level", request, {"job": self._job(request)["key"], **fields})

    def remove_level(self, request: Request) -> Answer:
        """Let the networks find L3 again."""
        wishes.no_fields(json_object(request))
        return self._wish("level-remove", request, {"job": self._job(request)["key"]})

    def analyse(self, request: Request) -> Answer:
        """Have a study or a series analysed now, whatever the rules say of it."""
        return self._wish("analyse", request, wishes.analyse_fields(json_object(request)))

    def command(self, request: Request) -> Answer:
        """What became of a wish; its outcome is null until the node has come to it."""
        number = request.groups[0]
        known = self._reader.command(number)
        return as_json(
            known
            or dict.fromkeys(("kind", "actor", "at", "outcome", "job", "detail")) | {"id": number}
        )

    def reload_settings(self, request: Request) -> Answer:
        """Have the node read habitus.toml now."""
        wishes.no_fields(json_object(request))
        return self._wish("reload-settings", request, {})

    def models(self, _: Request) -> Answer:
        """The models that are loaded."""
        return as_json(self._fact("models") or [])

    def configuration(self, _: Request) -> Answer:
        """The node's settings in force; of secrets only that there are some."""
        return as_json(self._fact("configuration") or {})

    def audit(self, request: Request) -> Answer:
        """Who did what and when."""
        before, limit = whole_number(request.query, "before"), limit_of(request.query)
        return as_json(self._reader.audit(before, limit))

    def me(self, request: Request) -> Answer:
        """Who asks, and what they may do."""
        role = self._admission.role_of(request.user)
        return as_json({"user": request.user, "role": role.name.lower()})

    def description(self, _: Request) -> Answer:
        """OpenAPI 3.1."""
        return Answer(body=self._places.description.read_bytes())

    def page(self, request: Request) -> Answer:
        """The web page and its two files."""
        name = request.groups[0]
        return Answer(body=(self._places.page / name).read_bytes(), mime=PAGE_FILES[name])

    def home(self, _: Request) -> Answer:
        """Lead to the page."""
        # 301 is what Orthanc's own redirection answers, whatever we say.
        return Answer(status=301, location="/habitus/index.html")

    def _wish(self, kind: str, request: Request, fields: dict[str, Any]) -> Answer:
        number = self._box.put(kind, request.user, fields)
        self._control.wake()
        return as_json({"command": number, "accepted": True})

    def _job(self, request: Request) -> dict[str, Any]:
        job = self._reader.job(request.groups[0])
        if job is None:
            raise _unknown("unknown-job", "a key that no job has", "a job of /habitus/jobs")
        return job

    def _file(self, key: str, role: str, mime: str) -> Answer:
        name = self._reader.result_file(key, role)
        path = self._places.results / key / Path(name).name if name else None
        if path is None or not path.is_file():
            raise _unknown("no-such-result", "no such result of this job", "one that it lists")
        return Answer(body=path.read_bytes(), mime=mime)

    def _fact(self, name: str) -> Any:
        return json.loads(self._reader.fact(name) or "null")

    def _silent_s(self) -> float | None:
        seen = self._fact("alive_at")
        return None if seen is None else round(max(0.0, time.time() - seen), 1)


def _unknown(code: str, found: str, wanted: str) -> Refused:
    return Refused(404, code, found=found, wanted=wanted, advice="Look at the list again.")


def _unavailable(fault: NotReady) -> Refused:
    return Refused(503, fault.code, found=fault.found, wanted=fault.wanted, advice=fault.advice)
