"""make bench-first: what a network's first run costs beside later ones, in a fresh process each time."""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from inference.domain.analysis_profile import load_profile
from inference.engine.warm_up import warm_up
from inference.pipeline import load_models

PROFILE = "abdomen"
PROCESSES = 9
LATER = 5
"""Runs after the first, of which the median counts."""

Times = dict[str, tuple[float, float]]
"""Of each model the first run and a later one, in milliseconds."""


def main() -> int:
    """0 always: the figure is the result."""
    parser = argparse.ArgumentParser(prog="tests.benchmarks.first_inference", description=__doc__)
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--out", type=Path, help="file for the table")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        sys.stdout.write(json.dumps(one_process()))
        return 0
    command = [sys.executable, "-m", "tests.benchmarks.first_inference", "--one"]
    rows: list[Times] = [
        json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        for _ in range(options.processes)
    ]
    text = table(rows)
    sys.stdout.write(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    return 0


def one_process() -> Times:
    """Load the profile's networks and run each on an empty input of its own shape."""
    times = {}
    for predictor in load_models(load_profile(PROFILE)).loaded:
        taken = []
        for _ in range(1 + LATER):
            began_s = time.perf_counter()
            warm_up([predictor])
            taken.append((time.perf_counter() - began_s) * 1000.0)
        times[predictor.manifest.name] = (taken[0], median(taken[1:]))
    return times


def table(rows: list[Times]) -> str:
    """Medians over the processes."""
    lines = [
        "`make bench-first`",
        "",
        f"The networks of profile `{PROFILE}` on the CPU, each on an empty input of its own shape;"
        f" {len(rows)} fresh processes, medians.",
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} (a machine shared with other work).",
        "",
        "| network | first run ms | later ms | gain ms |",
        "|---|---:|---:|---:|",
    ]
    for name in rows[0]:
        first = median(row[name][0] for row in rows)
        later = median(row[name][1] for row in rows)
        gain = median(row[name][0] - row[name][1] for row in rows)
        lines.append(f"| {name} | {first:.0f} | {later:.0f} | {gain:.0f} |")
    whole = median(sum(first - later for first, later in row.values()) for row in rows)
    lines.append(f"| all | | | {whole:.0f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
