"""Command line of the training tree: python -m training pool | train | average | all | data | paint-speed."""

import argparse
import subprocess
import sys
from pathlib import Path

from training.as_command import exit_status
from training.data.commands import add_data_commands, run_data

CONFIGS = Path(__file__).parent / "configs"
EXAMPLES = """examples:
  python -m training pool --kind torso --out runs/pool --count 200 --workers 8
  python -m training pool --kind templates --template a.npz --template b.npz --out runs/pool --count 400 --workers 8
  python -m training train training/configs/organs.toml --pool runs/pool --out runs/organs --seconds 1200
  python -m training train training/configs/organs.toml --pool runs/pool --out runs/organs --seconds 1200 --resume
  python -m training train training/configs/organs.toml --pool runs/pool --out runs/finer --seconds 1200 \
      --start-from models/organs/checkpoint.safetensors
  python -m training average runs/organs/checkpoint.safetensors runs/finer/checkpoint.safetensors --out runs/mean.safetensors
  python -m training all --seconds 480 --workers 16 --out runs
  python -m training data check /data/FLARE22_LabeledCase50

Pools hold synthetic CT only. Nothing is downloaded. See training/README.md.
"""


def main(arguments: list[str] | None = None) -> int:
    """Parse, run, and turn our own errors into exit codes."""
    options = _parser().parse_args(arguments)
    commands = {
        "pool": _pool,
        "train": _train,
        "average": _average,
        "all": _all,
        "paint-speed": _paint_speed,
    }

    def command() -> int:
        if options.command == "data":
            return run_data(options)
        commands[options.command](options)
        return 0

    return exit_status(f"training {options.command}", command)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training",
        description="Make synthetic pools and train the networks of Habitus.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    pool = commands.add_parser("pool", help="make training examples")
    pool.add_argument("--kind", choices=("torso", "slices", "both", "templates"), default="both")
    pool.add_argument("--out", type=Path, required=True, help="folder of the pool")
    pool.add_argument("--count", type=int, default=0, help="anatomies; 0: as time allows")
    pool.add_argument("--workers", type=int, default=1, help="processes per kind")
    pool.add_argument(
        "--seed", type=int, default=0, help="first seed; a pool goes on after its last"
    )
    pool.add_argument("--seconds", type=float, help="time limit")

    _add_templates(pool)

    train = commands.add_parser("train", help="train one network")
    train.add_argument("config", type=Path)
    train.add_argument("--pool", type=Path, required=True)
    train.add_argument("--out", type=Path, required=True)
    train.add_argument("--seconds", type=float, required=True, help="time box of this call")
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
    train.add_argument("--max-steps", type=int, help="end after so many steps of this call")
    _add_shared(train)

    average = commands.add_parser("average", help="the mean of several runs' weights")
    average.add_argument("checkpoints", type=Path, nargs="+", metavar="CHECKPOINT")
    average.add_argument("--out", type=Path, required=True, help="file to write")
    average.add_argument("--revision", help="code revision to record (default: asks git)")

    everything = commands.add_parser("all", help="pools and all networks in one time box")
    everything.add_argument("--out", type=Path, default=Path("runs"))
    everything.add_argument("--seconds", type=float, default=480.0)
    everything.add_argument(
        "--pool-seconds", type=float, help="head start of the pool (default: a third of the time)"
    )
    everything.add_argument(
        "--workers", type=int, default=16, help="pool processes; 0: no new examples"
    )
    everything.add_argument("--seed", type=int, default=0)
    everything.add_argument(
        "--most-anatomies", type=int, default=1600, help="the pool stops growing there (16 MB each)"
    )
    everything.add_argument(
        "--configs", type=Path, default=CONFIGS, help="folder of the three configurations"
    )
    _add_templates(everything)
    _add_shared(everything)

    speed = commands.add_parser("paint-speed", help="patients and paintings per second, in torch")
    speed.add_argument("--device", default="auto", help="auto, cpu, cuda")
    _add_templates(speed)
    add_data_commands(commands)
    return parser


def _add_templates(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--template",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a template to paint from (python -m training.templates build); may be repeated",
    )


def _add_shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument(
        "--planned-seconds",
        type=float,
        help="training time of all calls together, which the learning rate follows",
    )
    parser.add_argument("--revision", help="code revision to record (default: asks git)")


def _pool(options: argparse.Namespace) -> None:
    from training.pool import PoolOrder, make_pools

    kinds = ("torso", "slices") if options.kind == "both" else (options.kind,)
    orders = [
        PoolOrder(
            kind=kind,
            out=options.out,
            workers=options.workers,
            first_seed=options.seed,
            count=options.count,
            seconds=options.seconds,
            templates=tuple(options.template),
        )
        for kind in kinds
    ]
    for kind, made in make_pools(orders).items():
        sys.stdout.write(f"{kind}: {made} anatomies in {options.out}\n")


def _train(options: argparse.Namespace) -> None:
    from training.config import load_config
    from training.loop import Run, train

    history = train(
        load_config(options.config),
        Run(
            pool=options.pool,
            out=options.out,
            seconds=options.seconds,
            planned_s=options.planned_seconds,
            resume=options.resume,
            max_steps=options.max_steps,
            start_from=options.start_from,
            other_pool=options.other_pool,
            device=options.device,
            code_revision=options.revision or _revision(),
        ),
    )
    sys.stdout.write(f"{options.out}: step {history.step}, {dict(history.metrics)}\n")


def _average(options: argparse.Namespace) -> None:
    from training.average import average_checkpoints

    average_checkpoints(options.checkpoints, options.out, options.revision or _revision())
    sys.stdout.write(
        f"{options.out}: mean of {len(options.checkpoints)} runs, not scored: evaluate it\n"
    )


def _all(options: argparse.Namespace) -> None:
    from training.all_models import Everything, train_everything

    head_start_s = options.seconds / 3 if options.pool_seconds is None else options.pool_seconds
    checkpoints = train_everything(
        Everything(
            out=options.out,
            seconds=options.seconds,
            pool_seconds=head_start_s,
            workers=options.workers,
            seed=options.seed,
            planned_seconds=options.planned_seconds,
            resume=options.resume,
            code_revision=options.revision or _revision(),
            configs=options.configs,
            most_anatomies=options.most_anatomies,
            templates=tuple(options.template),
        )
    )
    for name, path in checkpoints.items():
        sys.stdout.write(f"{name}: {path}\n")


def _paint_speed(options: argparse.Namespace) -> None:
    import time

    from training.loop import choose_device
    from training.templates.benchmark import benchmark
    from training.templates.template import Template
    from training.torch_arrays import TorchArrays

    device = choose_device(options.device)
    templates = [Template.read(path) for path in options.template]
    for line in benchmark(templates, TorchArrays(device), time.perf_counter):
        sys.stdout.write(f"{line}\n")


def _revision() -> str:
    """The commit of the working tree, or "unknown" where there is no git."""
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return "unknown"
    return asked.stdout.strip() if asked.returncode == 0 else "unknown"


if __name__ == "__main__":
    sys.exit(main())
