"""make soak: 500 studies queued at once, the memory of Orthanc, node and engine child meanwhile; a journal of 100,000 jobs."""

import argparse
import os
import platform
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from orthanc_plugin.node.private_network import enter_private_network
from tests.benchmarks.journal_size import JOBS, fill, question_ms
from tests.dicom_peers import receiver, send
from tests.faults.analyses import ANALYSES, Analysis
from tests.orthanc_process import OrthancProcess, child_pids, orthanc, wait_for, why_not

STUDIES = 500
WARM_AFTER = 50
"""Jobs done before memory is compared: caches fill and allocators find their size."""
GROWTH_LIMIT = 1.10
QUESTION_LIMIT_MS = 20.0
LOOK_S = 2.0
SHARE = 0.1
"""Of the looks after the start: medians of the first and the last tenth are compared."""

SETTINGS = """
data_folder = "node"
[orthanc]
url = "http://127.0.0.1:{http_port}"
[intake]
quiet_s = 5
[engine]
job_wall_clock_s = {job_wall_clock_s}
ENGINE
[[destinations]]
modality = "pacs"
"""


@dataclass(slots=True)
class Watch:
    """Resident memory by process, look by look."""

    megabytes: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    """Jobs ended by then, and MB."""
    engine_children: set[int] = field(default_factory=set)

    def look(self, node: OrthancProcess, ended: int) -> None:
        """Read the kernel's figures once."""
        assert node.process is not None
        node_pid = next(iter(child_pids(node.process.pid)), None)
        child_pid = next(iter(child_pids(node_pid)), None) if node_pid else None
        if child_pid:
            self.engine_children.add(child_pid)
        for name, pid in (
            ("Orthanc", node.process.pid),
            ("node", node_pid),
            ("engine child", child_pid),
        ):
            if pid and (found := _resident_mb(pid)):
                self.megabytes.setdefault(name, []).append((ended, found))

    def growth(self, name: str) -> tuple[float, float, float]:
        """MB in the first and in the last tenth after the warm-up, and their ratio."""
        settled = [mb for ended, mb in self.megabytes[name] if ended >= WARM_AFTER]
        count = max(1, int(len(settled) * SHARE))
        early, late = median(settled[:count]), median(settled[-count:])
        return early, late, late / early


def main() -> int:
    """0 where every study is done, memory is flat and the journal is quick."""
    arguments = _arguments()
    if reason := why_not():
        sys.stderr.write(f"cannot run here: {reason}\n")
        return 2
    enter_private_network()
    questions = journal_questions()
    states, watch, wall_s = soak(ANALYSES[arguments.analysis], arguments.studies)
    text = table(arguments, questions, states, watch, wall_s)
    sys.stdout.write(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    is_good = (
        states == {"done": arguments.studies}
        and all(watch.growth(name)[2] <= GROWTH_LIMIT for name in watch.megabytes)
        and all(ms < QUESTION_LIMIT_MS for ms in questions.values())
    )
    return int(not is_good)


def journal_questions() -> dict[str, float]:
    """Milliseconds by question."""
    with TemporaryDirectory(prefix="habitus-journal-") as folder:
        sys.stdout.write(f"filling a journal with {JOBS} jobs\n")
        fill(Path(folder) / "journal.db")
        return dict(question_ms(Path(folder) / "journal.db"))


def soak(analysis: Analysis, studies: int) -> tuple[Counter[str], Watch, float]:
    """Everything is sent at once, then watched to its end."""
    watch, started = Watch(), time.monotonic()
    settings = SETTINGS.replace("ENGINE", analysis.engine_settings)
    with (
        TemporaryDirectory(prefix="habitus-soak-") as folder,
        orthanc(Path(folder), settings=settings, job_wall_clock_s=120.0) as node,
        receiver(),
    ):
        wait_for(lambda: bool(node.get("/habitus/status")["engine"]), 60.0, "the engine")
        for number in range(studies):
            waiting = analysis.study(number)
            while waiting:
                answers = send(waiting) or [None] * len(waiting)
                waiting = [
                    image for image, status in zip(waiting, answers, strict=True) if status != 0
                ]
            watch.look(node, _ended(node).total())
            if number % 50 == 49:
                sys.stdout.write(f"{time.monotonic() - started:6.0f} s  {number + 1} sent\n")
        said = 0
        while (ended := _ended(node)).total() < studies:
            watch.look(node, ended.total())
            if ended.total() >= said + 25:
                said = ended.total()
                sys.stdout.write(f"{time.monotonic() - started:6.0f} s  {dict(ended)}\n")
                sys.stdout.flush()
            time.sleep(LOOK_S)
        return ended, watch, time.monotonic() - started


def table(
    arguments: argparse.Namespace,
    questions: dict[str, float],
    states: Counter[str],
    watch: Watch,
    wall_s: float,
) -> str:
    """What came of it."""
    lines = [
        "`make soak`",
        "",
        f"{arguments.studies} studies sent as fast as Orthanc takes them; {ANALYSES[arguments.analysis].in_words}.",
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[2]:.1f} (a machine shared with other work).",
        "",
        f"Ended: {', '.join(f'{n} {state}' for state, n in sorted(states.items()))}; {wall_s:.0f} s in all;"
        f" {len(watch.engine_children)} engine children (the node replaces one that grew or did many jobs).",
        "",
        f"| process | MB after {WARM_AFTER} jobs | MB at the end | ratio (wanted ≤ {GROWTH_LIMIT:.2f}) | most MB |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, looks in watch.megabytes.items():
        early, late, ratio = watch.growth(name)
        most = max(mb for _, mb in looks)
        lines.append(f"| {name} | {early:.0f} | {late:.0f} | {ratio:.3f} | {most:.0f} |")
    lines += [
        "",
        f"Questions to a journal of {JOBS:,} jobs (medians; wanted < {QUESTION_LIMIT_MS:.0f} ms):",
        "",
        "| question | ms |",
        "|---|---:|",
        *(f"| {name} | {ms:.2f} |" for name, ms in questions.items()),
    ]
    return "\n".join(lines) + "\n"


def _ended(node: OrthancProcess) -> Counter[str]:
    jobs = node.get("/habitus/status")["jobs"]
    return Counter(
        {state: n for state, n in jobs.items() if state not in ("queued", "running", "computed")}
    )


def _resident_mb(pid: int) -> float | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), None)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.benchmarks.soak", description=__doc__)
    parser.add_argument("--studies", type=int, default=STUDIES)
    parser.add_argument("--analysis", default="shipped", choices=list(ANALYSES))
    parser.add_argument("--out", type=Path, help="file for the table")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
