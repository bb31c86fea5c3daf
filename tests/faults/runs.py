"""One run over a site: the studies are sent, the faults of a plan are brought about, and what is left is collected."""

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.analyses import Analysis
from tests.faults.inflict import Inflictor
from tests.faults.inventory import Finding, Inventory, inventory_of
from tests.faults.modality import Scanner
from tests.faults.plan import Fault, FaultKind
from tests.faults.receiver import LOG
from tests.faults.sabotage import sabotage
from tests.faults.scene import Scene, scene, wait_for_engine, wait_until_settled

IDLE_S = 2.0
"""Where nothing happens for so long, the next fault comes all the same."""
STEP_S = 0.05

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run ended."""

    accepted: tuple[str, ...]
    inventories: dict[str, Inventory]
    """By destination."""
    explained: frozenset[str]
    """SOP Instance UIDs of results of superseded jobs."""
    findings: tuple[Finding, ...]
    """Of the node itself: jobs that are stuck or were given up."""
    inflicted: Counter[FaultKind]
    left_out: Counter[FaultKind]
    facts: dict[str, int]
    wall_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is sent and what goes wrong meanwhile."""

    analysis: Analysis
    studies: int
    faults: tuple[Fault, ...] = ()
    sabotage: str = ""
    settle_s: float = 300.0


def run(task: Task, folder: Path, say: Say) -> Ended:
    """Send, disturb, wait for the end, collect; the folder is removed where nothing was found."""
    started = time.monotonic()
    with scene(folder, task.analysis, studies=task.studies) as site:
        wait_for_engine(site)
        if task.sabotage:
            sabotage(site.journal, task.sabotage)
        inflictor, scanner = Inflictor(site), Scanner(task.analysis)
        scanner.start()
        _disturb(task, site, inflictor, scanner, say)
        inflictor.calm()
        scanner.finish()
        say("all studies accepted; waiting for the end")
        left = wait_until_settled(site, scanner.accepted, task.settle_s)
        return _collect(site, scanner, inflictor, left, time.monotonic() - started)


def _disturb(task: Task, site: Scene, inflictor: Inflictor, scanner: Scanner, say: Say) -> None:
    """Faults at their moments; each study is handed to the scanner when its fault is reached."""
    ordered = 0
    for number, fault in enumerate(task.faults):
        while ordered < fault.study:
            scanner.order(ordered)
            ordered += 1
        _await_events(site, scanner, fault.after_events)
        time.sleep(fault.delay_s)
        inflictor.inflict(fault)
        if number % 10 == 9 or number + 1 == len(task.faults):
            say(f"{number + 1} of {len(task.faults)} faults, {len(scanner.accepted)} studies in")
    while ordered < task.studies:
        scanner.order(ordered)
        ordered += 1


def _await_events(site: Scene, scanner: Scanner, count: int) -> None:
    wanted = site.events() + scanner.events + count
    deadline = time.monotonic() + IDLE_S
    while site.events() + scanner.events < wanted and time.monotonic() < deadline:
        time.sleep(STEP_S)


def _collect(
    site: Scene, scanner: Scanner, inflictor: Inflictor, left: str, wall_s: float
) -> Ended:
    findings = [Finding(kind="stuck", where="node", what=left)] if left else []
    ended = site.rows("SELECT state, reason FROM jobs WHERE state IN ('dead', 'rejected')")
    findings += [
        Finding(kind="given up", where="node", what=f"{state}: {reason}") for state, reason in ended
    ]
    superseded = site.rows(
        "SELECT sop_uid FROM results JOIN jobs USING (key)"
        " WHERE superseded_by IS NOT NULL AND sop_uid IS NOT NULL"
    )
    return Ended(
        accepted=tuple(scanner.accepted),
        inventories={r.peer.name: inventory_of(r.folder) for r in site.receivers},
        explained=frozenset(str(uid) for (uid,) in superseded),
        findings=tuple(findings),
        inflicted=inflictor.inflicted,
        left_out=inflictor.left_out,
        facts=_facts(site, scanner),
        wall_s=wall_s,
    )


def _facts(site: Scene, scanner: Scanner) -> dict[str, int]:
    (attempts,) = site.rows("SELECT count(*), count(DISTINCT key) FROM attempts") or [(0, 0)]
    (superseded,) = site.rows("SELECT count(*) FROM jobs WHERE superseded_by IS NOT NULL") or [(0,)]
    stores = [_repeats(receiver.folder / LOG) for receiver in site.receivers]
    return {
        "slices that had to be sent again": scanner.repeats,
        "jobs": int(str(attempts[1])),
        "jobs begun, interrupted ones included": int(str(attempts[0])),
        "jobs superseded since a study came in two parts": int(str(superseded[0])),
        "C-STOREs of results answered": sum(receiver.stores() for receiver in site.receivers),
        "objects with two contents under one UID": sum(stores),
    }


def _repeats(log: Path) -> int:
    """How many UIDs came with more than one content."""
    contents: dict[str, set[str]] = {}
    for line in log.read_text().splitlines() if log.is_file() else ():
        entry = json.loads(line)
        contents.setdefault(entry["uid"], set()).add(entry["sha256"])
    return sum(len(found) > 1 for found in contents.values())


def forget(folder: Path, findings: Sequence[Finding]) -> None:
    """Remove what a run left, unless somebody has to look at it."""
    if not findings:
        shutil.rmtree(folder, ignore_errors=True)
