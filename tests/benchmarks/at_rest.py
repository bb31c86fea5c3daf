"""make bench-at-rest: what the plugin and its node cost Orthanc while nothing comes in."""

import argparse
import os
import platform
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from orthanc_plugin.node.private_network import enter_private_network
from tests.benchmarks.ingest import cpu_s, receiving
from tests.orthanc_process import why_not

REST_S = 20.0
SETTLE_S = 5.0
"""After the start everything is at work for a moment."""
PAIRS = 5


def main() -> int:
    """0 always: there is no limit, the figure is the result."""
    parser = argparse.ArgumentParser(prog="tests.benchmarks.at_rest", description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--out", type=Path, help="file for the table")
    options = parser.parse_args()
    if reason := why_not():
        sys.stderr.write(f"cannot run here: {reason}\n")
        return 2
    enter_private_network()
    spent: dict[bool, list[float]] = {True: [], False: []}
    with TemporaryDirectory(prefix="habitus-at-rest-") as folder:
        for pair in range(options.pairs):
            for has_plugin in (True, False):
                with receiving(Path(folder) / f"{pair}-{has_plugin}", has_plugin=has_plugin) as one:
                    assert one.process is not None
                    time.sleep(SETTLE_S)
                    before = cpu_s(one.process.pid)
                    time.sleep(REST_S)
                    spent[has_plugin].append(cpu_s(one.process.pid) - before)
    text = table(spent)
    sys.stdout.write(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    return 0


def table(spent: dict[bool, list[float]]) -> str:
    """Medians."""
    lines = [
        "`make bench-at-rest`",
        "",
        f"CPU seconds of the Orthanc process in {REST_S:.0f} s without any work, medians of {len(spent[True])}.",
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} (a machine shared with other work).",
        "",
        "| | s |",
        "|---|---:|",
        f"| with the plugin and its node | {np.median(spent[True]):.3f} |",
        f"| without | {np.median(spent[False]):.3f} |",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
