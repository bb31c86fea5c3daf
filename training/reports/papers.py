"""All published systems, one after the other, by the very commands a researcher types, and one page of what came out."""

import json
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.domain.errors import ConfigurationInvalid, HabitusError, InferenceFailed
from inference.engine.model_store import SHIPPED_MODELS
from training.reports.page import Picture, Section, page

ROOT = Path(__file__).parents[2]
TIMES_NAME = "times.json"
PAGE_NAME = "papers.html"
GATE_MISSED = 1
FIRST, LAST = "data", "together"
"""Systems of a plan that all others wait for, and that waits for all others."""
NOTE = (
    "Synthetic CT: torsos made by code, no patient's images. These figures show that every system trains, is evaluated and "
    "reaches the node; they say nothing about patients, and stand beside the published ones in form only."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command; done when its file is there."""

    system: str
    says: str
    run: tuple[str, ...]
    leaves: Path
    may_miss_its_gate: bool = False
    """Exit status 1 says that a gate is missed: that is a result."""

    def command(self) -> list[str]:
        """As it is started: habitus itself, or a module of the training environment."""
        if self.run[0] == "habitus":
            return [sys.executable, str(ROOT / "habitus.py"), *self.run[1:]]
        return [sys.executable, "-m", *self.run]


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One published system on the page."""

    name: str
    title: str
    published: str
    tables: tuple[Path, ...]
    pictures: tuple[tuple[Path, str], ...]
    reports: tuple[Path, ...]
    """report.json of the node for a result made with the exported network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A file of training/configs/small/papers*.toml, with its folder filled in."""

    out: Path
    steps: tuple[Step, ...]
    systems: tuple[System, ...]
    files: Mapping[Path, str]
    """Small ones that steps read: orders for synthetic CT, profiles."""


def read_plan(path: Path, out: Path) -> Plan:
    """Raises ConfigurationInvalid."""

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("{out}", str(out)).replace("{configs}", str(path.parent.parent))
        if isinstance(value, list):
            return [filled(one) for one in value]
        if isinstance(value, dict):
            return {name: filled(one) for name, one in value.items()}
        return value

    try:
        raw = filled(tomllib.loads(path.read_text(encoding="utf-8")))
        return Plan(
            out=out,
            steps=tuple(
                Step(**{**one, "run": tuple(one["run"]), "leaves": Path(one["leaves"])})
                for one in raw["step"]
            ),
            systems=tuple(_system(one) for one in raw["system"]),
            files={out / name: text for name, text in raw.get("files", {}).items()},
        )
    except (OSError, KeyError, TypeError, ValueError) as problem:
        raise ConfigurationInvalid(
            found=f"no plan in {path.name}",
            wanted="steps and systems, as in training/configs/small/papers.toml",
            advice=f"{type(problem).__name__}: {problem}"[:200],
        ) from problem


def _system(raw: Mapping[str, Any]) -> System:
    return System(
        name=raw["name"],
        title=raw["title"],
        published=raw["published"],
        tables=tuple(Path(one) for one in raw.get("tables", ())),
        pictures=tuple((Path(path), caption) for path, caption in raw.get("pictures", ())),
        reports=tuple(Path(one) for one in raw.get("reports", ())),
    )


def run_plan(plan: Plan, systems: Sequence[str] = (), at_once: int = 1) -> Path:
    """Data, then the systems beside each other, then what needs all of them; steps that are done are left out.

    Raises InferenceFailed where a step fails; other systems end the step they are at.
    """
    plan.out.mkdir(parents=True, exist_ok=True)
    for path, text in plan.files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    _link_models(plan.out / "models")
    log = _Progress(plan, [s for s in plan.steps if not systems or s.system in (FIRST, *systems)])
    log.run(FIRST)
    names = dict.fromkeys(one.system for one in log.steps)
    with ThreadPoolExecutor(at_once) as workers:
        running = [workers.submit(log.run, name) for name in names if name not in (FIRST, LAST)]
        for done in running:
            done.result()
    log.run(LAST)
    return write_page(plan)


class _Progress:
    """Which step is at work and what each took; several threads tell it."""

    def __init__(self, plan: Plan, steps: Sequence[Step]) -> None:
        self.steps = steps
        self._out = plan.out
        self._times = _read_times(plan.out)
        self._lock = threading.Lock()
        self._has_failed = False

    def run(self, system: str) -> None:
        """The steps of one system, one after the other."""
        for step in self.steps:
            if step.system != system or step.leaves.exists() or self._has_failed:
                continue
            number = self.steps.index(step) + 1
            sys.stderr.write(f"[{number}/{len(self.steps)}] {system}: {step.says}\n")
            try:
                seconds = _run(step, self._out)
            except HabitusError:
                self._has_failed = True
                raise
            with self._lock:
                self._times[f"{system}: {step.says}"] = round(seconds, 1)
                text = json.dumps(self._times, indent=1)
                (self._out / TIMES_NAME).write_text(text, encoding="utf-8")


def _run(step: Step, out: Path) -> float:
    """Seconds it took; what it says goes to a file, the end of it to an error."""
    log = out / "logs" / f"{step.leaves.name}-{step.system}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with log.open("a", encoding="utf-8") as file:
        done = subprocess.run(step.command(), cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    well = (0, GATE_MISSED) if step.may_miss_its_gate else (0,)
    if done.returncode not in well or not step.leaves.exists():
        end = log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]
        sys.stderr.write("\n".join(end) + "\n")
        raise InferenceFailed(
            found=f"{' '.join(step.run[:4])} … ended with {done.returncode}",
            wanted=step.leaves.name,
            advice=f"Its last lines stand above, all of them in {log.name}. What is done stays done.",
        )
    return time.monotonic() - began


def _link_models(folder: Path) -> None:
    """The shipped models beside those that the plan exports."""
    folder.mkdir(parents=True, exist_ok=True)
    for model in SHIPPED_MODELS.iterdir():
        place = folder / model.name
        if model.is_dir() and not place.exists():
            place.symlink_to(model)


def _read_times(out: Path) -> dict[str, float]:
    path = out / TIMES_NAME
    times: dict[str, float] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return times


def write_page(plan: Plan) -> Path:
    """Of whatever is there; a system that did not run says so."""
    times = _read_times(plan.out)
    sections = [_section(one, times) for one in plan.systems]
    total = sum(times.values())
    rows = "\n".join(f"| {name} | {seconds:.0f} |" for name, seconds in times.items())
    sections.append(
        Section(
            title="Time",
            text=f"| step | s |\n|---|---:|\n{rows}\n| **all, one after the other** | **{total:.0f}** |",
        )
    )
    path = plan.out / PAGE_NAME
    path.write_text(page("Five published systems", NOTE, sections), encoding="utf-8")
    return path


def _section(system: System, times: Mapping[str, float]) -> Section:
    there = [path for path in system.tables if path.is_file()]
    missing = [path.name for path in system.tables if not path.is_file()]
    parts = [f"*Published:* {system.published}"]
    parts += [path.read_text(encoding="utf-8") for path in there]
    if missing:
        parts.append(f"**Not run here: {', '.join(missing)}.**")
    parts += _node_results(system.reports)
    spent = sum(s for name, s in times.items() if name.startswith(f"{system.name}:"))
    parts.append(f"{spent:.0f} s for this system.")
    pictures = [Picture(path=p, caption=c) for p, c in system.pictures if p.is_file()]
    return Section(title=system.title, text="\n\n".join(parts), pictures=pictures)


def _node_results(reports: Sequence[Path]) -> Iterator[str]:
    """What the node made of a synthetic CT with the exported network."""
    for path in reports:
        if not path.is_file():
            continue
        report = json.loads(path.read_text(encoding="utf-8"))
        models = ", ".join(f"{one['name']} {one['version']}" for one in report["models"])
        level = report.get("level") or {}
        organs = report.get("organs") or ()
        yield (
            f"In the node's own pipeline (`{path.parent.name}`): models {models}; "
            f"level {report.get('level_outcome')} at z {level.get('z_mm', 'none')} mm; "
            f"{len(report.get('tissues') or ())} tissues, {len(organs)} organs."
        )
