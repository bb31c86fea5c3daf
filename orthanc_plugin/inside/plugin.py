"""The plugin: registers callbacks and routes with Orthanc; each returns at once."""

import atexit
from pathlib import Path
from typing import Any

from orthanc_plugin.inside.command_box import CommandBox
from orthanc_plugin.inside.configuration import (
    STANDALONE,
    PluginConfiguration,
    PluginMisconfigured,
    read_configuration,
)
from orthanc_plugin.inside.disk_space import StoreGate
from orthanc_plugin.inside.exchange import FAULT_HEADER, Answer, Request
from orthanc_plugin.inside.journal_reader import JournalReader
from orthanc_plugin.inside.routes import Places, Routes
from orthanc_plugin.inside.supervisor import StandaloneNode, Supervisor

REPOSITORY_ROOT = Path(__file__).resolve().parents[2]
PAGE_FOLDER = REPOSITORY_ROOT / "orthanc_plugin" / "page"

_SAFE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


_KEPT: list[Any] = []
"""Callbacks Orthanc holds: plugin 5.0 frees them after Python has ended, and crashes where they are the last owner."""


def start(orthanc: Any) -> None:
    """Begin; `orthanc` is the module that Orthanc's interpreter offers (passed in, so that tests pass a fake)."""
    try:
        configuration = read_configuration(orthanc.GetConfiguration(), REPOSITORY_ROOT)
    except PluginMisconfigured as error:
        # Without a node Orthanc is still an archive: it starts, and says why nothing is analysed.
        orthanc.LogError(f"habitus: {error}; no node is started")
        return
    supervisor = _supervisor(orthanc, configuration)
    gate = StoreGate(
        (configuration.storage_folder, configuration.data_folder),
        configuration.disk_marks,
        orthanc.LogWarning,
    )

    def on_store(_instance: Any) -> int:
        supervisor.wake()
        return gate.status()

    _KEPT.append(on_store)
    orthanc.RegisterIncomingCStoreInstanceFilter(on_store)
    routes = Routes(
        JournalReader(configuration.journal_path),
        supervisor,
        CommandBox(folder=configuration.commands_folder),
        Places(
            results=configuration.results_folder,
            page=PAGE_FOLDER,
            description=PAGE_FOLDER.parent / "openapi.json",
        ),
        configuration.admission,
    )
    for pattern in routes.table():
        callback = _rest_callback(routes, pattern)
        _KEPT.append(callback)
        orthanc.RegisterRestCallback(pattern, callback)
    orthanc.ExtendOrthancExplorer((PAGE_FOLDER / "explorer_link.js").read_text(encoding="utf-8"))
    # No callback for changes: Orthanc calls it four times for each slice, and that alone costs a seventh of taking one in.
    atexit.register(supervisor.stop)
    supervisor.start()


def _supervisor(orthanc: Any, configuration: PluginConfiguration) -> Supervisor | StandaloneNode:
    if configuration.node == STANDALONE:
        return StandaloneNode()
    # Asked for while Orthanc loads us. A thread of ours that asks later holds Python while it waits for a lock of Orthanc's; a
    # slice that comes in then holds that lock and waits for Python, and Orthanc stands still for good.
    token = orthanc.GenerateRestApiAuthorizationToken()
    return Supervisor(configuration, token, orthanc.LogWarning)


def _rest_callback(routes: Routes, pattern: str) -> Any:
    def callback(output: Any, _uri: str, **request: Any) -> None:
        asked = Request(
            method=request["method"],
            headers=request.get("headers", {}),
            groups=tuple(request.get("groups", ())),
            query=request.get("get", {}),
            body=request.get("body", b""),
        )
        _send(output, routes.answer(pattern, asked))

    return callback


def _send(output: Any, answer: Answer) -> None:
    for name, value in _SAFE_HEADERS.items():
        output.SetHttpHeader(name, value)
    if answer.location:
        output.Redirect(answer.location)
    elif answer.status == 200:
        output.AnswerBuffer(answer.body, answer.mime)
    elif answer.status == 405:
        # Orthanc refuses this status by any other function and drops the connection.
        output.SendMethodNotAllowed(answer.allowed)
    else:
        # SendHttpStatus, which has a body, has a broken signature before plugin 4.2.
        output.SetHttpHeader(FAULT_HEADER, answer.fault)
        output.SendHttpStatusCode(answer.status)
