"""The plugin's registration, with a fake of the orthanc module."""

import atexit
import gc
import json
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orthanc_plugin.inside import plugin
from orthanc_plugin.inside.configuration import PluginMisconfigured, read_configuration
from orthanc_plugin.inside.supervisor import Supervisor
from tests.fakes import write


class FakeOrthanc:
    """What of the orthanc module the plugin uses."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        self._configuration = configuration
        self.on_store: Callable[[Any], int] | None = None
        self.routes: dict[str, Any] = {}
        self.errors: list[str] = []
        self.tokens_before_callbacks: list[bool] = []
        self.explorer = ""

    def GetConfiguration(self) -> str:  # noqa: N802 # Orthanc's names
        return json.dumps(self._configuration)

    def GenerateRestApiAuthorizationToken(self) -> str:  # noqa: N802
        self.tokens_before_callbacks.append(self.on_store is None and not self.routes)
        return "Bearer token"

    def LogWarning(self, text: str) -> None:  # noqa: N802
        return

    def LogError(self, text: str) -> None:  # noqa: N802
        self.errors.append(text)

    def RegisterRestCallback(self, pattern: str, callback: Any) -> None:  # noqa: N802
        self.routes[pattern] = callback

    def RegisterIncomingCStoreInstanceFilter(self, callback: Callable[[Any], int]) -> None:  # noqa: N802
        self.on_store = callback

    def ExtendOrthancExplorer(self, script: str) -> None:  # noqa: N802
        self.explorer = script


@pytest.fixture(autouse=True)
def happened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the supervisor was asked, which starts nothing here."""
    asked: list[str] = []
    for name in ("start", "wake", "stop"):
        monkeypatch.setattr(Supervisor, name, lambda _, name=name: asked.append(name))
    return asked


class FakeOutput:
    """One HTTP answer."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.status = 200
        self.body = b""
        self.redirection = ""

    def SetHttpHeader(self, name: str, value: str) -> None:  # noqa: N802
        self.headers[name] = value

    def AnswerBuffer(self, body: bytes, mime: str) -> None:  # noqa: N802
        self.body, self.headers["Content-Type"] = body, mime

    def SendMethodNotAllowed(self, allowed: str) -> None:  # noqa: N802
        self.status = 405

    def SendHttpStatusCode(self, status: int) -> None:  # noqa: N802
        self.status = status

    def Redirect(self, location: str) -> None:  # noqa: N802
        self.redirection = location


@pytest.fixture
def configured(tmp_path: Path) -> dict[str, Any]:
    settings = write(tmp_path / "habitus.toml", 'data_folder = "data"')
    return {"HttpPort": 9000, "Habitus": {"Python": sys.executable, "Settings": str(settings)}}


def test_the_plugin_registers_its_routes_and_one_callback(configured: dict[str, Any]) -> None:
    orthanc = FakeOrthanc(configured)

    plugin.start(orthanc)

    assert orthanc.on_store is not None
    assert "/habitus/status" in orthanc.routes
    assert "habitus-link" in orthanc.explorer


def test_python_stays_an_owner_of_every_route_that_orthanc_holds(
    configured: dict[str, Any],
) -> None:
    orthanc = FakeOrthanc(configured)
    plugin.start(orthanc)
    routes = [weakref.ref(route) for route in orthanc.routes.values()]

    orthanc.routes.clear()
    gc.collect()

    assert all(route() is not None for route in routes)


def test_status_is_answered_with_safe_headers(configured: dict[str, Any]) -> None:
    orthanc, output = FakeOrthanc(configured), FakeOutput()
    plugin.start(orthanc)

    orthanc.routes["/habitus/status"](output, "/habitus/status", method="GET", groups=())

    assert json.loads(output.body)["node"]["running"] is False
    assert output.headers["X-Content-Type-Options"] == "nosniff"
    assert output.headers["Content-Security-Policy"].startswith(
        "default-src 'none'; script-src 'self'"
    )
    assert "unsafe" not in output.headers["Content-Security-Policy"]


def test_a_fault_is_a_status_code(configured: dict[str, Any]) -> None:
    orthanc, output = FakeOrthanc(configured), FakeOutput()
    plugin.start(orthanc)

    # A POST request has no "get" key and may have no groups.
    orthanc.routes["/habitus/status"](output, "/habitus/status", method="POST", body=b"")

    assert output.status == 405


def test_a_refusal_says_why_in_a_header(configured: dict[str, Any]) -> None:
    orthanc, output = FakeOrthanc(configured), FakeOutput()
    plugin.start(orthanc)

    orthanc.routes["/habitus/audit"](output, "/habitus/audit", method="GET")

    assert output.status == 403
    assert json.loads(output.headers["X-Habitus-Fault"])["error"] == "role-missing"


def test_the_short_address_is_a_redirection(configured: dict[str, Any]) -> None:
    orthanc, output = FakeOrthanc(configured), FakeOutput()
    plugin.start(orthanc)

    orthanc.routes["/habitus"](output, "/habitus", method="GET")

    assert output.redirection == "/habitus/index.html"


def test_the_node_is_started_with_the_plugin_woken_by_each_slice_and_ended_with_python(
    configured: dict[str, Any], happened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_the_end: list[Callable[[], None]] = []
    monkeypatch.setattr(atexit, "register", at_the_end.append)
    orthanc = FakeOrthanc(configured)

    plugin.start(orthanc)
    assert orthanc.on_store is not None
    orthanc.on_store(None)
    for end in at_the_end:
        end()

    assert happened == ["start", "wake", "stop"]


def test_orthanc_is_asked_for_a_token_while_it_loads_and_never_by_a_thread(
    configured: dict[str, Any],
) -> None:
    """Later, with slices coming in, the question can stop Orthanc for good: each then waits for the other's lock."""
    orthanc = FakeOrthanc(configured)

    plugin.start(orthanc)

    assert orthanc.tokens_before_callbacks == [True]


