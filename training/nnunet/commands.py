"""python -m training nnunet: convert | plan | train | best | predict | ensemble | evaluate | plots | slim | export."""

from __future__ import annotations

import argparse
from pathlib import Path

EXAMPLES = """examples, in this order:
  python -m training nnunet convert /data/AbdomenCT-1K --labels abdomenct-1k --work runs/nnunet --folds 5 --test 0.2
  python -m training nnunet plan --work runs/nnunet --settings paper
  python -m training nnunet train --work runs/nnunet --run b2 --batch-size 2 --epochs 100 --device cuda:0,cuda:1
  python -m training nnunet train --work runs/nnunet --run b5 --batch-size 5 --epochs 100 --device cuda:0,cuda:1
  python -m training nnunet plots --work runs/nnunet --runs b2,b5 --fold 0 --out loss.png
  python -m training nnunet best --work runs/nnunet --run b2 --configurations 2d,3d_fullres
  python -m training nnunet predict runs/nnunet/nnUNet_raw/Dataset701_CT/imagesTs --work runs/nnunet --run b2 --out found \\
      --parts 4 --part 1
  python -m training nnunet ensemble found-2d found-3d --work runs/nnunet --out found
  python -m training nnunet evaluate found --truth runs/nnunet/nnUNet_raw/Dataset701_CT/labelsTs --work runs/nnunet \\
      --out scores.json --page scores.md
  python -m training nnunet export --work runs/nnunet --run b2 --models runs/models --name organs-nnunet

A training that was stopped goes on with --resume; prediction goes on by itself. See training/README.md, nnU-Net.
"""
Subparsers = argparse._SubParsersAction


