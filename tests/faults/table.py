"""The table that a run leaves."""

import argparse
import os
import platform
from collections.abc import Sequence

from tests.faults.analyses import ANALYSES
from tests.faults.inventory import Finding
from tests.faults.plan import KILLS, FaultKind
from tests.faults.runs import Ended
from tests.faults.scene import QUIET_S, RECEIVERS

SHOWN_FINDINGS = 20


def markdown(
    arguments: argparse.Namespace, calm: Ended, disturbed: Ended, findings: Sequence[Finding]
) -> str:
    """What was done, what came of it, and under which conditions."""
    kills = sum(disturbed.inflicted[kind] for kind in KILLS)
    objects = {
        name: sum(len(held) for held in inventory.values())
        for name, inventory in disturbed.inventories.items()
    }
    lines = [
        f"`python -m tests.faults --studies {arguments.studies} --kills {arguments.kills}"
        f" --seed {arguments.seed} --analysis {arguments.analysis}`",
        "",
        "A real Orthanc with the plugin;",
        f"{ANALYSES[arguments.analysis].in_words};",
        f"{len(RECEIVERS)} required destinations, receivers in processes of their own that keep files; the node's data folder",
        "on a small tmpfs, its clock under libfaketime (monotonic time excepted); at most two child kills per job; quiet time",
        f"{QUIET_S:g} s. Moments are counted in events (steps of the journal, C-STOREs); the plan is a function of the seed.",
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores shared with other work (load {os.getloadavg()[2]:.0f}).",
        "",
        "| what | |",
        "|---|---|",
        f"| studies accepted (every slice answered with success) | {len(disturbed.accepted)} |",
        f"| kills | {kills} |",
        f"| other faults | {disturbed.inflicted.total() - kills} |",
        *(f"| objects at {name} | {count} |" for name, count in objects.items()),
        *(f"| {name} | {count} |" for name, count in disturbed.facts.items()),
        f"| objects of superseded jobs at destinations | {_explained(disturbed)} |",
        f"| undisturbed run, disturbed run | {calm.wall_s:.0f} s, {disturbed.wall_s:.0f} s |",
        f"| **lost, missing, extra, changed, stuck or given up** | **{len(findings)}** |",
        "",
        "| fault | brought about | found nothing to hit |",
        "|---|---|---|",
        *(
            f"| {kind.value} | {disturbed.inflicted[kind]} | {disturbed.left_out[kind]} |"
            for kind in FaultKind
        ),
    ]
    lines += [f"\n{f.kind} at {f.where}: {f.what}" for f in findings[:SHOWN_FINDINGS]]
    return "\n".join(lines) + "\n"


def _explained(ended: Ended) -> int:
    return sum(
        uid in ended.explained
        for inventory in ended.inventories.values()
        for held in inventory.values()
        for uid in held
    )
