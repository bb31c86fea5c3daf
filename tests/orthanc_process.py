"""A real Orthanc with the plugin, in a network namespace of its own: it binds every address, so nothing else may see it."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from orthanc_plugin.node.orthanc_config import (
    PLUGIN_LIBRARY,
    OrthancFiles,
    OrthancOptions,
    Peer,
    StaffMember,
    environment_of,
    write_configuration,
)
from orthanc_plugin.node.private_network import enter_private_network, private_network_is_allowed

ORTHANC = Path("/usr/sbin/Orthanc")
MORTAL = ("setpriv", "--pdeathsig", "KILL", "--")
"""Before a command (util-linux): what a test starts ends with it, however that ends."""
REPOSITORY_ROOT = Path(__file__).resolve().parents[1]
DICOM_PORT = 14242
HTTP_PORT = 18042
RECEIVER_PORT = 11112
SENDER = Peer(name="scanner", ae_title="SCANNER", host="127.0.0.1", port=11110, may_store=True)
STAFF = (
    StaffMember(user="vera", role="viewer"),
    StaffMember(user="otto", role="operator"),
    StaffMember(user="nils", role="none"),
)
RECEIVER = Peer(name="pacs", ae_title="PACS", host="127.0.0.1", port=RECEIVER_PORT)


@cache
def why_not() -> str:
    """The reason a real Orthanc cannot be started here; empty where it can."""
    if not ORTHANC.exists() or not PLUGIN_LIBRARY.exists():
        return "needs orthanc and orthanc-python"
    if os.geteuid() != 0 or not private_network_is_allowed():
        return "needs root and a machine that allows network namespaces"
    return ""


@contextmanager
def private_network() -> Iterator[None]:
    """This thread, and every process and thread it starts, in a fresh network with loopback only; then back."""
    with Path("/proc/thread-self/ns/net").open("rb") as before:
        if not enter_private_network():
            raise AssertionError("no network namespace")
        try:
            yield
        finally:
            ctypes.CDLL(None).setns(before.fileno(), 0)


@dataclass(slots=True)
class OrthancProcess:
    """One Orthanc with its node; may be killed and started again on the same folders."""

    folder: Path
    files: OrthancFiles
    process: subprocess.Popen[bytes] | None = None
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def url(self) -> str:
        """Of the REST API."""
        return f"http://127.0.0.1:{HTTP_PORT}"

    @property
    def log_path(self) -> Path:
        """What Orthanc and the node wrote to stdout and stderr."""
        return self.folder / "orthanc.log"

    @property
    def behaviour(self) -> Path:
        """What the fake analyser shall do."""
        return self.folder / "models" / "behaviour"

    def start(self) -> None:
        """Start Orthanc and wait until its REST API answers."""
        self.session.trust_env = False
        # Orthanc may close a resting connection at the very moment at which the next request goes out on it.
        asked_again = Retry(connect=0, read=2, other=0, backoff_factor=0.1, allowed_methods=["GET"])
        self.session.mount("http://", HTTPAdapter(max_retries=asked_again))
        self.session.auth = ("habitus", self.files.password.read_text().strip())
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*MORTAL, str(ORTHANC), str(self.files.configuration)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment_of(os.environ),
                start_new_session=True,
            )
        wait_for(self._answers, 20.0, "Orthanc's REST API")

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM, as an administrator would."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15.0)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def get(self, path: str) -> Any:
        """JSON of a route."""
        response = self.session.get(self.url + path, timeout=10.0)
        response.raise_for_status()
        return response.json()

    def jobs(self) -> list[dict[str, Any]]:
        """The node's jobs, newest first."""
        response = self.session.get(f"{self.url}/habitus/jobs", timeout=10.0)
        return list(response.json()["jobs"]) if response.ok else []

    def login(self, user: str) -> tuple[str, str]:
        """Name and password of one of the staff."""
        return user, self.files.staff_passwords[user].read_text().strip()

    def ask(
        self, path: str, fields: dict[str, Any] | None = None, user: str = "otto"
    ) -> requests.Response:
        """POST as a program does."""
        return requests.post(
            self.url + path,
            json=fields or {},
            headers={"X-Requested-With": "test"},
            auth=self.login(user),
            timeout=10.0,
        )

    def outcome(self, answer: requests.Response) -> str:
        """What became of a command that was accepted."""
        answer.raise_for_status()
        path = f"/habitus/commands/{answer.json()['command']}"
        wait_for(
            lambda: self.get(path)["outcome"] not in (None, "begun"), 60.0, f"an outcome of {path}"
        )
        return str(self.get(path)["outcome"])

    def wait_for_jobs(self, states: list[str], timeout_s: float = 30.0) -> list[dict[str, Any]]:
        """The jobs once their sorted states are these."""
        wait_for(
            lambda: sorted(job["state"] for job in self.jobs()) == sorted(states),
            timeout_s,
            lambda: f"jobs {states}, found {[(j['state'], j['reason']) for j in self.jobs()]}",
        )
        return self.jobs()

    def wait_for_deliveries(self, states: set[str], timeout_s: float = 30.0) -> None:
        """Until every delivery of every job is in one of these states."""
        wait_for(
            lambda: all(d["state"] in states for job in self.jobs() for d in job["deliveries"]),
            timeout_s,
            lambda: f"deliveries {states}, found {[job['deliveries'] for job in self.jobs()]}",
        )

    def node_pid(self) -> int | None:
        """Of the node's process."""
        pid = self.get("/habitus/status")["node"]["pid"]
        return None if pid is None else int(pid)

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(
                f"Orthanc ended ({self.process.returncode}): {self.log_path.read_text()[-2000:]}"
            )
        try:
            return self.session.get(f"{self.url}/system", timeout=2.0).ok
        except requests.ConnectionError:
            return False


