"""make container-check: the images are built and the compose file is run, used, broken and stopped for real."""

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from inference.domain.errors import HabitusError, InferenceFailed
from tests.containers.engine import FOLDER, ROOT, Engine
from tests.containers.outside import Outside, container, painted
from tests.containers.private_host import PrivateHost, private_host
from tests.containers.readme_commands import readme_commands, write_shim
from tests.containers.table import Table

RESULTS = ["OT", "SEG", "SEG", "SR"]
LARGEST_MB = 1200
READY_S, JOB_S = 120.0, 600.0
HARDENED = ("10001", "0000000000000000", "1", "1")
SERVICES = ("orthanc", "node", "viewer")
LINK = re.compile(r"^SEG .*organs.*\n +(https\S+)$", re.MULTILINE)
PACS = {
    "Name": "PACS",
    "DicomAet": "PACS",
    "DicomPort": 4242,
    "HttpPort": 8042,
    "StorageDirectory": "/tmp/pacs",
    "IndexDirectory": "/tmp/pacs",
    "RemoteAccessAllowed": True,
    "AuthenticationEnabled": False,
    "DicomCheckCalledAet": True,
    "DicomAlwaysAllowStore": True,
    # The node asks whether what it sent is there.
    "DicomModalities": {"habitus": {"AET": "HABITUS", "Host": "orthanc", "Port": 4242}},
    "DicomAlwaysAllowFind": True,
}


def main() -> int:
    """All parts in turn; exit status 1 where one of them does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", default="trixie", help="Debian that the images stand on")
    parser.add_argument("--out", type=Path, help="a page of what was seen")
    options = parser.parse_args()
    table = Table(release=options.release)
    try:
        engine = Engine()
        engine.prepare()
        base = table.timed("base image", lambda: engine.base(options.release))
        engine.environment["HABITUS_BASE"] = base
        with private_host(engine) as host:
            follow_readme(host, table)
            use(host, table)
    except HabitusError as error:
        sys.stderr.write(f"container-check: {error}\n")
        return error.exit_status
    finally:
        if options.out is not None:
            options.out.write_text(table.page(), encoding="utf-8")
    return 0 if table.holds else 1


def follow_readme(host: PrivateHost, table: Table) -> None:
    """Its commands as they stand there, from nothing to a result in OHIF."""
    with _fresh(host):
        path = f"{write_shim(host, FOLDER / 'bin')}:{host.engine.environment['PATH']}"
        said, folder = "", ROOT
        for command in readme_commands():
            if command.startswith("cd "):
                folder /= command.removeprefix("cd ")
                continue
            act = partial(_in_shell, command, folder, {**host.engine.environment, "PATH": path})
            said += table.timed(f"README: `{command}`", act)
        for target in ("cpu", "viewer"):
            size_mb = host.engine.size_mb(f"localhost/habitus:{target}")
            table.see(f"image {target}", f"{size_mb:.0f} MB", size_mb <= LARGEST_MB)
        found = LINK.search(said)
        table.see("README: a link to the organs was printed", str(found is not None), bool(found))
        if found:
            table.see("OHIF in a browser, by that link", *_seen_in_browser(host, found[1]))


def use(host: PrivateHost, table: Table) -> None:
    """With a PACS: from a C-STORE outside to results at the PACS; hardening, restart, stop."""
    with _fresh(host), _configured(host) as compose:
        outside = Outside(host=host)
        started = time.monotonic()
        compose("up", "--detach")
        ready_s = _waited(lambda: outside.status("/habitus/health/ready", *_admin(outside)) == 200)
        table.see(
            "from `up` to ready for a study",
            f"{time.monotonic() - started:.1f} s",
            ready_s is not None,
        )
        _see_hardening(outside, table)
        _see_doors(outside, table)
        ct = painted(FOLDER / "ct", 1_000_001)
        for calling, wanted in (("STRANGER", "rejected"), ("SCANNER", "taken")):
            became = outside.send(ct, calling)
            table.see(f"C-STORE from outside, by {calling}", became, became == wanted)
        came_s = _waited(lambda: outside.arrived() == RESULTS)
        table.see("SEG, SR and page at the PACS after", f"{came_s} s", came_s is not None)
        _see_metrics(outside, table)
        _see_restart(host, outside, table)
        _see_secrets(outside, table)
        _see_stop(compose, outside, table)


def _see_hardening(outside: Outside, table: Table) -> None:
    for service in SERVICES:
        found = outside.hardening(service)
        table.see(
            f"{service}: user, capabilities, no new privileges, read-only root",
            " ".join(found),
            found == HARDENED,
        )
        health = outside.host.run(
            "podman", "healthcheck", "run", container(service), may_fail=True
        ).returncode
        table.see(f"{service}: health check", str(health), health == 0)


def _see_doors(outside: Outside, table: Table) -> None:
    known = _admin(outside)
    for what, path, options, wanted in (
        ("OHIF without a password", "/viewer", (), 401),
        ("OHIF with one", "/viewer", known, 200),
        ("DICOMweb without a password", "/dicom-web/studies", (), 401),
        ("storing through OHIF's address", "/dicom-web/studies", ("-X", "POST", *known), 403),
        ("another host name", "/", ("--header", "Host: other.example", *known), 421),
        ("TLS 1.1", "/", ("--tls-max", "1.1", *known), 0),
    ):
        found = outside.status(path, *options)
        table.see(f"{what}: answer", str(found), found == wanted)


def _see_metrics(outside: Outside, table: Table) -> None:
    """A job is done once its results are confirmed, some time after they arrived."""
    found = _waited(lambda: 'habitus_jobs{state="done"} 1.0' in outside.metrics())
    table.see("metrics: the job is counted as done", f"{found} s later", found is not None)


def _see_restart(host: PrivateHost, outside: Outside, table: Table) -> None:
    """Orthanc's container is restarted while the node computes."""
    outside.send(painted(FOLDER / "ct2", 1_000_002))
    begun = _waited(lambda: any(job["state"] == "running" for job in outside.jobs()), 0.05)
    host.run("podman", "restart", "--time", "30", container("orthanc"))
    came_s = _waited(lambda: outside.arrived() == sorted(RESULTS * 2))
    attempts = max((job["attempts"] for job in outside.jobs()), default=0)
    table.see(
        "Orthanc restarted in mid-job: results at the PACS, most attempts of a job",
        f"{came_s} s later, {attempts}",
        begun is not None and came_s is not None and attempts == 1,
    )


