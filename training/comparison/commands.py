"""python -m training compare | until | pictures | chart."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from training.revision import code_revision

NAMES = ("compare", "until", "pictures", "chart")
WEAK_BELOW = 0.8
EXAMPLES = """examples:
  python -m training compare training/configs/small/tissue_windows_*.toml --data training/configs/small/tissue_data \\
      --gate iou=0.9 --out runs/tissue --page docs/results/tissue-encoders.md
  python -m training until training/configs/small/residual_organs*.toml --data /data/RawData --gate dice_mean=0.85 \\
      --seconds 7200 --out runs/organs
  python -m training pictures runs/tissue/tissue-resnet50/checkpoint.safetensors --data /data/ours --out runs/pictures
  python -m training chart runs/organs/residual-organs/checkpoint.safetensors --out runs/organs.png

Exit status 1: no configuration's scores are as high as the gate asks. A call that was stopped goes on where it was.
"""


def add_comparison_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Below `python -m training`."""
    compare = _add(commands, "compare", "train configurations on the same cases; one table")
    until = _add(commands, "until", "the next configuration until a gate holds or the time is over")
    for parser in (compare, until):
        parser.add_argument("configs", type=Path, nargs="+", metavar="CONFIG")
        _add_data(parser)
        parser.add_argument("--out", type=Path, required=True, help="a folder per configuration")
        parser.add_argument("--gate", required=parser is until, help="such as iou=0.9")
        parser.add_argument("--seconds", type=float, help="of all runs (default: all epochs)")
        parser.add_argument("--device", default="auto", help="auto, cpu, cuda")
        parser.add_argument("--page", type=Path, help="write the table there as a page, too")
        parser.add_argument("--note", default="", help="a sentence for the page")
        parser.add_argument("--revision", help="code revision to record (default: asks git)")
    pictures = _add(commands, "pictures", "CT, truth, answer, difference and overlay of a slice")
    pictures.add_argument("checkpoint", type=Path)
    _add_data(pictures)
    pictures.add_argument("--case", help="one that was kept back (default: the first)")
    pictures.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    pictures.add_argument("--note", default="", help="below the pictures, such as their source")
    chart = _add(commands, "chart", "Dice per organ as bars, weak organs named")
    chart.add_argument("checkpoints", type=Path, nargs="+", metavar="CHECKPOINT")
    chart.add_argument("--weak-below", type=float, default=WEAK_BELOW)
    chart.add_argument("--out", type=Path, required=True, metavar="PNG")
    chart.add_argument("--note", default="", help="below the bars, such as the data's source")


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="labelled CT")
    parser.add_argument("--layout", help="of the labelled CT; guessed where not named")
    parser.add_argument("--split", type=Path, help="who is kept back (data split)")
    parser.add_argument("--fold", type=int, help="the fold that is kept back")
    parser.add_argument(
        "--workers", type=int, default=1, help="processes that check the data first"
    )


def run_comparison(options: argparse.Namespace) -> int:
    """One of the commands; the exit status."""
    steps = {"compare": _compare, "until": _compare, "pictures": _pictures, "chart": _chart}
    return steps[options.command](options)


def _compare(options: argparse.Namespace) -> int:
    from training.comparison.runs import Order, train_in_order
    from training.comparison.table import as_json, as_markdown, as_page
    from training.gate import gate_from
    from training.source import Source

    gate = gate_from(options.gate) if options.gate else None
    order = Order(
        configs=tuple(options.configs),
        source=Source(
            folder=options.data,
            layout=options.layout,
            split=options.split,
            fold=options.fold,
            workers=options.workers,
        ),
        out=options.out,
        seconds=options.seconds,
        gate=gate,
        stops_at_gate=options.command == "until",
        code_revision=options.revision or code_revision(),
        device=options.device,
    )
    trained = train_in_order(order)
    if not trained:
        sys.stderr.write("nothing was trained\n")
        return 1
    (options.out / "table.md").write_text(as_markdown(trained, gate), encoding="utf-8")
    (options.out / "table.json").write_text(as_json(trained, gate), encoding="utf-8")
    sys.stdout.write(as_markdown(trained, gate))
    if options.page:
        page = as_page(trained, gate, _command(options), options.note)
        options.page.write_text(page, encoding="utf-8")
    return 0 if gate is None or any(one.gate_holds for one in trained) else 1


def _command(options: argparse.Namespace) -> str:
    """As a reader would type it, without where the runs lie."""
    parts = ["python", "-m", "training", options.command, *map(str, options.configs)]
    parts += ["--data", str(options.data), "--out", "runs/compared"]
    parts += ["--gate", options.gate] if options.gate else []
    parts += ["--seconds", f"{options.seconds:g}"] if options.seconds else []
    return shlex.join(parts)


def _pictures(options: argparse.Namespace) -> int:
    from training.comparison.tissue_pictures import seen_by, write_pictures
    from training.source import Source

    source = Source(
        folder=options.data, layout=options.layout, split=options.split, fold=options.fold
    )
    seen = seen_by(options.checkpoint, source, options.case)
    for path in write_pictures(seen, options.out, options.note):
        sys.stdout.write(f"{path}\n")
    return 0


def _chart(options: argparse.Namespace) -> int:
    from training.comparison.organ_chart import draw_chart, organ_scores

    scores = [organ_scores(path) for path in options.checkpoints]
    draw_chart(scores, options.weak_below, options.out, options.note)
    for one in scores:
        weak = ", ".join(f"{organ} {one.dice[organ]:.2f}" for organ in one.weak(options.weak_below))
        sys.stdout.write(
            f"{one.name}: mean Dice {one.mean:.3f}; weak (below {options.weak_below:g}): {weak or 'none'}\n"
        )
    return 0
