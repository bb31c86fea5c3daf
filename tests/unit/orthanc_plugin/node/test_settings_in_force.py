"""Settings that change while the node runs: what comes into force and when, and what a mistake leaves as it was."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from inference.domain.errors import ConfigurationInvalid
from orthanc_plugin.node.settings_in_force import SettingsInForce
from tests.fakes import SilentLog, write

LEAST = 'data_folder = "data"\n[engine]\nmodels_folder = "models"\n'
RULE = '[[rules]]\nname = "all"\n'


@dataclass
class Scene:
    path: Path
    log: SilentLog = field(default_factory=SilentLog)
    facts: dict[str, str] = field(default_factory=dict)
    second: int = 0

    def __post_init__(self) -> None:
        self.write(LEAST)
        self.in_force = SettingsInForce(self.path)

    def write(self, text: str) -> None:
        """A second later, as the file system counts."""
        write(self.path, text)
        self.second += 1
        os.utime(self.path, (self.second, self.second))

    def look(self) -> bool:
        return self.in_force.look(self.log, self.facts.__setitem__)

    @property
    def fact(self) -> dict[str, Any]:
        return dict(json.loads(self.facts["settings"]))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "habitus.toml")


def test_a_changed_file_comes_into_force_once_it_has_rested(scene: Scene) -> None:
    scene.write(LEAST + RULE)

    looks = [scene.look() for _ in range(3)]

    assert looks == [False, True, False]
    assert [rule.name for rule in scene.in_force().rules] == ["all"]
    assert (scene.fact["state"], scene.fact["rules"]) == ("in-force", 1)


def test_a_file_that_is_still_being_written_is_waited_for(scene: Scene) -> None:
    looks = []
    for text in (LEAST + RULE, LEAST + RULE + 'calling = "A"\n'):
        scene.write(text)
        looks.append(scene.look())

    assert looks == [False, False]
    assert scene.in_force().rules == ()


def test_whoever_asks_does_not_wait(scene: Scene) -> None:
    scene.write(LEAST + RULE)
    scene.in_force.ask()

    assert scene.look()


def test_a_mistake_leaves_the_former_settings_in_force_and_is_told_with_its_line(
    scene: Scene,
) -> None:
    before = scene.in_force()
    scene.write(LEAST + "[[rules]]\nnmae = 'x'\n")
    looks = [scene.look() for _ in range(2)]

    assert looks == [False, False]
    assert scene.in_force() is before
    assert scene.fact["state"] == "refused"
    assert "line 4: no setting rules[0].name" in scene.fact["problem"]
    assert scene.log.events == ["settings-refused"]


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_is_gone_or_no_text_leaves_the_former_settings(
    scene: Scene, content: bytes | None
) -> None:
    before = scene.in_force()
    scene.path.unlink()
    if content is not None:
        scene.path.write_bytes(content)
    scene.in_force.ask()
    scene.look()

    assert scene.in_force() is before
    assert "no readable habitus.toml" in scene.fact["problem"]


def test_a_mended_file_is_in_force_again(scene: Scene) -> None:
    scene.write("nonsense = 1\n")
    scene.in_force.ask()
    scene.look()
    scene.write(LEAST)
    scene.in_force.ask()
    scene.look()

    assert (scene.fact["state"], scene.fact["problem"]) == ("in-force", "")


def test_what_is_read_at_the_start_only_waits_for_the_next_start(scene: Scene) -> None:
    before = scene.in_force()
    scene.write(
        LEAST.replace('"data"', '"elsewhere"') + "workers = 2\n[metrics]\nport = 9645\n" + RULE
    )
    scene.in_force.ask()

    assert scene.look()
    assert scene.in_force().data_folder == before.data_folder
    assert scene.in_force().engine.workers == 1
    assert len(scene.in_force().rules) == 1
    assert scene.in_force().metrics.port == 0
    assert scene.fact["needs_restart"] == ["data_folder", "metrics", "engine.workers"]


def test_a_file_that_was_only_touched_changes_nothing(scene: Scene) -> None:
    before = scene.in_force()
    scene.write(LEAST)

    assert [scene.look() for _ in range(3)] == [False] * 3
    assert scene.in_force() is before


def test_a_node_does_not_start_with_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="line 1: unknown setting nonsense"):
        SettingsInForce(write(tmp_path / "habitus.toml", "nonsense = 1\n" + LEAST))


def test_a_reload_tells_what_came_of_it(scene: Scene) -> None:
    def reload(text: str) -> tuple[str, str]:
        write(scene.path, text)
        return scene.in_force.reload(scene.log, scene.facts.__setitem__)

    told = [reload(text) for text in (LEAST, LEAST + RULE, LEAST + "workers = 2\n")]
    refused, why = reload(LEAST + "nonsense = 1\n")

    assert told == [
        ("unchanged", ""),
        ("in-force", ""),
        ("in-force", "engine.workers: in force after a restart of the node"),
    ]
    assert refused == "refused"
    assert "nonsense" in why


@pytest.mark.parametrize("text", ["x = " + "[" * 3000 + "]" * 3000, "x = " + "1" * 9000])
def test_a_file_that_no_parser_likes_leaves_the_former_in_force(scene: Scene, text: str) -> None:
    scene.write(text)

    looks = [scene.look() for _ in range(2)]

    assert looks == [False, False]
    assert scene.fact["state"] == "refused"
    assert "habitus.toml" in scene.fact["problem"]
