"""A synthetic patient sent to the node as a scanner would: docker compose run --rm demo."""

import argparse
import subprocess
import sys
import tempfile
import time
from typing import Any

import requests

from docker.start import Places
from inference.domain.errors import HabitusError, InferenceFailed
from orthanc_plugin.node.login import basic, password_in
from viewer.links import deep_link

ORTHANC = "http://orthanc:8042"
ENDED = ("done", "rejected", "dead")
RESULTS = ("SEG", "SR", "OT")
UP_S, JOB_S = 120.0, 600.0


class Node:
    """What is asked of its REST API."""

    def __init__(self) -> None:
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.auth = basic("habitus", password_in(Places().password_of("habitus")))

    def get(self, path: str) -> Any:
        """None while it does not answer."""
        try:
            answer = self._session.get(f"{ORTHANC}{path}", timeout=10)
        except requests.RequestException:
            return None
        return answer.json() if answer.ok else None


def main() -> int:
    """Paint, send, wait, and say where to look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewer", required=True, help="address of the viewer, for the link")
    parser.add_argument("--seed", type=int, default=1_000_001, help="another seed, another patient")
    options = parser.parse_args()
    try:
        return demonstrate(options.viewer, options.seed)
    except HabitusError as error:
        sys.stderr.write(f"demo: {error}\n")
        return error.exit_status


def demonstrate(viewer: str, seed: int) -> int:
    """All of it, in the order it happens."""
    node = Node()
    with tempfile.TemporaryDirectory() as folder:
        say("painting a synthetic patient (no real person)")
        subprocess.run(["habitus", "synth", folder, "--seed", str(seed)], check=True)
        waited_for(lambda: node.get("/habitus/health/ready"), UP_S, "a node that is ready")
        before = {job["key"] for job in jobs_of(node)}
        say("sending it by C-STORE")
        send(folder)
    job = waited_for(
        lambda: next(
            (j for j in jobs_of(node) if j["key"] not in before and j["state"] in ENDED), None
        ),
        JOB_S,
        "a job that has ended",
    )
    say(f"job: {job['state']} {job['reason'] or ''}")
    if job["state"] != "done":
        return 1
    return show(node, viewer, job)


def show(node: Node, viewer: str, job: dict[str, Any]) -> int:
    """Where the results can be looked at."""
    study = study_uid_of(node, job)
    found = set()
    for series in node.get("/series?expand") or []:
        tags = series["MainDicomTags"]
        if tags["Modality"] in RESULTS and series["ParentStudy"] == job["study_orthanc_id"]:
            found.add(tags["Modality"])
            link = deep_link(viewer, study, tags["SeriesInstanceUID"])
            say(f"{tags['Modality']:4}{tags.get('SeriesDescription', '')}\n      {link}")
    password = Places().secrets / "admin.password"
    say(f"The same and more: {viewer}/habitus/, user admin; its password:")
    say(f"  docker compose exec orthanc cat {password}")
    return 0 if set(RESULTS) <= found else 1


def study_uid_of(node: Node, job: dict[str, Any]) -> str:
    """Of the study that the job analysed."""
    uid: str = node.get(f"/studies/{job['study_orthanc_id']}")["MainDicomTags"]["StudyInstanceUID"]
    return uid


def jobs_of(node: Node) -> list[dict[str, Any]]:
    """Newest first."""
    answer = node.get("/habitus/jobs") or {"jobs": []}
    return list(answer["jobs"])


def send(folder: str) -> None:
    """By DCMTK, as AE SCANNER, which orthanc.json knows."""
    sent = subprocess.run(
        ["storescu", "-aet", "SCANNER", "-aec", "HABITUS", "+sd", "orthanc", "4242", folder],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "TCP_NODELAY": "1"},
    )
    if sent.returncode != 0:
        raise InferenceFailed(
            found=f"storescu ended with {sent.returncode}: {sent.stderr.strip()[-200:]}",
            wanted="every image stored",
            advice="Does orthanc.json still know a sender of AE title SCANNER?",
        )


def waited_for(look: Any, limit_s: float, what: str) -> Any:
    """The first answer that is one; raises InferenceFailed."""
    started = time.monotonic()
    while time.monotonic() - started < limit_s:
        if answer := look():
            return answer
        time.sleep(0.5)
    raise InferenceFailed(
        found=f"nothing within {limit_s:.0f} s",
        wanted=what,
        advice="docker compose logs says more.",
    )


def say(text: str) -> None:
    """A line for people."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
