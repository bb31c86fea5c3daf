"""python -m training report | papers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

PLANS = Path(__file__).parents[1] / "configs" / "small"
EXAMPLES = """examples:
  python -m training papers --out runs/papers
  OMP_NUM_THREADS=1 python -m training papers --out runs/papers --at-once 2
  python -m training papers --out runs/papers --system slices --system nnunet
  python -m training papers --plan training/configs/small/papers_smoke.toml --out runs/smoke

Synthetic CT, small networks. A call that was stopped goes on with the step it was at; --page only writes the page again.
"""


def add_report_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Below `python -m training`."""
    report = commands.add_parser(
        "report", help="one HTML page of a training: curves, scores, configuration"
    )
    report.add_argument("run", type=Path, help="folder of the training")
    report.add_argument("--out", type=Path, help="file (default: report.html in the folder)")
    papers = commands.add_parser(
        "papers",
        help="five published systems from data to the node, and one page of what came out",
        description="Every command is one that a researcher would type; the plan lists them.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    papers.add_argument("--plan", type=Path, default=PLANS / "papers.toml")
    papers.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    papers.add_argument(
        "--system", action="append", default=[], help="only this one; may be repeated"
    )
    papers.add_argument(
        "--at-once", type=int, default=1, help="systems beside each other, on a core each"
    )
    papers.add_argument("--page", action="store_true", help="run nothing, write the page again")


def run_report(options: argparse.Namespace) -> int:
    """Of one training."""
    from training.reports.run_report import write_report

    out = options.out or options.run / "report.html"
    write_report(options.run, out)
    sys.stdout.write(f"{out}\n")
    return 0


def run_papers(options: argparse.Namespace) -> int:
    """All systems, or those that are named."""
    from training.reports.papers import read_plan, run_plan, write_page

    plan = read_plan(options.plan, options.out.resolve())
    path = write_page(plan) if options.page else run_plan(plan, options.system, options.at_once)
    sys.stdout.write(f"{path}\n")
    return 0
