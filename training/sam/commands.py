"""python -m training sam: fine-tune Segment Anything and HQ-SAM, hold them against networks without prompts, one table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.source import Source

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
EXAMPLES = """examples:
  python -m training sam run --data /data/FLARE22_LabeledCase50 --out runs/sam --configs training/configs/paper \\
      --sam-weights /models/sam-vit-base --sam-hq-weights /models/sam-hq-vit-base
  python -m training sam run --data runs/torsos --out runs/sam
  python -m training sam table runs/sam --data runs/torsos --page docs/results/sam.md --picture docs/pictures/sam.png
  python -m export_onnx --model sam-hq --checkpoint runs/sam/sam_hq/checkpoint.safetensors

Weights are folders as transformers saves them (config.json, model.safetensors); nothing is downloaded. Without them an
encoder is taught first on the same training cases, and the table says "mechanism only". A call that was stopped goes on.
"""


def add_sam_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Below `python -m training`."""
    sam = commands.add_parser(
        "sam",
        help="Segment Anything and HQ-SAM fine-tuned on organs, beside networks without prompts",
        description="Networks with prompts, trained, compared and shown.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = sam.add_subparsers(dest="step", required=True)
    run = steps.add_parser("run", help="train all four networks, then make the table")
    run.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    run.add_argument("--configs", type=Path, default=CONFIGS / "small", metavar="FOLDER")
    run.add_argument("--sam-weights", type=Path, metavar="FOLDER", help="of SAM, local")
    run.add_argument("--sam-hq-weights", type=Path, metavar="FOLDER", help="of HQ-SAM, local")
    run.add_argument("--seed", type=int, default=1, help="of split, weights and batches")
    run.add_argument("--epochs", type=int, help="of each network (default: as configured)")
    run.add_argument("--max-steps", type=int, help="of each network, for a trial")
    run.add_argument("--seconds", type=float, help="of each network, at most")
    run.add_argument("--device", default="auto", help="auto, cpu, cuda")
    run.add_argument("--revision", help="code revision to record (default: asks git)")
    table = steps.add_parser("table", help="Dice of networks that are trained, once more")
    table.add_argument("out", type=Path, metavar="RUN", help="the folder of sam run")
    for step in (run, table):
        _add_data(step)


def _add_data(step: argparse.ArgumentParser) -> None:
    step.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="labelled CT")
    step.add_argument("--layout", help="of the data; guessed where not named")
    step.add_argument("--split", type=Path, help="who is kept back (default: a fifth, by seed)")
    step.add_argument("--fold", type=int, help="the fold that is kept back")
    step.add_argument("--workers", type=int, default=1, help="processes that check the data")
    step.add_argument("--organs", default="organs", help="our 3D network, a folder of --models")
    step.add_argument("--models", type=Path, help="folder of models (default: those shipped)")
    step.add_argument("--page", type=Path, metavar="FILE", help="write the table there too")
    step.add_argument("--picture", type=Path, metavar="FILE", help="draw slices there")


def run_sam(options: argparse.Namespace) -> int:
    """One of the steps."""
    from training.sam.run import PROMPTED, UNPROMPTED

    if options.step == "run":
        _train(options)
    names = [*PROMPTED, *UNPROMPTED]
    sys.stdout.write(_table(options, names))
    return 0


def _train(options: argparse.Namespace) -> None:
    from training.loop import ENDLESS_S
    from training.revision import code_revision
    from training.sam.run import Comparison, train_all

    weights = {"sam": options.sam_weights, "sam_hq": options.sam_hq_weights}
    train_all(
        Comparison(
            source=_source(options),
            out=options.out,
            configs=options.configs,
            weights={name: folder for name, folder in weights.items() if folder is not None},
            code_revision=options.revision or code_revision(),
            seed=options.seed,
            epochs=options.epochs,
            max_steps=options.max_steps,
            seconds=options.seconds or ENDLESS_S,
            device=options.device,
        )
    )


def _table(options: argparse.Namespace, names: list[str]) -> str:
    from inference.engine.model_store import SHIPPED_MODELS
    from training.sam.table import TableOrder, make_table

    return make_table(
        TableOrder(
            source=_source(options),
            run=options.out,
            names=tuple(names),
            models=options.models or SHIPPED_MODELS,
            organs=options.organs,
            page=options.page,
            picture=options.picture,
        )
    )


def _source(options: argparse.Namespace) -> Source:
    from training.source import Source

    return Source(
        folder=options.data,
        layout=options.layout,
        split=options.split,
        fold=options.fold,
        workers=options.workers,
    )
