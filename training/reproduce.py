"""python -m training reproduce: the last run behind a shipped network again, from its label map to its checkpoint."""

from __future__ import annotations

import argparse
import io
import shlex
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.domain.errors import ConfigurationInvalid, InferenceFailed
from inference.domain.manifest import sha256_of
from training.origins import PAINTED_KINDS
from training.specification import CHECKPOINT_NAME

RECIPES = Path(__file__).parent / "recipes"
ROOT = Path(__file__).parents[1]
PROGRAMS = ("training", "inference")
"""What a run is made with; everything else is of today."""


def recipe_names(folder: Path = RECIPES) -> str:
    """Those of the networks that can be made again, in words."""
    return ", ".join(sorted(path.stem for path in folder.glob("*.toml")))


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPart:
    """Seeds in a row of one kind of example."""

    kind: str
    seed: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A checkpoint in the repository's history; it need not have been shipped."""

    revision: str
    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What the run behind a shipped network was made from; one file of training/recipes."""

    name: str
    code: str
    """The revision whose programs made it: what is painted today differs from what was painted then."""
    config: str
    map_name: str
    attribution: str
    relatives_each: int
    relatives_seeds: tuple[int, ...]
    pool: tuple[PoolPart, ...]
    start: Weights
    """What the run began with."""
    mean_with: tuple[Weights, ...]
    """Of earlier runs: the mean of all and this one is what is shipped; empty: this one alone."""
    epochs: int
    """Which the learning rate falls over."""
    steps: int
    """Of the state that is taken."""

    @classmethod
    def read(cls, name: str, folder: Path = RECIPES) -> Recipe:
        """Raises ConfigurationInvalid where there is none."""
        path = folder / f"{name}.toml"
        if not path.is_file():
            raise ConfigurationInvalid(
                found=f"no recipe for {name}",
                wanted=f"one of: {recipe_names(folder)}",
                advice="Name one of them.",
            )
        raw: Mapping[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return cls(
            name=name,
            code=raw["code"],
            config=raw["config"],
            map_name=raw["map"]["name"],
            attribution=raw["map"]["attribution"],
            relatives_each=raw["relatives"]["each"],
            relatives_seeds=tuple(raw["relatives"]["seeds"]),
            pool=tuple(PoolPart(**part) for part in raw["pool"]),
            start=_weights(raw["start"], name),
            mean_with=tuple(_weights(one, name) for one in raw.get("mean_with", ())),
            epochs=raw["train"]["epochs"],
            steps=raw["train"]["steps"],
        )


def _weights(raw: Mapping[str, Any], name: str) -> Weights:
    path = raw.get("path", f"models/{name}/{CHECKPOINT_NAME}")
    return Weights(revision=raw["revision"], path=path, sha256=raw["sha256"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A command, what it makes, and how to tell that it is made."""

    makes: str
    command: tuple[str, ...]
    done: Path
    """A file that is there once the stage has ended well."""
    fills: Path | None = None
    """A folder that is right only when it was filled without a break: a pool goes on after its last seed, a run counts the steps of a call."""


def stages_of(recipe: Recipe, label_map: Path, out: Path, workers: int) -> list[Stage]:
    """In their order; the checkpoint to begin with is asked of git in between, see `reproduce`."""
    run_made = f"{recipe.steps} steps of {recipe.name} from {recipe.start.revision}"
    template = out / "templates" / f"{recipe.map_name}.npz"
    relatives, pool, run = out / "relatives", out / "pool", out / recipe.name
    painted = [template] + [
        relatives / f"{recipe.map_name}-{seed}-{number:02d}.npz"
        for seed in recipe.relatives_seeds
        for number in range(recipe.relatives_each)
    ]
    stages = [
        _stage(
            out,
            f"template of {recipe.map_name}",
            *("training.templates", "build", str(label_map), "--out", str(template)),
            *("--attribution", recipe.attribution),
        )
    ]
    for seed in recipe.relatives_seeds:
        asked = ("--count", str(recipe.relatives_each), "--seed", str(seed))
        stages.append(
            _stage(
                out,
                f"relatives from seed {seed}",
                *("training.templates", "relatives", f"--template={template}", *asked),
                *("--out", str(relatives)),
            )
        )
    for part in recipe.pool:
        size = ("--count", str(part.count), "--seed", str(part.seed), "--workers", str(workers))
        seen = [f"--template={path}" for path in painted] if part.kind in PAINTED_KINDS else []
        stages.append(
            _stage(
                out,
                f"{part.count} of {part.kind} from seed {part.seed}",
                *("training", "pool", "--kind", part.kind, *size, "--out", str(pool), *seen),
                fills=pool,
            )
        )
    stages.append(
        _stage(
            out,
            run_made,
            *("training", "train", recipe.config, "--pool", str(pool), "--out", str(run)),
            *("--start-from", str(_start(recipe, out)), "--epochs", str(recipe.epochs)),
            *("--max-steps", str(recipe.steps)),
            fills=run,
        )
    )
    if recipe.mean_with:
        made = made_by(recipe, out)
        others = [str(_other(recipe, out, number)) for number in range(len(recipe.mean_with))]
        revisions = " and ".join(one.revision for one in recipe.mean_with)
        stages.append(
            _stage(
                out,
                f"mean of {run_made} with {revisions}",
                *("training", "average", *others, str(run / CHECKPOINT_NAME), "--out", str(made)),
                fills=made.parent,
            )
        )
    return stages


def made_by(recipe: Recipe, out: Path) -> Path:
    """The checkpoint that the last stage leaves."""
    return out / ("mean" if recipe.mean_with else recipe.name) / CHECKPOINT_NAME