def add_nnunet_commands(commands: Subparsers[argparse.ArgumentParser]) -> None:
    """Below `python -m training`."""
    nnunet = commands.add_parser(
        "nnunet",
        help="nnU-Net itself (nnunetv2): convert, plan, train, predict, evaluate, export",
        description="Drive the installed nnunetv2, one command per step.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = nnunet.add_subparsers(dest="step", required=True)
    _add_convert(steps)
    plan = _step(steps, "plan", "fingerprint, plan and preprocess")
    plan.add_argument("--settings", default="paper", help="small, paper or a TOML file")
    _add_processes(plan)
    _add_train(steps)
    best = _step(steps, "best", "the best configuration or pair of them, by the validations")
    _add_run(best, is_one=False)
    best.add_argument("--no-ensembles", action="store_true", help="single configurations only")
    _add_processes(best)
    _add_predict(steps)
    ensemble = _step(steps, "ensemble", "the mean of predictions made with --probabilities")
    ensemble.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    ensemble.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    _add_processes(ensemble)
    evaluate = _step(steps, "evaluate", "Dice, surface Dice and HD95 per organ")
    evaluate.add_argument("found", type=Path, help="folder of predictions")
    evaluate.add_argument("--truth", type=Path, required=True, metavar="FOLDER")
    evaluate.add_argument("--out", type=Path, required=True, help="JSON")
    evaluate.add_argument("--page", type=Path, help="the table as Markdown as well")
    plots = _step(steps, "plots", "loss, epoch time and learning rate of runs side by side")
    plots.add_argument("--runs", required=True, help="one or several, with commas")
    plots.add_argument("--configuration", default="3d_fullres")
    plots.add_argument("--fold", type=int, default=0)
    plots.add_argument("--out", type=Path, required=True, help=".png, .svg or .pdf")
    slim = _step(steps, "slim", "the model folder as nnU-Net reads it, without optimiser states")
    _add_run(slim)
    slim.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    _add_export(steps)


def _step(
    steps: Subparsers[argparse.ArgumentParser], name: str, summary: str
) -> argparse.ArgumentParser:
    parser = steps.add_parser(name, help=summary, description=summary[0].upper() + summary[1:])
    parser.add_argument(
        "--work", type=Path, required=True, metavar="FOLDER", help="of one converted data set"
    )
    return parser


def _add_convert(steps: Subparsers[argparse.ArgumentParser]) -> None:
    convert = _step(steps, "convert", "a folder of any known layout, checked and split by patient")
    convert.add_argument("folder", type=Path)
    convert.add_argument("--layout", help="of the folder; guessed where not named")
    convert.add_argument(
        "--labels",
        required=True,
        help="abdomenct-1k, flare22, large-organs, or names with commas: liver,spleen",
    )
    convert.add_argument(
        "--kidneys-by-side",
        action="store_true",
        help="tell kidneys under one number into right and left; a horseshoe is refused",
    )
    convert.add_argument("--number", type=int, default=701, help="of the data set in nnU-Net")
    convert.add_argument("--name", default="CT", help="of the data set in nnU-Net")
    convert.add_argument("--split", type=Path, help="of python -m training data split")
    convert.add_argument("--folds", type=int, default=5, help="without --split")
    convert.add_argument("--test", type=float, default=0.0, help="share kept back, without --split")
    convert.add_argument("--seed", type=int, default=0, help="of the split")
    convert.add_argument("--workers", type=int, default=1, help="processes that check")


def _add_train(steps: Subparsers[argparse.ArgumentParser]) -> None:
    train = _step(steps, "train", "folds of one configuration, with validation")
    _add_run(train)
    train.add_argument("--epochs", type=int, help="in place of the settings'")
    train.add_argument("--iterations", type=int, help="per epoch, in place of the settings'")
    train.add_argument("--batch-size", type=int, help="in three dimensions")
    train.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    train.add_argument(
        "--probabilities",
        action="store_true",
        help="keep those of the validation, for ensembles of configurations",
    )
    _add_device(train)
    _add_processes(train)


def _add_predict(steps: Subparsers[argparse.ArgumentParser]) -> None:
    predict = _step(steps, "predict", "label maps of a folder of CT images (NIfTI)")
    predict.add_argument("images", type=Path, help="folder; NAME.nii.gz or NAME_0000.nii.gz")
    predict.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    _add_run(predict)
    predict.add_argument("--parts", type=int, default=1, help="so many calls share the work")
    predict.add_argument("--part", type=int, default=1, help="this one, from 1")
    predict.add_argument(
        "--probabilities",
        action="store_true",
        help="keep them, for python -m training nnunet ensemble",
    )
    _add_device(predict)
    _add_processes(predict)


def _add_export(steps: Subparsers[argparse.ArgumentParser]) -> None:
    export = _step(steps, "export", "a model folder that the node serves: ONNX, proven equal")
    _add_run(export)
    export.add_argument("--models", type=Path, required=True, metavar="FOLDER")
    export.add_argument("--name", required=True, help="of the model")
    export.add_argument("--model-version", default="0.1.0")


def _add_run(parser: argparse.ArgumentParser, *, is_one: bool = True) -> None:
    parser.add_argument("--run", default="default", help="name of the run: its length, batch size")
    if is_one:
        parser.add_argument(
            "--configuration",
            default="3d_fullres",
            help="2d, 3d_fullres, 3d_lowres or 3d_cascade_fullres",
        )
    else:
        parser.add_argument("--configurations", default="3d_fullres", help="with commas")
    parser.add_argument("--folds", default="all", help="all, or numbers with commas: 0,1")


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda; cuda:0,cuda:1: a fold on each"
    )


def _add_processes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--processes", type=int, default=2, help="beside the main one; 0: in the main one"
    )


def run_nnunet(options: argparse.Namespace) -> int:
    """One of the steps."""
    from training.nnunet import steps

    run = {
        "convert": steps.convert_step,
        "plan": steps.plan_step,
        "train": steps.train_step,
        "best": steps.best_step,
        "predict": steps.predict_step,
        "ensemble": steps.ensemble_step,
        "evaluate": steps.evaluate_step,
        "plots": steps.plots_step,
        "slim": steps.slim_step,
        "export": steps.export_step,
    }
    return run[options.step](options)
