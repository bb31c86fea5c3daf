"""The last run behind a shipped network, stage by stage."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from inference.domain.errors import ConfigurationInvalid, InferenceFailed
from training import reproduce as module
from training.__main__ import main
from training.origins import PAINTED_KINDS
from training.reproduce import (
    RECIPES,
    PoolPart,
    Recipe,
    Weights,
    reproduce,
    stages_of,
    take_code,
)
from training.specification import CHECKPOINT_NAME

SHIPPED = sorted(path.stem for path in RECIPES.glob("*.toml"))
WEIGHTS = b"weights"
THESE = Weights(revision="0" * 40, path="a", sha256=sha256(WEIGHTS).hexdigest())
RECIPE = Recipe(
    name="organs",
    code="2" * 40,
    config="training/configs/organs.toml",
    map_name="s0327",
    attribution="me",
    relatives_each=13,
    relatives_seeds=(61, 62),
    pool=(
        PoolPart(kind="templates", seed=300000, count=145),
        PoolPart(kind="torso", seed=310000, count=30),
    ),
    start=THESE,
    mean_with=(),
    epochs=3,
    steps=672,
)
MEAN = replace(RECIPE, mean_with=(THESE, THESE))


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
    for name in ("start", "other-0", "other-1"):
        (tmp_path / f"organs-{name}.safetensors").write_bytes(WEIGHTS)
    return tmp_path


def made(out: Path, commands: Commands, recipe: Recipe = RECIPE) -> Path:
    return reproduce(recipe, Path("map.nii.gz"), out, 2, commands)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_recipe_names_what_the_repository_has(name: str) -> None:
    recipe = Recipe.read(name)
    shipped = (module.ROOT / "models" / name / "README.md").read_text(encoding="utf-8")

    assert f"{recipe.map_name} (sha256" in shipped
    assert recipe.attribution in shipped
    assert {part.kind for part in recipe.pool} <= {"torso", *PAINTED_KINDS}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_weights_it_names_lie_in_the_history(name: str, tmp_path: Path) -> None:
    recipe = Recipe.read(name)
    named = [recipe.start, *recipe.mean_with]
    for one in named:
        known = subprocess.run(
            ["git", "cat-file", "-e", f"{one.revision}:{one.path}"],
            cwd=module.ROOT,
            capture_output=True,
            check=False,
        )
        if known.returncode:
            pytest.skip("a copy of the repository without its history")

    module._take_weights(recipe, tmp_path)

    taken = list(tmp_path.glob(f"{name}-*.safetensors"))
    assert len(taken) == len(named)
    assert min(path.stat().st_size for path in taken) > 10_000


@pytest.mark.parametrize("name", SHIPPED)
def test_it_is_made_with_the_programs_of_its_time(name: str, tmp_path: Path) -> None:
    recipe = Recipe.read(name)
    seen = ["git", "cat-file", "-e", f"{recipe.code}:{recipe.config}"]
    if subprocess.run(seen, cwd=module.ROOT, capture_output=True, check=False).returncode:
        pytest.skip("a copy of the repository without its history")

    code = take_code(recipe, tmp_path)

    asked = [sys.executable, "-m", "training", "reproduce", "--help"]
    told = subprocess.run(asked, cwd=code, capture_output=True, text=True, check=True)
    assert "the label map its recipe names" in told.stdout
    imported = "import training.reproduce as r; print(r.__file__)"
    place = subprocess.run(
        [sys.executable, "-c", imported], cwd=code, capture_output=True, text=True, check=True
    ).stdout
    assert Path(place.strip()).is_relative_to(code)
    assert (code / recipe.config).is_file()
    before = sorted(code.rglob("*.py"))
    assert take_code(recipe, tmp_path) == code
    assert sorted(code.rglob("*.py")) == before


def test_programs_that_the_history_lacks_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match=r"no 2{40} in this copy"):
        take_code(RECIPE, tmp_path)

    assert not list(tmp_path.rglob("*.py"))


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
    with pytest.raises(InferenceFailed, match=r"672 steps of organs from 0+ ended with 3"):
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


def test_a_mean_is_made_of_the_run_and_the_other_weights(out: Path) -> None:
    commands = Commands()

    assert made(out, commands, MEAN) == out / "mean" / CHECKPOINT_NAME

    last = stages_of(MEAN, Path("map.nii.gz"), out, 2)[-1].command
    others = [str(out / f"organs-other-{number}.safetensors") for number in (0, 1)]
    assert commands.ran[-1].split()[:2] == ["training", "average"]
    assert last[3:] == (
        "average",
        *others,
        str(out / "organs" / CHECKPOINT_NAME),
        "--out",
        str(out / "mean" / CHECKPOINT_NAME),
    )


@pytest.mark.parametrize(
    "changed",
    [
        replace(MEAN, steps=9),
        replace(MEAN, start=replace(THESE, revision="1" * 40)),
        replace(MEAN, mean_with=(THESE, replace(THESE, revision="1" * 40))),
    ],
)
def test_a_changed_recipe_makes_its_mean_anew(out: Path, changed: Recipe) -> None:
    made(out, Commands(), MEAN)
    again = Commands()

    made(out, again, changed)

    assert again.ran[-1].split()[1] == "average"


def test_other_weights_than_named_make_no_mean(out: Path) -> None:
    (out / "organs-other-1.safetensors").write_bytes(b"others")

    with pytest.raises(ConfigurationInvalid, match=r"organs-other-1\.safetensors with sha256"):
        made(out, Commands(), MEAN)
    assert made(out, Commands()) == out / "organs" / CHECKPOINT_NAME


def test_a_recipe_that_names_no_place_begins_with_what_was_shipped(tmp_path: Path) -> None:
    text = (module.RECIPES / "organs.toml").read_text(encoding="utf-8")
    without = "".join(line for line in text.splitlines(True) if not line.startswith("path ="))
    (tmp_path / "organs.toml").write_text(without, encoding="utf-8")
    (tmp_path / "alone.toml").write_text(
        without.replace("[[mean_with]]", "[[not_mean_with]]"), encoding="utf-8"
    )

    assert Recipe.read("organs", tmp_path).start.path == f"models/organs/{CHECKPOINT_NAME}"
    assert Recipe.read("organs").start.path == "training/recipes/organs-start.safetensors"
    assert len(Recipe.read("organs", tmp_path).mean_with) == 1
    assert Recipe.read("alone", tmp_path).mean_with == ()


def test_a_history_that_was_cut_off_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="its whole history"):
        module._take_weights(RECIPE, tmp_path)


def test_the_commands_can_be_read_without_running_any(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["reproduce", "organs", "--map", "no map", "--out", str(tmp_path / "out")]

    assert main([*call, "--dry-run"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert main(call) == 2

    shipped = Recipe.read("organs")
    stages = 1 + len(shipped.relatives_seeds) + len(shipped.pool) + 1 + bool(shipped.mean_with)
    assert len(shown) == stages
    assert "'no map'" in shown[0]
    assert not (tmp_path / "out").exists()
    assert "the label map s0327" in capsys.readouterr().err


def test_a_network_without_a_recipe_is_told_which_have_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["reproduce", "lungs", "--map", "a", "--out", "b"]) == 2

    assert "one of: organs" in capsys.readouterr().err
