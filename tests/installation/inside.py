"""Runs in the bare root, in the installed environment: Orthanc as its own user, a receiver, and CT sent by C-STORE."""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests

ORTHANC = ("runuser", "-u", "orthanc", "--", "/usr/sbin/Orthanc", "/etc/habitus/orthanc.json")
URL = "http://127.0.0.1:8042"
PACS = Path("/root/pacs")
PACS_HTTP_PORT = 8043
LOG = Path("/root/orthanc.log")
UNIT = Path("/etc/systemd/system/habitus-node.service")
WAIT_S = 420.0
ENDED = ("done", "rejected", "dead")


def main() -> int:
    """One part of the trial; the bare root's processes end with it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "part", choices=("first", "leave-a-queue", "take-up", "after-roll-back", "standalone")
    )
    part = parser.parse_args().part
    with ExitStack() as running:
        running.enter_context(receiver())
        if part == "standalone":
            running.enter_context(node_of_its_own())
        session = running.enter_context(orthanc())
        if part == "first":
            doctor()
            send("/root/ct1")
            wait_for_results(session, studies=1)
        elif part == "leave-a-queue":
            send("/root/ct2", "/root/ct3")
            wait_for(lambda: len(jobs(session)) == 3, "two more jobs")
        elif part == "take-up":
            wait_for_results(session, studies=3)
        elif part == "after-roll-back":
            send("/root/ct4")
            wait_for_results(session, studies=4)
        else:
            assert session.get(f"{URL}/habitus/status").json()["node"]["supervised"] is False
            send("/root/ct5")
            wait_for_results(session, studies=5)
        states = Counter(job["state"] for job in jobs(session))
        say(f"jobs {dict(sorted(states.items()))}, received {dict(sorted(received().items()))}")
    return 0


@contextmanager
def orthanc() -> Iterator[requests.Session]:
    """As the unit starts it, by hand."""
    session = requests.Session()
    session.trust_env = False
    session.auth = ("habitus", Path("/etc/habitus/orthanc.password").read_text().strip())
    with LOG.open("ab") as log:
        process = subprocess.Popen(
            ORTHANC, stdout=log, stderr=log, env={**os.environ, "MALLOC_ARENA_MAX": "2"}
        )
    started = time.monotonic()
    try:
        wait_for(lambda: answers(session), "a node that is ready")
        release = Path("/opt/habitus/current").resolve().name
        say(f"ready after {time.monotonic() - started:.1f} s with release {release}")
        assert session.get(f"{URL}/system", auth=("habitus", "wrong"), timeout=5).status_code == 401
        yield session
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def node_of_its_own() -> Iterator[None]:
    """The command line and the folder of the installed unit, without its restrictions."""
    unit = dict(
        line.split("=", 1)
        for line in UNIT.read_text().splitlines()
        if line.startswith(("ExecStart=", "WorkingDirectory="))
    )
    with LOG.open("ab") as log:
        process = subprocess.Popen(
            ["runuser", "-u", "orthanc", "--", *shlex.split(unit["ExecStart"])],
            cwd=unit["WorkingDirectory"],
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def answers(session: requests.Session) -> bool:
    """Whether a study that came now would be analysed."""
    try:
        return session.get(f"{URL}/habitus/health/ready", timeout=5).ok
    except requests.ConnectionError:
        return False


@contextmanager
def receiver() -> Iterator[None]:
    """The PACS: a plain Orthanc that knows HABITUS and answers its queries."""
    PACS.mkdir(exist_ok=True)
    configuration = PACS / "pacs.json"
    configuration.write_text(
        json.dumps(
            {
                "StorageDirectory": str(PACS),
                "IndexDirectory": str(PACS),
                "DicomAet": "PACS",
                "DicomPort": 11112,
                "HttpPort": PACS_HTTP_PORT,
                "AuthenticationEnabled": False,
                "DicomModalities": {
                    "habitus": {"AET": "HABITUS", "Host": "127.0.0.1", "Port": 4242}
                },
                "Plugins": [],
            }
        )
    )
    with LOG.with_name("pacs.log").open("ab") as log:
        process = subprocess.Popen(
            ["/usr/sbin/Orthanc", str(configuration)], stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def doctor() -> None:
    """What it says of this very installation, as the node's user."""
    told = subprocess.run(
        [
            *("runuser", "-u", "orthanc", "--", "habitus", "doctor"),
            *("--settings", "/etc/habitus/habitus.toml"),
            *("--orthanc-config", "/etc/habitus/orthanc.json"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    say(f"habitus doctor ended with {told.returncode}")
    sys.stdout.write(
        "".join(f"  {line}\n" for line in told.stdout.splitlines() if line[:2] != "ok")
    )
    sys.stdout.write(told.stderr)


def send(*folders: str) -> None:
    """C-STORE, as a scanner would."""
    for folder in folders:
        subprocess.run(
            ["storescu", "-aet", "SCANNER", "-aec", "HABITUS", "+sd", "127.0.0.1", "4242", folder],
            env={**os.environ, "TCP_NODELAY": "1"},
            check=True,
        )


def jobs(session: requests.Session) -> list[dict[str, Any]]:
    """All that the node knows."""
    found: list[dict[str, Any]] = session.get(f"{URL}/habitus/jobs", timeout=10).json()["jobs"]
    return found


def done(session: requests.Session) -> list[dict[str, Any]]:
    """Those that ended well; any other end is the trial's."""
    known = jobs(session)
    if ill := [job for job in known if job["state"] in ENDED and job["state"] != "done"]:
        raise SystemExit(f"a job ended as {ill[0]['state']}: {ill[0]['reason']}")
    return [job for job in known if job["state"] == "done"]


def received() -> "Counter[str]":
    """Objects at the PACS, by modality."""
    found: Counter[str] = Counter()
    with requests.Session() as session:
        session.trust_env = False
        listed = session.get(f"http://127.0.0.1:{PACS_HTTP_PORT}/series?expand", timeout=10)
    for series in listed.json():
        found[series["MainDicomTags"]["Modality"]] += len(series["Instances"])
    return found


def wait_for_results(session: requests.Session, *, studies: int) -> None:
    """Of each study two SEG, a report and a picture page, once; nothing else."""
    wanted = Counter(SEG=2 * studies, SR=studies, OT=studies)
    wait_for(lambda: len(done(session)) == studies, f"{studies} finished jobs")
    wait_for(lambda: received() == wanted, f"{dict(wanted)} at the PACS")


def wait_for(is_so: Callable[[], bool], what: str) -> None:
    """Poll; ends the trial when it never is."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if is_so():
            return
        time.sleep(0.5)
    raise SystemExit(
        f"no {what} within {WAIT_S:.0f} s; the end of Orthanc's log:\n{LOG.read_text()[-3000:]}"
    )


def say(text: str) -> None:
    """One line of the trial's own report."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