def wait_for(
    condition: Callable[[], bool], timeout_s: float, what: str | Callable[[], str]
) -> None:
    """Return once the condition holds; fails the test when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            name = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {timeout_s:g} s: {name}")
        time.sleep(0.1)


def child_pids(pid: int) -> list[int]:
    """Processes started by a process."""
    lines = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return [int(line) for line in lines.split()]


SETTINGS = """
data_folder = "node"

[orthanc]
url = "http://127.0.0.1:{http_port}"
user = "habitus"
password_file = "etc/orthanc.password"

[intake]
quiet_s = 0.6
poll_s = 0.2

[engine]
models_folder = "models"
analyser = "tests.fake_analyser"
job_wall_clock_s = {job_wall_clock_s}
retry_backoff_s = 0.05

[outbox]
poll_s = 0.1
first_retry_s = 0.3

[[destinations]]
name = "pacs"
"""


@contextmanager
def orthanc(
    folder: Path,
    *,
    job_wall_clock_s: float = 30.0,
    node: str = "embedded",
    settings: str = SETTINGS,
    further: Mapping[str, Any] | None = None,
) -> Iterator[OrthancProcess]:
    """A running Orthanc with the plugin and, unless told otherwise, the fake analyser; all lies in the folder."""
    (folder / "models").mkdir(parents=True, exist_ok=True)
    settings_path = folder / "habitus.toml"
    settings_path.write_text(
        settings.format(job_wall_clock_s=job_wall_clock_s, http_port=HTTP_PORT)
    )
    options = OrthancOptions(
        storage_folder=folder / "storage",
        settings_path=settings_path,
        node_python=Path(sys.executable),
        peers=(SENDER, RECEIVER),
        staff=STAFF,
        dicom_port=DICOM_PORT,
        http_port=HTTP_PORT,
        node=node,
    )
    files = write_configuration(options, folder / "etc")
    configuration = json.loads(files.configuration.read_text()) | dict(further or {})
    files.configuration.write_text(json.dumps(configuration))
    running = OrthancProcess(folder=folder, files=files)
    running.start()
    try:
        yield running
    finally:
        # The node must stand a kill at any moment, so that a polite stop would only cost time.
        running.kill()


@contextmanager
def standalone_node(running: OrthancProcess) -> Iterator[subprocess.Popen[bytes]]:
    """The node as a unit of its own beside an Orthanc that was told so."""
    with running.log_path.open("ab") as log:
        process = subprocess.Popen(
            [
                *MORTAL,
                sys.executable,
                *("-m", "orthanc_plugin.node", "--standalone"),
                *("--settings", str(running.folder / "habitus.toml")),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=REPOSITORY_ROOT,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10.0)