def reproduce(
    recipe: Recipe,
    label_map: Path,
    out: Path,
    workers: int,
    run: Callable[[Sequence[str]], int],
) -> Path:
    """Every stage that is not done yet; the checkpoint. Raises InferenceFailed where one fails."""
    _take_weights(recipe, out)
    stages = stages_of(recipe, label_map, out, workers)
    _empty_what_was_left_half(stages)
    for number, stage in enumerate(stages, start=1):
        is_done = stage.done.is_file()
        sys.stdout.write(
            f"[{number}/{len(stages)}] {stage.makes}{': done before' if is_done else ''}\n"
        )
        sys.stdout.flush()
        if is_done:
            continue
        status = run(stage.command)
        if status:
            raise InferenceFailed(
                found=f"{stage.makes} ended with {status}",
                wanted="a stage that ends well",
                advice="Its message stands above; the same call goes on with this stage.",
            )
        stage.done.write_text(f"{shlex.join(stage.command)}\n", encoding="utf-8")
    return made_by(recipe, out)


def _stage(out: Path, makes: str, *arguments: str, fills: Path | None = None) -> Stage:
    done = out / "done" / f"{makes.replace(' ', '-')}.txt"
    command = (sys.executable, "-m", *arguments)
    return Stage(makes=makes, command=command, done=done, fills=fills)


def _empty_what_was_left_half(stages: Sequence[Stage]) -> None:
    for folder in {stage.fills for stage in stages if stage.fills}:
        filling = [stage for stage in stages if stage.fills == folder]
        if all(stage.done.is_file() for stage in filling):
            continue
        for stage in filling:
            stage.done.unlink(missing_ok=True)
        if folder.is_dir():
            shutil.rmtree(folder)


def _start(recipe: Recipe, out: Path) -> Path:
    return out / f"{recipe.name}-start.safetensors"


def _other(recipe: Recipe, out: Path, number: int) -> Path:
    return out / f"{recipe.name}-other-{number}.safetensors"


def _take_weights(recipe: Recipe, out: Path) -> None:
    """Earlier checkpoints out of the repository's history."""
    (out / "done").mkdir(parents=True, exist_ok=True)
    _take(recipe.start, _start(recipe, out))
    for number, weights in enumerate(recipe.mean_with):
        _take(weights, _other(recipe, out, number))


def take_code(recipe: Recipe, out: Path) -> Path:
    """The programs of the recipe's revision, out of the repository's history."""
    folder = out / "code" / recipe.code
    if not folder.is_dir():
        packed = _from_history(("archive", recipe.code, *PROGRAMS), recipe.code, folder)
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(partial, filter="data")
        partial.rename(folder)
    return folder


def _from_history(asking: Sequence[str], wanted: str, path: Path) -> bytes:
    try:
        asked = subprocess.run(["git", *asking], cwd=ROOT, capture_output=True, check=False)
    except FileNotFoundError:
        asked = None
    if asked is None or asked.returncode:
        raise ConfigurationInvalid(
            found=f"no {wanted} in this copy of the repository",
            wanted="its whole history, and git",
            advice=f"Clone it without --depth, or put that to {path}.",
        )
    return asked.stdout


def _take(weights: Weights, path: Path) -> None:
    if not path.is_file():
        place = f"{weights.revision}:{weights.path}"
        path.write_bytes(_from_history(("show", place), place, path))
    if sha256_of(path) != weights.sha256:
        raise ConfigurationInvalid(
            found=f"{path.name} with sha256 {sha256_of(path)[:16]}",
            wanted=f"sha256 {weights.sha256[:16]}",
            advice="Delete the file; it is taken from the history again.",
        )


def add_reproduce_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Below `python -m training`."""
    parser = commands.add_parser("reproduce", help="the last run behind a shipped network again")
    parser.add_argument("name", help=f"one of: {recipe_names()}")
    parser.add_argument("--map", type=Path, required=True, help="the label map its recipe names")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2, help="processes that make examples")
    parser.add_argument("--dry-run", action="store_true", help="show the commands, run none")


def run_reproduce(options: argparse.Namespace) -> None:
    """Make it, and say whether the weights are those that are shipped."""
    recipe = Recipe.read(options.name)
    if options.dry_run:
        for stage in stages_of(recipe, options.map, options.out, options.workers):
            sys.stdout.write(f"{shlex.join(stage.command)}\n")
        return
    if not options.map.exists():
        raise ConfigurationInvalid(
            found=f"no {options.map.name}",
            wanted=f"the label map {recipe.map_name} ({recipe.attribution})",
            advice="Check the path.",
        )
    out = options.out.resolve()
    code = take_code(recipe, out)
    made = reproduce(
        recipe,
        options.map.resolve(),
        out,
        options.workers,
        lambda command: subprocess.run(command, cwd=code, check=False).returncode,
    )
    shipped = ROOT / "models" / recipe.name / CHECKPOINT_NAME
    apart = farthest_apart(made, shipped)
    sys.stdout.write(f"{made}: no weight is farther than {apart:.2g} from the shipped one\n")


def farthest_apart(one: Path, other: Path) -> float:
    """The largest difference of a weight; infinite where the networks are not the same. Needs the training environment."""
    import numpy as np
    from safetensors.numpy import load_file

    ours, theirs = load_file(one), load_file(other)
    if {k: v.shape for k, v in ours.items()} != {k: v.shape for k, v in theirs.items()}:
        return float("inf")
    return max(float(np.abs(ours[name] - theirs[name]).max()) for name in ours)
