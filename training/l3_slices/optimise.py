"""Bayesian optimisation of a slice network: a study in SQLite, trials that go on where they were killed, inner split only."""

import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import optuna

from inference.domain.errors import ConfigurationInvalid, InferenceFailed
from training.config import TrainConfig
from training.l3_slices.space import SearchSpace
from training.loop import Run, train
from training.source import Source
from training.tasks.l3_slices import SliceStack, SliceTask, slice_cases
from training.tasks.labelled import LabelledExamples
from training.workers import worker_pool

STUDY_NAME = "l3-slices"
DATABASE_NAME = "study.sqlite3"
LOCK_NAME = "study.lock"
LEAST_F1 = 0.02
"""1/F1 ends at 50 where F1 is 0: a surrogate can use no infinite value, and a huge one would hide all others."""
FOLDER = "folder"
"""User attribute of a trial: the run it goes on from."""
RANDOM_TRIALS = 4
"""Before the Gaussian process has anything to go by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimisation:
    """One call."""

    config: TrainConfig
    space: SearchSpace
    source: Source
    """Split into an inner training and validation part: no test case is ever in it."""
    out: Path
    trials: int
    """Finished ones in the study when the call ends, those of earlier calls included."""
    workers: int = 1
    code_revision: str = "unknown"


def optimise(order: Optimisation) -> optuna.Study:
    """Until the study has all its trials; raises ConfigurationInvalid while another call works on it."""
    with _only_call(order.out):
        study = open_study(order.out, order.config.seed)
        _take_up_killed(study)
        if order.workers == 1:
            run_trials(order, 0)
        else:
            with worker_pool(order.workers, "spawn") as pool:
                for done in [pool.submit(run_trials, order, n) for n in range(order.workers)]:
                    done.result()
    return study


def run_trials(order: Optimisation, worker: int) -> None:
    """One worker's part: trials until enough are finished or being worked at."""
    cases = slice_cases(order.config, order.source)
    while True:
        study = open_study(order.out, order.config.seed + 100 * worker)
        if finished(study) + running(study) >= order.trials:
            return
        # One at a time: another worker may have taken the last one meanwhile.
        study.optimize(lambda trial: _objective(trial, order, cases), n_trials=1)


def open_study(out: Path, seed: int) -> optuna.Study:
    """The study of a folder, made where there is none."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    out.mkdir(parents=True, exist_ok=True)
    storage = optuna.storages.RDBStorage(
        f"sqlite:///{out / DATABASE_NAME}", engine_kwargs={"connect_args": {"timeout": 60}}
    )
    study = optuna.create_study(
        storage=storage, study_name=STUDY_NAME, direction="minimize", load_if_exists=True
    )
    # A sampler of the same seed would draw the first trials again: it moves on with the study.
    study.sampler = optuna.samplers.GPSampler(
        seed=seed + 1000 * len(study.trials), n_startup_trials=RANDOM_TRIALS
    )
    return study


def finished(study: optuna.Study) -> int:
    """Trials with a value."""
    return len(study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)))


def running(study: optuna.Study) -> int:
    """Trials that some worker is at."""
    return len(study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)))


def _take_up_killed(study: optuna.Study) -> None:
    """A trial that a kill left unfinished is queued again with its values and its folder."""
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        folder = trial.user_attrs.get(FOLDER, f"trial-{trial.number:03d}")
        study.enqueue_trial(trial.params, user_attrs={FOLDER: folder})
        sys.stderr.write(f"trial {trial.number} was killed: it goes on in {folder}\n")


def _objective(
    trial: optuna.trial.Trial, order: Optimisation, cases: LabelledExamples[SliceStack]
) -> float:
    folder = trial.user_attrs.get(FOLDER, f"trial-{trial.number:03d}")
    trial.set_user_attr(FOLDER, folder)
    config = order.space.configured(order.config, trial)
    out = order.out / folder
    run = Run(source=order.source, out=out, resume=True, code_revision=order.code_revision)
    try:
        scores = dict(train(config, run, partial(SliceTask, cases=cases)).metrics)
    except InferenceFailed as error:
        # A learning rate that lets the loss explode is an answer, too: the worst one.
        sys.stderr.write(f"trial {trial.number}: {error}\n")
        scores = {"f1": 0.0}
    for name, value in scores.items():
        trial.set_user_attr(name, value)
    value = 1 / max(scores["f1"], LEAST_F1)
    sys.stderr.write(f"trial {trial.number}: F1 {scores['f1']:.3f}, objective {value:.3f}\n")
    return value


@contextmanager
def _only_call(out: Path) -> Iterator[None]:
    """Trials that run belong to this call, so that those of a killed one can be told."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / LOCK_NAME).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            raise ConfigurationInvalid(
                found=f"another call at work in {out.name}",
                wanted="one call per study; it takes --workers",
                advice="Wait for it, or name another --out.",
            ) from problem
        yield
