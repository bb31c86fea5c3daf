"""A node that loses nothing, over a real Orthanc: `python -m tests.faults --studies 60 --kills 200 --seed 1`."""

import argparse
import signal
import sys
import time
from pathlib import Path
from tempfile import mkdtemp

from orthanc_plugin.node.private_network import enter_private_network
from tests.faults.analyses import ANALYSES
from tests.faults.inventory import Finding, compare
from tests.faults.plan import plan_of
from tests.faults.runs import Ended, Task, forget, run
from tests.faults.sabotage import SABOTAGES
from tests.faults.scene import CLOCK_LIBRARY, RECEIVERS, enter_private_mounts
from tests.faults.table import markdown
from tests.orthanc_process import why_not


def main() -> int:
    """0 where the disturbed run ended as the undisturbed one; 1 with findings; 2 where it cannot run here."""
    arguments = _arguments()
    if reason := why_not_here():
        sys.stderr.write(f"found a machine that {reason.replace('needs', 'lacks')}; wanted it\n")
        return 2
    if not enter_private_network():
        return 2
    enter_private_mounts()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    folder = Path(mkdtemp(prefix="habitus-faults-"))
    started = time.monotonic()

    def say(text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - started:6.0f} s  {text}\n")
        sys.stdout.flush()

    analysis = ANALYSES[arguments.analysis]
    faults = plan_of(
        arguments.seed,
        studies=arguments.studies,
        kills=arguments.kills,
        destinations=len(RECEIVERS),
    )
    say(f"undisturbed: {arguments.studies} studies")
    calm = run(Task(analysis=analysis, studies=arguments.studies), folder / "calm", say)
    say(f"disturbed: {len(faults)} faults, {arguments.kills} of them kills")
    task = Task(
        analysis=analysis,
        studies=arguments.studies,
        faults=faults,
        sabotage=arguments.sabotage,
        settle_s=arguments.settle_s,
    )
    disturbed = run(task, folder / "disturbed", say)
    findings = findings_of(calm, disturbed)
    text = markdown(arguments, calm, disturbed, findings)
    sys.stdout.write(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    forget(folder, findings)
    if findings:
        sys.stdout.write(f"what the runs left: {folder}\n")
    return int(bool(findings))


def why_not_here() -> str:
    """The reason why no site can be disturbed on this machine; empty where it can."""
    return why_not() or ("" if CLOCK_LIBRARY.is_file() else "needs libfaketime")


def findings_of(calm: Ended, disturbed: Ended) -> list[Finding]:
    """Everything in which the disturbed run differs; an undisturbed run with findings is one itself."""
    findings = [*calm.findings, *disturbed.findings]
    for name, expected in calm.inventories.items():
        findings += compare(
            name,
            expected,
            disturbed.inventories[name],
            disturbed.accepted,
            disturbed.explained,
        )
    if twice := disturbed.facts["objects with two contents under one UID"]:
        findings.append(Finding(kind="changed", where="node", what=f"{twice} UIDs, two contents"))
    return findings


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.faults", description=__doc__)
    parser.add_argument("--studies", type=int, default=60)
    parser.add_argument("--kills", type=int, default=200, help="SIGKILLs at moments of the plan")
    parser.add_argument("--seed", type=int, default=1, help="another plan of the same kinds")
    parser.add_argument("--analysis", default="shipped", choices=list(ANALYSES))
    parser.add_argument("--sabotage", default="", choices=["", *SABOTAGES], help="a faulty node")
    parser.add_argument(
        "--settle-s", type=float, default=300.0, help="after which what has no end counts as stuck"
    )
    parser.add_argument("--out", type=Path, help="write the table here")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
