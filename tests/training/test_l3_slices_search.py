"""The search for hyperparameters: within its ranges, by an inner part alone, and not lost at a kill."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (make test-training)")
pytest.importorskip("optuna")

import optuna

from inference.domain.errors import ConfigurationInvalid
from tests.training.conftest import CONFIGS
from tests.unit.training.data.tiny import write_totalsegmentator
from training.config import TrainConfig, load_config
from training.l3_slices.nested import inner_fold, paired_runs
from training.l3_slices.optimise import (
    FOLDER,
    Optimisation,
    finished,
    open_study,
    optimise,
)
from training.l3_slices.page import paired_difference, table
from training.l3_slices.space import read_space, with_values
from training.source import Source
from training.training_log import METRICS_NAME, read_metrics

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.torch
SPACE = CONFIGS / "paper" / "l3_slices_space.toml"
CONTROL = CONFIGS / "paper" / "l3_slices_space_control.toml"


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("cases")
    return Source(folder=write_totalsegmentator(folder, range(6)))


@pytest.fixture
def config() -> TrainConfig:
    return replace(
        load_config(CONFIGS / "small" / "l3_slices.toml"),
        input_shape=(48, 48),
        spacing_mm=(9.0, 9.0),
        network={"depth": 10, "width": 0.125},
        epochs=2,
        checkpoint_every_s=0.0,
    )


def search(config: TrainConfig, cases: Source, out: Path, trials: int) -> Optimisation:
    fold = inner_fold(cases, out, seed=1, validation_share=0.25)
    return Optimisation(
        config=config, space=read_space(SPACE), source=fold.source, out=out, trials=trials
    )


def test_the_published_ranges_are_searched_and_the_control_leaves_the_correction_out() -> None:
    space, control = read_space(SPACE), read_space(CONTROL)

    assert set(control.ranges) == set(space.ranges) - {
        "options.oversampling",
        "options.other_weight",
    }
    assert control.fixed == {"options.oversampling": 0.0, "options.other_weight": 1.0}
    ends = {name: (one.low, one.high, one.step) for name, one in space.ranges.items()}
    assert ends["weight_decay"] == ends["learning_rate"] == (1e-5, 1e-2, None)
    assert ends["batch_size"] == (16, 64, 16)
    assert ends["clip_norm"] == (1, 6, 1)
    assert ends["options.oversampling"][:2] == (0.0, 0.25)
    assert ends["options.other_weight"][:2] == (0.0, 1.0)
    assert space.ranges["clip_method"].choices == ("per-layer", "global")


def test_values_reach_the_configuration_and_wrong_ones_are_named(config: TrainConfig) -> None:
    chosen = with_values(config, {"clip_norm": 3, "options.oversampling": 0.2, "batch_size": 16})

    assert (chosen.clip_norm, chosen.batch_size) == (3.0, 16)
    assert chosen.options == {"oversampling": 0.2, "other_weight": 0.3}
    with pytest.raises(ConfigurationInvalid, match="batch_size 0"):
        with_values(config, {"batch_size": 0})


def test_what_is_reported_is_never_chosen_by(cases: Source, tmp_path: Path) -> None:
    from training.data.opened import open_data

    fold = inner_fold(cases, tmp_path, seed=1, validation_share=0.25)
    data = open_data(fold.source, seed=0, validation_share=0.2, wanted=())

    chosen_by = {case.name for case in (*data.training, *data.validation)}
    kept = {case.name for case in fold.kept_back}
    assert kept == {case.name for case in data.test}
    assert kept
    assert not kept & chosen_by
    assert len(chosen_by) + len(kept) == 6


def test_a_study_goes_on_until_it_has_its_trials(
    config: TrainConfig, cases: Source, tmp_path: Path
) -> None:
    optimise(search(config, cases, tmp_path, 1))
    study = optimise(search(config, cases, tmp_path, 2))

    assert finished(study) == 2
    first, second = study.trials
    assert first.params != second.params
    assert all(0.02 <= 1 / trial.value <= 1 for trial in study.trials)
    assert (tmp_path / "trial-001" / METRICS_NAME).is_file()


def test_a_killed_search_takes_up_the_very_trial_in_its_folder(
    cases: Source, tmp_path: Path
) -> None:
    config = CONFIGS / "small" / "l3_slices.toml"
    metrics = tmp_path / "trial-000" / METRICS_NAME
    command = [sys.executable, "-m", "training", "slices", "optimise", str(config)]
    command += ["--data", str(cases.folder), "--out", str(tmp_path), "--trials", "1"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not read_metrics(metrics) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
    before = read_metrics(metrics)
    killed = open_study(tmp_path, 0).trials[0]

    study = optimise(search(load_config(config), cases, tmp_path, 1))

    again = study.best_trial
    assert before
    assert killed.state == optuna.trial.TrialState.RUNNING
    assert again.params == killed.params
    assert again.user_attrs[FOLDER] == "trial-000"
    assert finished(study) == 1
    assert [trial.user_attrs[FOLDER] for trial in study.trials] == ["trial-000"] * 2


def test_two_calls_on_one_study_are_refused(
    config: TrainConfig, cases: Source, tmp_path: Path
) -> None:
    import fcntl

    order = search(config, cases, tmp_path, 1)
    with (tmp_path / "study.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigurationInvalid, match="another call at work"):
            optimise(order)


def test_runs_are_paired_by_seed_and_not_run_twice(
    config: TrainConfig, cases: Source, tmp_path: Path
) -> None:
    fold = inner_fold(cases, tmp_path, seed=1, validation_share=0.25)
    sets = {"with": {"options.oversampling": 0.2}, "without": {"options.oversampling": 0.0}}

    runs = paired_runs(config, fold, sets, (1, 2), tmp_path, "abc")
    began = time.monotonic()
    again = paired_runs(config, fold, sets, (1, 2), tmp_path, "abc")

    assert time.monotonic() - began < 5
    assert again == runs
    assert [(run.seed, run.name) for run in runs] == [
        (1, "with"), (1, "without"), (2, "with"), (2, "without"),
    ]  # fmt: skip
    assert table(runs).count("\n") == 6
    assert "seed by seed" in paired_difference(runs, "with", "without")
    other = {"with": {"options.oversampling": 0.1}}
    with pytest.raises(ConfigurationInvalid, match="a run of another configuration in with-seed-1"):
        paired_runs(config, fold, other, (1,), tmp_path, "abc")
