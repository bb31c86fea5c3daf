"""Command line of the training tree: python -m training --help lists what it does."""

import argparse
import sys
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid
from training.as_command import exit_status
from training.comparison.commands import NAMES as COMPARISON
from training.comparison.commands import add_comparison_commands, run_comparison
from training.data.commands import add_data_commands, run_data
from training.l3_slices.commands import add_slices_commands, run_slices
from training.nnunet.commands import add_nnunet_commands, run_nnunet
from training.reports.commands import add_report_commands, run_papers, run_report
from training.reproduce import add_reproduce_command, run_reproduce
from training.revision import code_revision
from training.sam.commands import add_sam_commands, run_sam
from training.train_command import add_going_on, add_train_command, run_train

CONFIGS = Path(__file__).parent / "configs"
RELATIVES_EACH = 10
EXAMPLES = """examples:
  python -m training pool --kind torso --out runs/pool --count 200 --workers 8
  python -m training pool --kind templates --template a.npz --template b.npz --out runs/pool --count 400 --workers 8
  python -m training train training/configs/organs.toml --pool runs/pool --out runs/organs --seconds 1200
  python -m training train training/configs/organs.toml --pool runs/pool --out runs/organs --seconds 1200 --resume
  python -m training train training/configs/organs.toml --pool runs/pool --out runs/finer --seconds 1200 \
      --start-from models/organs/checkpoint.safetensors
  python -m training train training/configs/paper/l3_slices.toml --data /data/ours --split runs/split.json --fold 0 --out runs/slices
  torchrun --nproc-per-node 4 -m training train training/configs/organs.toml --pool runs/pool --out runs/organs --seconds 1200
  python -m training average runs/organs/checkpoint.safetensors runs/finer/checkpoint.safetensors --out runs/mean.safetensors
  python -m training all --seconds 480 --workers 16 --out runs
  python -m training reproduce organs --map s0327_labels.nii.gz --out runs/again
  python -m training data check /data/FLARE22_LabeledCase50
  python -m training slices --help
  python -m training report runs/slices
  python -m training papers --out runs/papers
  python -m training nnunet --help
  python -m training sam --help
  python -m training compare training/configs/small/tissue_windows_*.toml --data training/configs/small/tissue_data --out runs/tissue

Pools hold synthetic CT only. Nothing is downloaded. See training/README.md.
"""


def main(arguments: list[str] | None = None) -> int:
    """Parse, run, and turn our own errors into exit codes."""
    options = _parser().parse_args(arguments)
    commands = {
        "pool": _pool,
        "train": run_train,
        "reproduce": run_reproduce,
        "average": _average,
        "all": _all,
        "paint-speed": _paint_speed,
    }

    groups = {
        "data": run_data,
        "nnunet": run_nnunet,
        "sam": run_sam,
        "slices": run_slices,
        "report": run_report,
        "papers": run_papers,
    }
    groups |= dict.fromkeys(COMPARISON, run_comparison)

    def command() -> int:
        if options.command in groups:
            return groups[options.command](options)
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
    pool.add_argument(
        "--kind", choices=("torso", "slices", "both", "templates", "central"), default="both"
    )
    pool.add_argument("--out", type=Path, required=True, help="folder of the pool")
    pool.add_argument("--count", type=int, default=0, help="anatomies; 0: as time allows")
    pool.add_argument("--workers", type=int, default=1, help="processes per kind")
    pool.add_argument(
        "--seed", type=int, default=0, help="first seed; a pool goes on after its last"
    )
    pool.add_argument("--seconds", type=float, help="time limit")

    _add_templates(pool)

    add_train_command(commands)

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
        "--most-anatomies", type=int, default=1600, help="the pool stops growing there (20 MB each)"
    )
    everything.add_argument(
        "--configs", type=Path, default=CONFIGS, help="folder of the three configurations"
    )
    _add_templates(everything)
    everything.add_argument(
        "--relatives",
        type=int,
        help=f"made of each template first: other organs and vessels (10 seconds each; 0: none; default {RELATIVES_EACH})",
    )
    add_going_on(everything)

    speed = commands.add_parser("paint-speed", help="patients and paintings per second, in torch")
    speed.add_argument("--device", default="auto", help="auto, cpu, cuda")
    _add_templates(speed)
    add_reproduce_command(commands)
    add_data_commands(commands)
    add_comparison_commands(commands)
    add_nnunet_commands(commands)
    add_sam_commands(commands)
    add_slices_commands(commands)
    add_report_commands(commands)
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


def _pool(options: argparse.Namespace) -> None:
    from training.pool import PoolOrder, make_pools
    from training.templates.naming import with_names_of_their_own

    kinds = ("torso", "slices") if options.kind == "both" else (options.kind,)
    orders = [
        PoolOrder(
            kind=kind,
            out=options.out,
            workers=options.workers,
            first_seed=options.seed,
            count=options.count,
            seconds=options.seconds,
            templates=with_names_of_their_own(options.template),
        )
        for kind in kinds
    ]
    for kind, made in make_pools(orders).items():
        sys.stdout.write(f"{kind}: {made} anatomies in {options.out}\n")


def _average(options: argparse.Namespace) -> None:
    from training.average import average_checkpoints

    average_checkpoints(options.checkpoints, options.out, options.revision or code_revision())
    sys.stdout.write(
        f"{options.out}: mean of {len(options.checkpoints)} runs, not scored: evaluate it\n"
    )


def _all(options: argparse.Namespace) -> None:
    from training.all_models import Everything, train_everything
    from training.templates.naming import with_names_of_their_own

    relatives = options.relatives
    if relatives is None:
        relatives = RELATIVES_EACH if options.template else 0
    if relatives < 0 or (relatives and not options.template):
        raise ConfigurationInvalid(
            found=f"--relatives {relatives} and {len(options.template)} templates",
            wanted="none, or templates to make them of",
            advice="Name --template FILE, or leave --relatives out.",
        )
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
            code_revision=options.revision or code_revision(),
            configs=options.configs,
            most_anatomies=options.most_anatomies,
            templates=with_names_of_their_own(options.template),
            relatives=relatives,
        )
    )
    for name, path in checkpoints.items():
        sys.stdout.write(f"{name}: {path}\n")


def _paint_speed(options: argparse.Namespace) -> None:
    import time

    from training.ranks import choose_device
    from training.templates.benchmark import benchmark
    from training.templates.template import Template
    from training.torch_arrays import TorchArrays

    device = choose_device(options.device)
    templates = [Template.read(path) for path in options.template]
    for line in benchmark(templates, TorchArrays(device), time.perf_counter):
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
