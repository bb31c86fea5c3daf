"""Nested splits and paired runs: what is chosen is chosen by an inner part, what is reported was never chosen by."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import optuna

from inference.domain.errors import ConfigurationInvalid
from training.checkpoint import load_checkpoint
from training.config import TrainConfig
from training.data.cases import LabelledCase
from training.data.layouts.registry import find_cases, guessed_layout, layout_named
from training.data.splits import TEST, TRAIN, VALIDATION, Split, hold_out, read_split, write_split
from training.l3_slices.evaluate import (
    CaseResult,
    evaluate_checkpoint,
    read_results,
    write_results,
)
from training.l3_slices.space import with_values
from training.loop import Run, train
from training.source import Source
from training.specification import CHECKPOINT_NAME
from training.tasks.l3_slices import SliceTask, slice_cases
from training.training_log import METRICS_NAME, read_metrics

INNER_NAME = "inner-split.json"
RESULTS_NAME = "results.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One outer fold: what is trained and chosen with, and what is reported."""

    source: Source
    """With the inner split."""
    kept_back: tuple[LabelledCase, ...]
    """Nothing is chosen by these."""


def inner_fold(source: Source, out: Path, *, seed: int, validation_share: float) -> Fold:
    """The outer training part split again, by patient; written beside the runs, and the same at every call."""
    layout = layout_named(source.layout) if source.layout else guessed_layout(source.folder)
    cases = find_cases(source.folder, layout).cases
    outer = _outer(source, cases, seed)
    kept = set(outer.validation(source.fold)) | set(outer.test)
    others = [case for case in cases if case.name not in kept]
    inner = hold_out(others, seed=seed, validation_share=validation_share)
    parts = {TRAIN: inner.parts[TRAIN], VALIDATION: inner.parts[VALIDATION]}
    path = out / INNER_NAME
    write_split(Split(seed=seed, parts=parts | {TEST: tuple(sorted(kept))}), cases, path)
    reported = set(outer.validation(source.fold))
    return Fold(
        source=replace(source, layout=layout.name, split=path, fold=None),
        kept_back=tuple(case for case in cases if case.name in reported),
    )


def _outer(source: Source, cases: Sequence[LabelledCase], seed: int) -> Split:
    if source.split is not None:
        return read_split(source.split)
    return hold_out(cases, seed=seed, validation_share=0.25)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedRun:
    """One seed, one set of values."""

    seed: int
    name: str
    values: dict[str, Any]
    results: tuple[CaseResult, ...]
    per_epoch: tuple[dict[str, float], ...]
    """Scores on the inner validation part, epoch by epoch."""


def best_values(study: optuna.Study, fixed: dict[str, Any]) -> dict[str, Any]:
    """Of the best finished trial; raises ConfigurationInvalid where none is finished."""
    if not study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)):
        raise ConfigurationInvalid(
            found="a study without a finished trial",
            wanted="one at least",
            advice="python -m training slices optimise goes on with it.",
        )
    return {**study.best_params, **fixed}


def paired_runs(
    config: TrainConfig,
    fold: Fold,
    sets: dict[str, dict[str, Any]],
    seeds: Sequence[int],
    out: Path,
    code_revision: str,
) -> list[PairedRun]:
    """Every set of values once per seed, on the same cases; finished runs are read, not run again."""
    cases = slice_cases(config, fold.source)
    runs = []
    for seed in seeds:
        for name, values in sets.items():
            place = out / f"{name}-seed-{seed}"
            chosen = replace(with_values(config, values), seed=seed)
            _require_same(chosen, place)
            if not (place / RESULTS_NAME).is_file():
                run = Run(source=fold.source, out=place, resume=True, code_revision=code_revision)
                train(chosen, run, partial(SliceTask, cases=cases))
                found = evaluate_checkpoint(place / CHECKPOINT_NAME, fold.kept_back)
                write_results(found, place / RESULTS_NAME)
            runs.append(_read_run(place, name, seed, values))
    return runs


def _require_same(chosen: TrainConfig, place: Path) -> None:
    """A run of other values must not be reported, or gone on with, under the values of today."""
    checkpoint = place / CHECKPOINT_NAME
    if checkpoint.is_file() and load_checkpoint(checkpoint).config != chosen:
        raise ConfigurationInvalid(
            found=f"a run of another configuration in {place.name}",
            wanted="none, or one of the same values",
            advice="Name another --out, or move the old runs away.",
        )


def _read_run(place: Path, name: str, seed: int, values: dict[str, Any]) -> PairedRun:
    scored = [row for row in read_metrics(place / METRICS_NAME) if "validation" in row]
    return PairedRun(
        seed=seed,
        name=name,
        values=values,
        results=tuple(read_results(place / RESULTS_NAME)),
        per_epoch=tuple({"epoch": row["epoch"], **row["validation"]} for row in scored),
    )


def write_runs(runs: Sequence[PairedRun], path: Path) -> None:
    """What the page is made from."""
    path.write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n", encoding="utf-8")