def _see_secrets(outside: Outside, table: Table) -> None:
    secrets = [outside.password(user) for user in ("habitus", "admin", "reader")]
    told = "".join(outside.told_of(service) for service in SERVICES)
    leaks = sum(secret in told for secret in secrets)
    table.see("passwords in logs or in what podman tells", str(leaks), leaks == 0)


def _see_stop(compose: Callable[..., str], outside: Outside, table: Table) -> None:
    kept, jobs = outside.password("admin"), len(outside.jobs())
    table.timed("stop", lambda: compose("stop"))
    for service in SERVICES:
        status = outside.exit_status(service)
        table.see(f"{service}: exit status of a stop", str(status), status == 0)
    compose("start")
    up = _waited(lambda: outside.status("/habitus/health/ready", *_admin(outside)) == 200)
    same = outside.password("admin") == kept and len(outside.jobs()) == jobs
    table.see(
        "started again: journal and passwords are the same", str(same), same and up is not None
    )


def _seen_in_browser(host: PrivateHost, link: str) -> tuple[str, bool]:
    """By chromium on the same host."""
    done = subprocess.run(
        host.entered(sys.executable, "-m", "tests.containers.in_browser", link, "admin"),
        input=Outside(host=host).password("admin"),
        cwd=ROOT,
        env=host.engine.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    told = done.stdout.strip() or done.stderr.strip()[-300:]
    return told, done.returncode == 0


def _admin(outside: Outside) -> tuple[str, str]:
    try:
        return "--user", f"admin:{outside.password('admin')}"
    except HabitusError:
        # Its container has only just started.
        return "--user", "admin:"


@contextmanager
def _configured(host: PrivateHost) -> Iterator[Callable[..., str]]:
    """podman-compose over the product's file and the check's PACS."""
    folder = FOLDER / "check"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    orthanc = json.loads((ROOT / "docker/orthanc.json").read_text(encoding="utf-8"))
    orthanc["DicomModalities"]["pacs"] |= {"Host": "pacs", "Port": 4242}
    settings = (ROOT / "docker/habitus.toml").read_text(encoding="utf-8")
    for name, text in (
        ("orthanc.json", json.dumps(orthanc)),
        ("habitus.toml", f'{settings}\n[[destinations]]\nname = "pacs"\n'),
        ("pacs.json", json.dumps(PACS)),
    ):
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o644)
    values = {
        "HABITUS_ORTHANC_JSON": str(folder / "orthanc.json"),
        "HABITUS_TOML": str(folder / "habitus.toml"),
        "HABITUS_CHECK_FOLDER": str(folder),
    }
    files = ("-f", "docker/compose.yaml", "-f", "tests/containers/compose.check.yaml")

    def compose(*command: str) -> str:
        done = host.run(
            "podman-compose", "--project-name", "habitus", *files, *command, environment=values
        )
        return done.stdout + done.stderr

    yield compose


@contextmanager
def _fresh(host: PrivateHost) -> Iterator[None]:
    """Without containers and volumes of an earlier run, and leaving none."""

    def clear() -> None:
        host.run("podman", "rm", "--force", "--all", "--time", "5", may_fail=True)
        host.run("podman", "volume", "prune", "--force", may_fail=True)
        host.run("podman", "network", "prune", "--force", may_fail=True)
        for folder in ("ct", "ct2"):
            shutil.rmtree(FOLDER / folder, ignore_errors=True)

    clear()
    try:
        yield
    finally:
        clear()


def _in_shell(command: str, folder: Path, environment: Mapping[str, str]) -> str:
    """As a person types it; raises InferenceFailed."""
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise InferenceFailed(
            found=f"`{command}` ended with {done.returncode}: {(done.stdout + done.stderr)[-3000:]}",
            wanted="exit status 0",
        )
    return done.stdout


def _waited(look: Callable[[], Any], every_s: float = 0.5) -> float | None:
    """Seconds until it was so."""
    started = time.monotonic()
    while (spent := time.monotonic() - started) < JOB_S:
        if look():
            return round(spent, 1)
        time.sleep(every_s)
    return None


if __name__ == "__main__":
    sys.exit(main())
