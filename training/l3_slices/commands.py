"""python -m training slices: optimise | paired | evaluate."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from training.revision import code_revision
from training.source import Source

if TYPE_CHECKING:
    from training.config import TrainConfig

CONFIGS = Path(__file__).parents[1] / "configs"
EXAMPLES = """examples:
  python -m training data split /data/ours --folds 5 --out runs/split.json
  python -m training slices optimise training/configs/paper/l3_slices.toml --data /data/ours --split runs/split.json --fold 0 \\
      --space training/configs/paper/l3_slices_space.toml --trials 60 --workers 2 --out runs/slices-0/with
  python -m training slices optimise training/configs/paper/l3_slices.toml --data /data/ours --split runs/split.json --fold 0 \\
      --space training/configs/paper/l3_slices_space_control.toml --trials 60 --out runs/slices-0/without
  python -m training slices paired training/configs/paper/l3_slices.toml --data /data/ours --split runs/split.json --fold 0 \\
      --with runs/slices-0/with --without runs/slices-0/without --seeds 1,2,3 --out runs/slices-0
  python -m training slices evaluate runs/slices/checkpoint.safetensors --data /data/ours --split runs/split.json --fold 0 --out fold0.json

A fold's own cases are never chosen by: trials are scored on an inner part of the other folds. Without --split a quarter of the
patients takes the fold's place. Optimisation and paired runs go on where they were stopped or killed.
"""
WITH, WITHOUT = "with correction", "hyperparameters alone"


def add_slices_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Below `python -m training`."""
    slices = commands.add_parser(
        "slices",
        help="L3 slice by slice: Bayesian optimisation, paired runs, evaluation",
        description="L3 slice detection with optimised correction of the imbalance.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = slices.add_subparsers(dest="step", required=True)
    optimise = steps.add_parser("optimise", help="search hyperparameters and correction parameters")
    optimise.add_argument("config", type=Path)
    _add_data(optimise)
    optimise.add_argument("--space", type=Path, default=CONFIGS / "paper" / "l3_slices_space.toml")
    optimise.add_argument("--trials", type=int, default=60, help="finished ones in the study")
    optimise.add_argument("--out", type=Path, required=True, help="folder of study and trials")
    optimise.add_argument("--leave", type=Path, help="a file to write when all trials are done")
    optimise.add_argument("--epochs", type=int, help="in place of the configuration's")
    paired = steps.add_parser("paired", help="the best of two studies, seed by seed")
    paired.add_argument("config", type=Path)
    _add_data(paired)
    paired.add_argument("--with", dest="corrected", type=Path, required=True, metavar="STUDY")
    paired.add_argument("--without", dest="control", type=Path, required=True, metavar="STUDY")
    paired.add_argument("--seeds", default="1,2,3")
    paired.add_argument(
        "--note", default="", help="a sentence for page and figures, such as what data these are"
    )
    paired.add_argument("--epochs", type=int, help="in place of the configuration's")
    paired.add_argument("--out", type=Path, required=True, help="folder of runs, page and figures")
    evaluate = steps.add_parser("evaluate", help="slice errors of a checkpoint")
    evaluate.add_argument("checkpoint", type=Path)
    _add_data(evaluate)
    evaluate.add_argument("--out", type=Path, required=True, help="JSON; a picture lies beside it")


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--layout", help="guessed where not named")
    parser.add_argument("--split", type=Path, help="of python -m training data split")
    parser.add_argument("--fold", type=int)
    parser.add_argument("--workers", type=int, default=1, help="processes")


def run_slices(options: argparse.Namespace) -> int:
    """One of the steps."""
    {"optimise": _optimise, "paired": _paired, "evaluate": _evaluate}[options.step](options)
    return 0


def _optimise(options: argparse.Namespace) -> None:
    from training.l3_slices.nested import inner_fold
    from training.l3_slices.optimise import Optimisation, finished, optimise
    from training.l3_slices.space import read_space

    config = _config(options)
    fold = inner_fold(
        _source(options),
        options.out,
        seed=config.seed,
        validation_share=config.validation_share,
    )
    study = optimise(
        Optimisation(
            config=config,
            space=read_space(options.space),
            source=fold.source,
            out=options.out,
            trials=options.trials,
            workers=options.workers,
            code_revision=code_revision(),
        )
    )
    best = study.best_trial
    values = ", ".join(f"{name} {value}" for name, value in best.params.items())
    told = f"{finished(study)} trials; best: trial {best.number}, F1 {1 / best.values[0]:.3f}: {values}\n"
    if options.leave:
        options.leave.write_text(told, encoding="utf-8")
    sys.stdout.write(told)


def _paired(options: argparse.Namespace) -> None:
    from training.l3_slices.figures import epochs, scatter
    from training.l3_slices.nested import best_values, inner_fold, paired_runs, write_runs
    from training.l3_slices.optimise import open_study
    from training.l3_slices.page import paired_difference, table, values_table
    from training.l3_slices.space import read_space

    config = _config(options)
    fold = inner_fold(
        _source(options),
        options.out,
        seed=config.seed,
        validation_share=config.validation_share,
    )
    control = read_space(CONFIGS / "paper" / "l3_slices_space_control.toml")
    sets = {
        WITH: best_values(open_study(options.corrected, 0), {}),
        WITHOUT: best_values(open_study(options.control, 0), dict(control.fixed)),
    }
    seeds = [int(seed) for seed in options.seeds.split(",")]
    runs = paired_runs(config, fold, sets, seeds, options.out, code_revision())
    write_runs(runs, options.out / "runs.json")
    note = f"{len(fold.kept_back)} cases that nothing was chosen by"
    if options.note:
        note = f"{options.note}; {note}"
    by_name = {name: [run for run in runs if run.name == name] for name in sets}
    scatter(
        {name: [one for run in some for one in run.results] for name, some in by_name.items()},
        options.out / "scatter.png",
        note,
    )
    epochs(
        {name: [run.per_epoch for run in some] for name, some in by_name.items()},
        options.out / "epochs.png",
        note,
    )
    page = f"{note}.\n\n{table(runs)}\n{paired_difference(runs, WITH, WITHOUT)}\n\n{values_table(sets)}"
    (options.out / "paired.md").write_text(page, encoding="utf-8")
    sys.stdout.write(page)


def _evaluate(options: argparse.Namespace) -> None:
    from training.data.opened import open_data
    from training.l3_slices.evaluate import errors_of, evaluate_checkpoint, write_results
    from training.l3_slices.figures import scatter
    from training.label_names import L3

    data = open_data(_source(options), seed=0, validation_share=0.2, wanted=(L3,))
    results = evaluate_checkpoint(options.checkpoint, data.validation)
    write_results(results, options.out)
    errors = errors_of(results)
    scatter({options.checkpoint.parent.name: results}, options.out.with_suffix(".png"), data.title)
    sys.stdout.write(
        f"{len(results)} cases: {errors.mean_absolute:.2f} ± {errors.sd_absolute:.2f} slices, "
        f"median {errors.median_absolute:.2f}; y = {errors.slope:.3f} x {errors.intercept:+.2f}, R² {errors.r_squared:.3f}\n"
    )


def _config(options: argparse.Namespace) -> TrainConfig:
    from training.config import load_config

    config = load_config(options.config)
    return replace(config, epochs=options.epochs) if options.epochs else config


def _source(options: argparse.Namespace) -> Source:
    return Source(
        folder=options.data,
        layout=options.layout,
        split=options.split,
        fold=options.fold,
        workers=options.workers,
    )
