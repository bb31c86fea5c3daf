"""python -m training train: one network, from a pool or from labelled CT."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from training.revision import code_revision


def add_train_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Below `python -m training`."""
    train = commands.add_parser("train", help="train one network")
    train.add_argument("config", type=Path)
    data = train.add_mutually_exclusive_group(required=True)
    data.add_argument("--pool", type=Path, help="made examples (python -m training pool)")
    data.add_argument("--data", type=Path, metavar="FOLDER", help="labelled CT (data layouts)")
    train.add_argument("--layout", help="of the labelled CT; guessed where not named")
    train.add_argument("--split", type=Path, help="who is kept back (data split)")
    train.add_argument("--fold", type=int, help="the fold that is kept back")
    train.add_argument("--workers", type=int, default=1, help="processes that check the data first")
    train.add_argument("--out", type=Path, required=True)
    train.add_argument("--seconds", type=float, help="time box of this call (default: all epochs)")
    train.add_argument("--device", default="auto", help="auto, cpu, cuda")
    train.add_argument(
        "--start-from", type=Path, metavar="CHECKPOINT", help="begin with these weights (fine-tune)"
    )
    train.add_argument(
        "--other-pool",
        type=Path,
        metavar="POOL",
        help="of another anatomy, scored but not trained on",
    )
    train.add_argument("--epochs", type=int, help="in place of the configuration's")
    train.add_argument("--leave", type=Path, help="a file to write when this call has ended well")
    train.add_argument("--max-steps", type=int, help="end after so many steps of this call")
    add_going_on(train)


def add_going_on(parser: argparse.ArgumentParser) -> None:
    """What every call that may be stopped and gone on with takes."""
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument(
        "--planned-seconds",
        type=float,
        help="training time of all calls together, which the learning rate follows",
    )
    parser.add_argument("--revision", help="code revision to record (default: asks git)")


def run_train(options: argparse.Namespace) -> None:
    """Train, and say what came out."""
    from training.config import load_config
    from training.loop import ENDLESS_S, Run, train
    from training.ranks import is_first_process
    from training.source import Source

    source = Source(
        folder=options.data or options.pool,
        layout=options.layout,
        split=options.split,
        fold=options.fold,
        workers=options.workers,
    )
    config = load_config(options.config)
    history = train(
        replace(config, epochs=options.epochs) if options.epochs else config,
        Run(
            source=source,
            out=options.out,
            seconds=options.seconds or ENDLESS_S,
            planned_s=options.planned_seconds,
            resume=options.resume,
            max_steps=options.max_steps,
            start_from=options.start_from,
            other=Source(folder=options.other_pool) if options.other_pool else None,
            device=options.device,
            code_revision=options.revision or code_revision(),
        ),
    )
    if is_first_process() and options.leave:
        options.leave.write_text(f"step {history.step}\n", encoding="utf-8")
    if is_first_process():
        sys.stdout.write(f"{options.out}: step {history.step}, {dict(history.metrics)}\n")
