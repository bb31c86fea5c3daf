"""What is asked of the running containers from outside: by DICOM, by HTTPS, and what podman knows of them."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.containers.engine import ROOT
from tests.containers.private_host import PrivateHost

VIEWER = "https://localhost:8443"
PACS = "http://127.0.0.1:8043"
METRICS = "http://127.0.0.1:9645"
HARDENING = "id -u; awk '/^CapEff|^NoNewPrivs/ {print $2}' /proc/1/status; touch /probe 2>&1 | grep -c 'Read-only'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """A person, a scanner and a PACS on the host."""

    host: PrivateHost

    def password(self, user: str) -> str:
        """As the README says that it is read."""
        path = f"/var/lib/habitus-secrets/{user}.password"
        return self.host.run("podman", "exec", container("orthanc"), "cat", path).stdout.strip()

    def status(self, path: str, *options: str) -> int:
        """Of an answer of the viewer's address; 0 where there is none."""
        shown = ("--output", "/dev/null", "--write-out", "%{http_code}")
        told = self.host.run(
            *("curl", "--silent", "--insecure", "--noproxy", "*", "--max-time", "20"),
            *(*shown, *options, f"{VIEWER}{path}"),
            may_fail=True,
        )
        return int(told.stdout or 0)

    def json(self, url: str, user: str | None = None) -> Any:
        """None where there is no such answer."""
        known = ("--user", f"{user}:{self.password(user)}") if user else ()
        told = self.host.run(
            *("curl", "--silent", "--insecure", "--fail", "--noproxy", "*", "--max-time", "20"),
            *(*known, url),
            may_fail=True,
        )
        return json.loads(told.stdout) if told.returncode == 0 else None

    def jobs(self) -> list[dict[str, Any]]:
        """Newest first."""
        answer = self.json(f"{VIEWER}/habitus/jobs", "admin") or {"jobs": []}
        return list(answer["jobs"])

    def metrics(self) -> list[str]:
        """Lines of the node's page for Prometheus, as Prometheus on the same host sees it."""
        told = self.host.run(
            "curl", "--silent", "--noproxy", "*", f"{METRICS}/metrics", may_fail=True
        )
        return told.stdout.splitlines()

    def arrived(self) -> list[str]:
        """Modalities of the series at the PACS, sorted."""
        return sorted(
            series["MainDicomTags"]["Modality"]
            for series in self.json(f"{PACS}/series?expand") or []
        )

    def send(self, folder: Path, calling: str = "SCANNER") -> str:
        """A series by C-STORE to the published port; what became of it."""
        sent = self.host.run(
            *("storescu", "-aet", calling, "-aec", "HABITUS", "+sd", "127.0.0.1", "4242"),
            str(folder),
            may_fail=True,
            environment={"TCP_NODELAY": "1"},
        )
        if "Association Rejected" in sent.stdout + sent.stderr:
            return "rejected"
        return "taken" if sent.returncode == 0 else f"failed: {sent.stderr[-200:]}"

    def hardening(self, service: str) -> tuple[str, ...]:
        """User, effective capabilities, whether new privileges are barred, whether the root is read-only."""
        told = self.host.run(
            "podman", "exec", container(service), "sh", "-c", HARDENING, may_fail=True
        )
        return tuple(told.stdout.split())

    def exit_status(self, service: str) -> int:
        """Of a container that has ended."""
        told = self.host.run(
            "podman", "inspect", "--format", "{{.State.ExitCode}}", container(service)
        )
        return int(told.stdout)

    def told_of(self, service: str) -> str:
        """Everything that podman tells of a container, and its log."""
        inspected = self.host.run("podman", "inspect", container(service))
        log = self.host.run("podman", "logs", container(service), may_fail=True)
        return inspected.stdout + log.stdout + log.stderr


def container(service: str) -> str:
    """Its name, as compose gives it."""
    return f"habitus_{service}_1"


def painted(folder: Path, seed: int) -> Path:
    """A synthetic patient, as files."""
    subprocess.run(
        ["./habitus", "synth", str(folder), "--seed", str(seed)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    return folder
