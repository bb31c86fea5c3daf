"""The last run behind a shipped network, stage by stage."""

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from inference.domain.errors import ConfigurationInvalid, InferenceFailed
from training import reproduce as module
from training.__main__ import main
from training.reproduce import RECIPES, Recipe, reproduce, stages_of
from training.specification import CHECKPOINT_NAME

SHIPPED = sorted(path.stem for path in RECIPES.glob("*.toml"))
WEIGHTS = b"weights"
RECIPE = replace(Recipe.read("organs"), start_sha256=sha256(WEIGHTS).hexdigest())


class Commands:
    """Remembers what it is asked to run; ends some of it badly."""

    def __init__(self, fails: str = "nothing") -> None:
        self.fails = fails
        self.ran: list[str] = []

    def __call__(self, command: Sequence[str]) -> int:
        self.ran.append(" ".join(command[2:5]))
        if "pool" in command:
            folder = Path(command[command.index("--out") + 1])
            folder.mkdir(exist_ok=True)
            (folder / f"{len(self.ran)}.npz").touch()
        return 3 if self.fails in command else 0


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder that has the checkpoint to begin with."""
    (tmp_path / "organs-start.safetensors").write_bytes(WEIGHTS)
    return tmp_path


def made(out: Path, commands: Commands) -> Path:
    return reproduce(RECIPE, Path("map.nii.gz"), out, 2, commands)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_recipe_names_what_the_repository_has(name: str) -> None:
    recipe = Recipe.read(name)
    shipped = (module.ROOT / "models" / name / "README.md").read_text(encoding="utf-8")

    assert (module.ROOT / recipe.config).is_file()
    assert f"{recipe.map_name} (sha256" in shipped
    assert recipe.attribution in shipped
    assert {part.kind for part in recipe.pool} <= {"torso", "templates"}


@pytest.mark.parametrize("name", SHIPPED)
def test_what_it_begins_with_lies_in_the_history(name: str, tmp_path: Path) -> None:
    recipe = Recipe.read(name)
    place = f"{recipe.start_revision}:{recipe.start_path}"
    known = subprocess.run(
        ["git", "cat-file", "-e", place], cwd=module.ROOT, capture_output=True, check=False
    )
    if known.returncode:
        pytest.skip("a copy of the repository without its history")

    module._take_start(recipe, tmp_path)

    assert (tmp_path / f"{name}-start.safetensors").stat().st_size > 10_000


def test_stages_come_in_their_order_and_are_not_done_twice(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = Commands()

    assert made(out, commands) == out / "organs" / CHECKPOINT_NAME
    assert made(out, commands) == out / "organs" / CHECKPOINT_NAME

    assert [one.split()[0] + " " + one.split()[1] for one in commands.ran] == [
        "training.templates build",
        *["training.templates relatives"] * len(RECIPE.relatives_seeds),
        *["training pool"] * len(RECIPE.pool),
        "training train",
    ]
    told = capsys.readouterr().out
    assert told.count("done before") == len(commands.ran)
    assert f"[1/{len(commands.ran)}] template of s0327\n" in told


def test_a_pool_that_was_left_half_is_filled_anew(out: Path) -> None:
    with pytest.raises(InferenceFailed, match="30 of torso from seed 310000 ended with 3"):
        made(out, Commands(fails="torso"))
    first = sorted((out / "pool").iterdir())
    again = Commands()

    made(out, again)

    assert [one.split()[1] for one in again.ran] == ["pool", "pool", "train"]
    assert len(first) == len(sorted((out / "pool").iterdir())) == 2


def test_a_run_that_was_stopped_begins_anew_and_the_pool_stays(out: Path) -> None:
    (out / "organs").mkdir()
    (out / "organs" / "half.txt").touch()
    with pytest.raises(InferenceFailed, match="672 steps of organs ended with 3"):
        made(out, Commands(fails="train"))
    (out / "organs").mkdir(exist_ok=True)
    (out / "organs" / "half.txt").touch()
    again = Commands()

    made(out, again)

    assert [one.split()[1] for one in again.ran] == ["train"]
    assert not (out / "organs" / "half.txt").exists()
    assert len(list((out / "pool").iterdir())) == len(RECIPE.pool)


def test_all_relatives_are_painted(out: Path) -> None:
    def last(stages: list[module.Stage], kind: str) -> tuple[str, ...]:
        return next(s.command for s in stages if kind in s.command)

    stages = stages_of(RECIPE, Path("map.nii.gz"), out, 2)

    templates = [one for one in last(stages, "templates") if one.startswith("--template=")]
    assert len(templates) == 1 + 26
    assert f"--template={out}/relatives/s0327-62-12.npz" in templates
    assert not [one for one in last(stages, "torso") if one.startswith("--template=")]
    assert last(stages, "train")[-4:] == ("--epochs", "3", "--max-steps", "672")


def test_other_weights_to_begin_with_are_refused(out: Path) -> None:
    (out / "organs-start.safetensors").write_bytes(b"others")
    commands = Commands()

    with pytest.raises(ConfigurationInvalid, match=r"organs-start\.safetensors with sha256"):
        made(out, commands)

    assert commands.ran == []


def test_a_recipe_that_names_no_place_begins_with_what_was_shipped(tmp_path: Path) -> None:
    text = (module.RECIPES / "organs.toml").read_text(encoding="utf-8")
    without = "".join(line for line in text.splitlines(True) if not line.startswith("path ="))
    named = without.replace("[start]\n", '[start]\npath = "elsewhere/organs.safetensors"\n')
    for name, content in (("organs", without), ("other", named)):
        (tmp_path / f"{name}.toml").write_text(content, encoding="utf-8")

    assert Recipe.read("organs", tmp_path).start_path == f"models/organs/{CHECKPOINT_NAME}"
    assert Recipe.read("other", tmp_path).start_path == "elsewhere/organs.safetensors"


def test_a_history_that_was_cut_off_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="its whole history"):
        module._take_start(replace(RECIPE, start_revision="0" * 40), tmp_path)


def test_the_commands_can_be_read_without_running_any(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["reproduce", "organs", "--map", "no map", "--out", str(tmp_path / "out")]

    assert main([*call, "--dry-run"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert main(call) == 2

    assert len(shown) == 1 + len(RECIPE.relatives_seeds) + len(RECIPE.pool) + 1
    assert "'no map'" in shown[0]
    assert not (tmp_path / "out").exists()
    assert "the label map s0327" in capsys.readouterr().err


def test_a_network_without_a_recipe_is_told_which_have_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["reproduce", "lungs", "--map", "a", "--out", "b"]) == 2

    assert "one of: organs" in capsys.readouterr().err
