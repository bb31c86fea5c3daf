"""Pages of trainings and of all published systems: whole in one file, honest about what did not run."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (make test-training)")
pytest.importorskip("markdown")

from inference.domain.errors import ConfigurationInvalid, InferenceFailed, UnreadableInput
from tests.training.conftest import CONFIGS
from training.config import TrainConfig
from training.loop import Run, train
from training.reports.papers import NOTE, read_plan, run_plan
from training.reports.run_report import write_report
from training.source import Source

pytestmark = pytest.mark.torch
PLAN = """
[files]
"a.json" = "[1]"

[[step]]
system = "first"
says = "copies a table"
run = ["json.tool", "{out}/a.json", "{out}/b.md"]
leaves = "{out}/b.md"

[[system]]
name = "first"
title = "A system"
published = "0.9"
tables = ["{out}/b.md", "{out}/never.md"]
"""


def plan_in(folder: Path, text: str = PLAN) -> Path:
    path = folder / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_run_has_a_page_of_its_own(
    tiny_configs: dict[str, TrainConfig], box_pool: Path, tmp_path: Path
) -> None:
    train(tiny_configs["l3-tissue"], Run(source=Source(folder=box_pool), out=tmp_path, max_steps=3))

    write_report(tmp_path, tmp_path / "report.html")

    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "data:image/png;base64," in page
    assert "dice_skeletal_muscle" in page
    assert "Synthetic CT only" in page
    assert "http" not in page.replace("https://creativecommons", "")


def test_a_folder_without_a_training_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match=r"no metrics\.jsonl"):
        write_report(tmp_path, tmp_path / "report.html")


def test_steps_run_once_and_what_did_not_run_is_said(tmp_path: Path) -> None:
    plan = read_plan(plan_in(tmp_path), tmp_path / "out")

    first = run_plan(plan).read_text(encoding="utf-8")
    made = (tmp_path / "out" / "b.md").stat().st_mtime_ns
    run_plan(plan)

    assert (tmp_path / "out" / "b.md").stat().st_mtime_ns == made
    assert "Not run here: never.md." in first
    assert NOTE[:40] in first
    assert list(json.loads((tmp_path / "out" / "times.json").read_text())) == [
        "first: copies a table"
    ]


def test_what_needs_all_systems_waits_for_them(tmp_path: Path) -> None:
    step = '[[step]]\nsystem = "{0}"\nsays = "copies"\nrun = ["json.tool", "{{out}}/{1}", "{{out}}/{2}"]\nleaves = "{{out}}/{2}"\n'
    text = '[files]\n"a" = "[1]"\n' + "".join(
        step.format(*words)
        for words in (
            ("together", "c", "d"),
            ("one", "b", "c"),
            ("two", "b", "e"),
            ("data", "a", "b"),
        )
    )
    text += '[[system]]\nname = "one"\ntitle = "One"\npublished = ""\n'
    plan = read_plan(plan_in(tmp_path, text), tmp_path / "out")

    run_plan(plan, at_once=2)

    assert all((tmp_path / "out" / name).is_file() for name in "abcde")


def test_a_step_that_fails_ends_the_call_and_names_its_log(tmp_path: Path) -> None:
    text = PLAN.replace('"{out}/a.json"', '"{out}/nothing.json"')
    plan = read_plan(plan_in(tmp_path, text), tmp_path / "out")

    with pytest.raises(InferenceFailed, match=r"b\.md-first\.log"):
        run_plan(plan)


def test_a_plan_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="no plan in"):
        read_plan(plan_in(tmp_path, "[[step]]\nsystem = 'x'\n"), tmp_path)


@pytest.mark.parametrize("path", sorted((CONFIGS / "small").glob("papers*.toml")))
def test_shipped_plans_name_files_that_their_own_steps_leave(path: Path, tmp_path: Path) -> None:
    plan = read_plan(path, tmp_path)

    systems = {one.name for one in plan.systems}
    assert {step.system for step in plan.steps} <= systems | {"data", "together"}
    left = {step.leaves for step in plan.steps}
    assert {report for one in plan.systems for report in one.reports} <= left
    for step in plan.steps:
        for word in step.run:
            if word.endswith(".toml") and str(tmp_path) not in word:
                assert Path(word).is_file(), word
