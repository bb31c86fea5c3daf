"""make latency: from the last slice stored to the last result at the PACS, by stage."""

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from orthanc_plugin.node.private_network import enter_private_network
from tests.dicom_peers import SUCCESS, Receiver, receiver, send
from tests.faults.analyses import ANALYSES, small_study
from tests.orthanc_process import OrthancProcess, orthanc, wait_for, why_not

QUIET_S = 2.0
REPEATS = 7
OBJECTS = 4
"""Two segmentations or one, the report and the page; what the profile writes is counted, not presumed."""
MODEL_STAGES = ("locate L3", "tissue", "organs")
LIMIT_S = 3.0
POLL_S = 0.01

SETTINGS = f"""
data_folder = "node"
[orthanc]
url = "http://127.0.0.1:{{http_port}}"
[intake]
quiet_s = {QUIET_S}
[engine]
job_wall_clock_s = {{job_wall_clock_s}}
{ANALYSES["shipped"].engine_settings}
[[destinations]]
modality = "pacs"
"""

Times = dict[str, float]


def main() -> int:
    """0 where what is neither model nor quiet time stays under the limit."""
    parser = argparse.ArgumentParser(prog="tests.benchmarks.latency", description=__doc__)
    parser.add_argument("--out", type=Path, help="file for the table")
    options = parser.parse_args()
    if reason := why_not():
        sys.stderr.write(f"cannot run here: {reason}\n")
        return 2
    enter_private_network()
    rows = measured(REPEATS)
    text = table(rows)
    sys.stdout.write(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    return int(median(row["beyond quiet time and models"] for row in rows) > LIMIT_S)


def measured(repeats: int) -> list[Times]:
    """One row of stages for each study, sent one after another to a node at rest."""
    rows = []
    with (
        TemporaryDirectory(prefix="habitus-latency-") as folder,
        orthanc(Path(folder), settings=SETTINGS, job_wall_clock_s=120.0) as node,
        receiver() as pacs,
    ):
        wait_for(lambda: node.get("/habitus/status")["engine"] is not None, 60.0, "the engine")
        for number in range(repeats + 1):
            row = one_study(node, pacs, number)
            sys.stdout.write(f"study {number}: {row['all']:.2f} s\n")
            # The first study meets cold caches; a node that is always on has none.
            rows += [row] if number else []
    return rows


def one_study(node: OrthancProcess, pacs: Receiver, number: int) -> Times:
    """Seconds by stage."""
    before = len(pacs.received)
    statuses = send(small_study(number))
    stored_at = time.time()
    if set(statuses) != {SUCCESS}:
        raise AssertionError(f"a slice was not accepted: {statuses}")
    last_came_at, count = stored_at, before
    while not _is_done(node, number + 1):
        if len(pacs.received) != count:
            last_came_at, count = time.time(), len(pacs.received)
        time.sleep(POLL_S)
        if time.time() > stored_at + 120.0:
            raise AssertionError(f"no end of study {number}: {node.jobs()}")
    job = node.get(f"/habitus/jobs/{node.jobs()[0]['key']}")
    seconds = _report(node, job["key"])["seconds"]
    attempt = job["attempt_log"][-1]
    models = sum(seconds.get(stage, 0.0) for stage in MODEL_STAGES)
    return {
        "quiet time, as set": QUIET_S,
        "noticed, chosen and queued": job["created_at"] - stored_at - QUIET_S,
        "waiting for the engine": attempt["started_at"] - job["created_at"],
        "slices from Orthanc to the engine": attempt["ended_at"]
        - attempt["started_at"]
        - sum(seconds.values()),
        "reading and choosing": seconds.get("read", 0.0) + seconds.get("choose", 0.0),
        "models": models,
        "measuring": seconds.get("measure", 0.0),
        "writing and reading back results": seconds.get("write", 0.0),
        "to the PACS": last_came_at - attempt["ended_at"],
        "all": last_came_at - stored_at,
        "beyond quiet time and models": last_came_at - stored_at - QUIET_S - models,
        "objects": float(count - before),
    }


def table(rows: list[Times]) -> str:
    """Medians."""
    lines = [
        "`make latency`",
        "",
        f"From the answer to the last slice to the last result at a receiver; {len(rows)} studies one after another,"
        f" medians; {ANALYSES['shipped'].in_words}; {rows[0]['objects']:.0f} result objects.",
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} (a machine shared with other work).",
        "",
        "| stage | s |",
        "|---|---:|",
    ]
    for name in rows[0]:
        if name != "objects":
            lines.append(f"| {name} | {median(row[name] for row in rows):.2f} |")
    return "\n".join(lines) + "\n"


def _is_done(node: OrthancProcess, jobs: int) -> bool:
    return bool(node.get("/habitus/status")["jobs"] == {"done": jobs})


def _report(node: OrthancProcess, key: str) -> Any:
    answer = node.session.get(f"{node.url}/habitus/report/{key}", timeout=10.0)
    answer.raise_for_status()
    return json.loads(answer.content)


if __name__ == "__main__":
    sys.exit(main())
