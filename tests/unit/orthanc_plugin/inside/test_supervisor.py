"""The supervisor with a stand-in for the node: started, told, restarted, ended."""

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orthanc_plugin.inside.configuration import PluginConfiguration
from orthanc_plugin.inside.disk_space import DiskMarks
from orthanc_plugin.inside.guard import Admission
from orthanc_plugin.inside.supervisor import (
    ASK_ORTHANC_S,
    NEWS_PAUSE_S,
    SILENCE_S,
    STOP_GRACE_S,
    Supervisor,
    node_environment,
)

STAND_IN = """#!{python}
import os
import sys
with open({lines!r}, "a", buffering=1) as file:
    file.write("start " + " ".join(sys.argv[-4:]) + chr(10))
    for line in sys.stdin:
        file.write(line)
        if "wake" in line and os.path.exists({fail!r}):
            os.remove({fail!r})
            sys.exit(9)
    file.write("eof" + chr(10))
"""


@dataclass
class Scene:
    supervisor: Supervisor
    path: Path
    orthanc: socket.socket

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []

    def wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10.0
        while not condition():
            assert time.monotonic() < deadline, self.lines()
            time.sleep(0.02)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    orthanc = socket.create_server(("127.0.0.1", 0))
    lines = tmp_path / "lines"
    python = tmp_path / "python"
    python.write_text(
        STAND_IN.format(python=sys.executable, lines=str(lines), fail=str(tmp_path / "fail"))
    )
    python.chmod(0o700)
    configuration = PluginConfiguration(
        node_python=python,
        settings_path=tmp_path / "habitus.toml",
        data_folder=tmp_path,
        storage_folder=tmp_path,
        disk_marks=DiskMarks(),
        certificate_sha256="5e" * 32,
        orthanc_url=f"http://127.0.0.1:{orthanc.getsockname()[1]}",
        repository_root=tmp_path,
        admission=Admission(),
    )
    supervisor = Supervisor(configuration, "Bearer token", lambda _: None)
    yield Scene(supervisor, lines, orthanc)
    supervisor.stop()
    orthanc.close()


def test_the_node_is_told_address_token_certificate_and_images_on_its_first_line(
    scene: Scene, tmp_path: Path
) -> None:
    scene.supervisor.start()
    scene.wait(lambda: len(scene.lines()) == 2)

    start, first = scene.lines()
    assert start.endswith(f"--parent {os.getpid()}")
    assert json.loads(first) == {
        "url": f"http://127.0.0.1:{scene.orthanc.getsockname()[1]}",
        "token": "Bearer token",
        "certificate": "5e" * 32,
        "images_folder": str(tmp_path),
    }


def test_many_events_become_few_lines(scene: Scene) -> None:
    scene.supervisor.start()
    scene.wait(lambda: len(scene.lines()) == 2)

    for _ in range(130):
        scene.supervisor.wake()
        time.sleep(0.01)
    scene.wait(lambda: len(scene.lines()) > 3)

    assert len(scene.lines()) - 2 <= 3


def test_events_with_gaps_between_them_become_few_lines_too(scene: Scene) -> None:
    scene.supervisor.start()
    scene.wait(lambda: len(scene.lines()) == 2)

    for _ in range(9):
        scene.supervisor.wake()
        time.sleep(2.4 * SILENCE_S)

    assert len(scene.lines()) - 2 <= 6


def test_the_end_of_what_came_is_told_soon(scene: Scene) -> None:
    scene.supervisor.start()
    scene.wait(lambda: len(scene.lines()) == 2)

    for _ in range(10):
        scene.supervisor.wake()
        time.sleep(0.01)
    ended_s = time.monotonic()
    scene.wait(lambda: len(scene.lines()) == 4)

    assert time.monotonic() - ended_s < NEWS_PAUSE_S * 0.7


def test_a_node_that_ended_is_started_again(scene: Scene) -> None:
    scene.supervisor.start()
    scene.wait(lambda: len(scene.lines()) == 2)
    (scene.path.parent / "fail").touch()
    scene.supervisor.wake()
    scene.wait(lambda: scene.supervisor.condition().starts == 2)

    assert scene.supervisor.condition().last_exit_code == 9


def test_stopping_ends_the_node_by_closing_its_input(scene: Scene) -> None:
    scene.supervisor.start()
    scene.wait(lambda: len(scene.lines()) == 2)

    scene.supervisor.stop()

    assert scene.lines()[-1] == "eof"
    assert scene.supervisor.condition().pid is None


def test_the_node_does_not_inherit_what_steers_an_interpreter() -> None:
    inherited = node_environment({"PATH": "/bin", "PYTHONPATH": "/x", "PYTHONHOME": "/y"})

    assert inherited == {"PATH": "/bin"}


def test_a_supervisor_at_rest_uses_no_processor_time(scene: Scene) -> None:
    scene.supervisor.start()
    scene.wait(lambda: len(scene.lines()) == 2)
    (thread,) = (one for one in threading.enumerate() if one.name == "habitus-supervisor")
    schedule = Path(f"/proc/self/task/{thread.native_id}/status")

    def switches() -> int:
        """How often the thread went to sleep, and so was woken (Linux proc(5))."""
        lines = dict(line.split(":", 1) for line in schedule.read_text().splitlines())
        return int(lines["voluntary_ctxt_switches"])

    time.sleep(0.3)
    before = switches()
    time.sleep(1.0)

    assert switches() - before <= 2


def test_the_first_news_after_a_rest_is_told_at_once(scene: Scene) -> None:
    scene.supervisor.start()
    scene.wait(lambda: len(scene.lines()) == 2)
    began_s = time.monotonic()
    scene.supervisor.wake()
    scene.wait(lambda: len(scene.lines()) == 3)

    assert time.monotonic() - began_s < NEWS_PAUSE_S / 2


def test_the_node_is_started_once_orthanc_can_be_asked(scene: Scene) -> None:
    place = scene.orthanc.getsockname()
    scene.orthanc.close()
    scene.supervisor.start()
    time.sleep(3 * ASK_ORTHANC_S)
    too_early = scene.lines()

    with socket.create_server(place):
        scene.wait(lambda: len(scene.lines()) == 2)

    assert too_early == []


def test_an_orthanc_that_ends_before_it_could_be_asked_is_not_held_up(scene: Scene) -> None:
    scene.orthanc.close()
    scene.supervisor.start()

    began_s = time.monotonic()
    scene.supervisor.stop()

    assert time.monotonic() - began_s < STOP_GRACE_S
    assert scene.lines() == []