def test_a_node_of_its_own_unit_is_not_started(configured: dict[str, Any]) -> None:
    configured["Habitus"]["Node"] = "standalone"
    orthanc, output = FakeOrthanc(configured), FakeOutput()
    plugin.start(orthanc)

    orthanc.routes["/habitus/status"](output, "/habitus/status", method="GET")

    assert json.loads(output.body)["node"] == {
        "supervised": False,
        "running": False,
        "pid": None,
        "starts": 0,
        "last_exit_code": None,
        "silent_s": None,
    }


def test_a_wrong_configuration_leaves_orthanc_an_archive_and_says_why() -> None:
    orthanc = FakeOrthanc({})

    plugin.start(orthanc)

    assert orthanc.routes == {}
    assert "no node is started" in orthanc.errors[0]


@pytest.mark.parametrize(
    ("section", "named"),
    [
        (None, "Habitus"),
        ({"Settings": "SETTINGS"}, "Habitus.Python"),
        ({"Python": "/no/such/python", "Settings": "SETTINGS"}, "Habitus.Python"),
        ({"Python": sys.executable}, "Habitus.Settings"),
        ({"Python": sys.executable, "Settings": "SETTINGS", "Node": "x"}, "Habitus.Node"),
        ({"Python": sys.executable, "Settings": "BROKEN"}, "broken.toml"),
        ({"Python": sys.executable, "Settings": "EMPTY"}, "data_folder"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, section: dict[str, str] | None, named: str) -> None:
    paths = {
        "SETTINGS": write(tmp_path / "habitus.toml", 'data_folder = "data"'),
        "BROKEN": write(tmp_path / "broken.toml", "= ="),
        "EMPTY": write(tmp_path / "empty.toml", ""),
    }
    filled = section and {name: str(paths.get(value, value)) for name, value in section.items()}

    with pytest.raises(PluginMisconfigured, match=named):
        read_configuration(json.dumps({"Habitus": filled}), tmp_path)


def test_address_and_folders_come_from_the_two_files(
    tmp_path: Path, configured: dict[str, Any]
) -> None:
    configuration = read_configuration(json.dumps(configured), tmp_path)

    assert configuration.orthanc_url == "http://127.0.0.1:9000"
    assert configuration.journal_path == tmp_path / "data" / "journal.db"
    assert configuration.results_folder == tmp_path / "data" / "spool" / "results"
