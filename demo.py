"""make demo: a synthetic CT sent by C-STORE to a real Orthanc with the node comes back as SEG and SR at a second Orthanc."""

import argparse
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Without root a process may enter a namespace only while it has one thread, and OpenBLAS starts its own on import.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import requests

from inference.domain.analysis_profile import load_profile
from inference.domain.errors import ConfigurationInvalid, HabitusError, InferenceFailed
from inference.domain.labelmap import Structure
from inference.pipeline import load_models
from orthanc_plugin.node.orthanc_config import (
    OrthancOptions,
    Peer,
    environment_of,
    write_configuration,
)
from orthanc_plugin.node.private_network import enter_private_network, private_network_is_allowed
from training.synthetic.case import SyntheticCase, make_case
from training.synthetic.demo_series import (
    FIELDS,
    SeriesTruth,
    shape_truth_of,
    truth_of,
    write_case,
)
from viewer.install import is_installed
from viewer.links import described, result_links
from viewer.orthanc_access import DEMO, OrthancAccess, write_demo_access
from viewer.serve import running_viewer

ROOT = Path(__file__).parent
FOLDER = ROOT / ".demo"
LOCK = ROOT / ".demo.lock"
ORTHANC = "/usr/sbin/Orthanc"
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
SEE_LOG = f"See {FOLDER / 'node.log'}."
SEED = 1_000_001
"""Training uses seeds below 1,000,000, and patient 1,000,000 has no gallbladder."""
JOB_LIMIT_S = 600.0
LEAST_FREE_MB = 500.0
"""The node's own default is made for a hospital's day; with less than it a job waits."""
ENDED = ("done", "rejected", "dead")
SETTINGS = """\
data_folder = "node"

[intake]
quiet_s = 1.5
poll_s = 0.3

[engine]
models_folder = "{models}"
profile = "{profile}"

[disk]
high_free_mb = {least_free_mb:.0f}
critical_free_mb = 200

[outbox]
poll_s = 0.3

[[destinations]]
name = "pacs"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truths:
    """What is true of the synthetic patient, and what of it is left in the painted voxels."""

    shapes: SeriesTruth
    voxels: SeriesTruth


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where everything listens, on 127.0.0.1."""

    node_dicom: int
    node_http: int
    pacs_dicom: int
    pacs_http: int
    viewer_http: int


def main() -> int:
    """Run the demo; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", default="0", help="1: leave it running until Ctrl-C")
    parser.add_argument("--profile", default="abdomen", help="abdomen (default), l3 or l3-small")
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="models folder")
    options = parser.parse_args()
    # A kill must end the servers too, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return demonstrate(options.profile, options.models, keep=options.keep == "1")
    except HabitusError as error:
        sys.stderr.write(f"demo: {error}\n")
        return error.exit_status
    except KeyboardInterrupt:
        return 130


def demonstrate(profile: str, models: Path, *, keep: bool) -> int:
    """All of it, in the order it happens."""
    load_models(load_profile(profile), models_folder=models)
    with ExitStack() as running:
        _claim_folder(running)
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(mode=0o700)
        _check_disk(FOLDER)
        ports = Ports(**{name: _free_port() for name in Ports.__dataclass_fields__})
        _isolate(running, ports, keep=keep)
        say("CT", "painting a synthetic patient (no real person)")
        case = write_series(profile)
        # Seconds of computing that the job, which runs in another process, need not wait for.
        shapes = running.enter_context(ThreadPoolExecutor(1)).submit(shape_truth_of, case)
        settings = SETTINGS.format(
            models=models.resolve(), profile=profile, least_free_mb=LEAST_FREE_MB
        )
        node = running.enter_context(_orthancs(ports, settings))
        job = run_job(node, ports)
        status = show(node, job, Truths(shapes=shapes.result(), voxels=truth_of(case)), ports)
        if keep:
            links = show_in_ohif(running, ports)
            wait_for_ctrl_c(node, ports, links)
    return status


def _claim_folder(running: ExitStack) -> None:
    """One demo at a time: a second one would take the first one's folder away."""
    lock = running.enter_context(LOCK.open("w"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise ConfigurationInvalid(
            found="another demo running in this folder",
            wanted="one at a time",
            advice="End it with Ctrl-C where it runs, or wait.",
        ) from exc


def _check_disk(folder: Path) -> None:
    free_mb = shutil.disk_usage(folder).free / 1e6
    if free_mb < LEAST_FREE_MB:
        raise ConfigurationInvalid(
            found=f"{free_mb:.0f} MB free on the disk of {folder}",
            wanted=f"at least {LEAST_FREE_MB:.0f} MB",
            advice="The node would let the job wait for room.",
        )


def _isolate(running: ExitStack, ports: Ports, *, keep: bool) -> None:
    """Enter a network of our own where the machine allows it; with `keep`, forward its ports to 127.0.0.1."""
    if not private_network_is_allowed():
        # Orthanc then binds the ports itself, so there is nothing to forward.
        say("network", "no namespace allowed here: guarded by password and AE allow-list only")
        return
    if keep:
        running.enter_context(_forwarder("outside", ports))
    if not enter_private_network():
        raise InferenceFailed(
            found="a network namespace refused on the second try",
            wanted="a namespace as on the first try",
            advice="Run make demo again, as root if need be.",
        )
    say("network", "a namespace of its own: Orthanc is reachable from nowhere else")
    if keep:
        running.enter_context(_forwarder("inside", ports))


def write_series(profile: str) -> SyntheticCase:
    """The CT: a full abdomen, or the small L3 series of the tests."""
    small = profile == "l3-small"
    field = "l3" if small else "abdomen"
    case = make_case(
        SEED,
        field=FIELDS[field],
        shape_rc=(128, 128) if small else (256, 256),
        spacing_mm=(5.0, 3.2, 3.2) if small else (4.0, 1.6, 1.6),
    )
    write_case(FOLDER / "ct", case, seed=SEED, field=field)
    return case


def run_job(node: "Server", ports: Ports) -> dict[str, Any]:
    """Send the series, watch the job, return it when it has ended."""
    images = len(list((FOLDER / "ct").glob("*.dcm")))
    started = time.monotonic()
    send(FOLDER / "ct", ports.node_dicom)
    say("C-STORE", f"{images} images sent in {time.monotonic() - started:.1f} s")
    seen = ""
    while time.monotonic() - started < JOB_LIMIT_S:
        jobs = (node.get("/habitus/jobs") or {}).get("jobs", [])
        if jobs:
            job: dict[str, Any] = jobs[0]
            shown = f"{job['state']} {job['stage'] or ''}".strip()
            if shown != seen:
                say("job", f"{shown} ({time.monotonic() - started:.1f} s)")
                seen = shown
            if job["state"] in ENDED:
                return job
        time.sleep(0.25)
    raise InferenceFailed(
        found=f"no finished job after {JOB_LIMIT_S:.0f} s ({seen or 'none begun'})",
        wanted="done",
        advice=SEE_LOG,
    )


def send(folder: Path, port: int) -> None:
    """C-STORE, as a scanner would; by DCMTK, since pynetdicom 3.0 loses one answer in about a thousand."""
    command = ["storescu", "-aet", "SCANNER", "-aec", "HABITUS", "+sd", "127.0.0.1", str(port)]
    sent = subprocess.run(
        [*command, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        # Without it every image waits 40 ms for a delayed ACK.
        env={**os.environ, "TCP_NODELAY": "1"},
    )
    if sent.returncode != 0:
        raise InferenceFailed(
            found=f"storescu ended with {sent.returncode}: {sent.stderr.strip()[-200:]}",
            wanted="every image stored",
            advice=SEE_LOG,
        )


def show(node: "Server", job: dict[str, Any], truths: Truths, ports: Ports) -> int:
    """Numbers beside the truth, what arrived at the PACS, and the pictures."""
    if job["state"] != "done":
        say("job", f"ended as {job['state']}: {job['reason']} {job['detail'] or ''}")
        return 1
    report = node.get(f"/habitus/report/{job['key']}")
    pictures = FOLDER / "pictures"
    pictures.mkdir()
    for name in job["pictures"]:
        content = node.fetch(f"/habitus/jobs/{job['key']}/pictures/{name}.png")
        (pictures / f"{name}.png").write_bytes(content)
    sys.stdout.write("\n" + comparison(report, truths) + "\n")
    pacs = Server(port=ports.pacs_http, user="pacs", password=_password("pacs"))
    arrived = [
        f"  {tags['Modality']:4} {tags.get('SeriesDescription', ''):38} {len(series['Instances'])} object(s)"
        for series in pacs.get("/series?expand")
        if (tags := series["MainDicomTags"])
    ]
    sys.stdout.write(
        "Arrived at the second DICOM server (AE PACS):\n" + "\n".join(arrived) + "\n\n"
    )
    for flag in report["flags"]:
        sys.stdout.write(f"! {flag}\n")
    sys.stdout.write(f"\nPictures: {', '.join(str(p) for p in sorted(pictures.glob('*.png')))}\n")
    sys.stdout.write(f"Input CT: {FOLDER / 'ct'}. Synthetic patient; for research use only.\n")
    modalities = {line.split()[0] for line in arrived}
    if not {"SEG", "SR", "OT"} <= modalities:
        say("PACS", f"only {sorted(modalities)} arrived; wanted SEG, SR and OT (the picture page)")
        return 1
    return 0


def comparison(report: dict[str, Any], truths: Truths) -> str:
    """Measured beside true, as text."""
    shapes, voxels = truths.shapes, truths.voxels
    level_mm = report["level"]["z_mm"]
    lines = [f"{'':32} {'measured':>10} {'true*':>10} {'difference':>12} {'in voxels**':>12}"]
    if shapes.l3_z_mm is not None:
        apart = f"{level_mm - shapes.l3_z_mm:+9.1f} mm"
        lines.append(f"{'L3 level, z in mm':32} {level_mm:10.1f} {shapes.l3_z_mm:10.1f} {apart}")
    areas = {
        m["structure"]: m["value"] for m in report["body_composition"] if m["quantity"] == "area"
    }
    rows: list[tuple[str, float | None, float | None, float | None]] = [
        (f"{s.value.replace('_', ' ')} at L3, cm²", areas[s.value], true, voxels.area_cm2[s])
        for s, true in shapes.area_cm2.items()
    ]
    found = {organ["structure"]: organ["volume_ml"] for organ in report["organs"]}
    if found:
        rows += [
            (f"{s.value.replace('_', ' ')}, ml", found.get(s.value), *_both(truths, s))
            for s in tuple(Structure)[:14]
        ]
    for name, measured, true, counted in rows:
        apart = f"{'–':>10}  "
        if measured is not None and true:
            apart = f"{100 * (measured - true) / true:+10.1f} %"
        lines.append(f"{name:32} {_cell(measured)} {_cell(true)} {apart}   {_cell(counted)}")
    lines.append("*  computed from the shapes inside the field of view, without blur or texture")
    lines.append(
        "** counted on the painted CT: what voxels of this size, blur and noise leave of it"
    )
    return "\n".join(lines) + "\n"


def _both(truths: Truths, organ: Structure) -> tuple[float | None, float | None]:
    return truths.shapes.organ_ml.get(organ), truths.voxels.organ_ml.get(organ)


def _cell(value: float | None) -> str:
    return f"{'–':>10}" if value is None else f"{value:10.1f}"


def show_in_ohif(running: ExitStack, ports: Ports) -> str:
    """Start OHIF where `make ohif` has installed it; its links, or how to get it."""
    pacs = Server(port=ports.pacs_http, user="pacs", password=_password("pacs"))
    # In a hospital the PACS has the images long before it has our results.
    for path in sorted((FOLDER / "ct").glob("*.dcm")):
        pacs.store(path)
    access = OrthancAccess(
        url=f"http://127.0.0.1:{ports.pacs_http}", user="pacs", password=_password("pacs")
    )
    write_demo_access(access)
    running.callback(DEMO.unlink)
    if not is_installed():
        return "OHIF: make ohif, in another terminal, installs it and shows this patient in it."
    url = running.enter_context(
        running_viewer(access, port=ports.viewer_http, folder=FOLDER / "viewer")
    )
    return described(url, result_links(url))


def wait_for_ctrl_c(node: "Server", ports: Ports, viewer_links: str) -> None:
    """Say where everything is and stay."""
    sys.stdout.write(
        f"\nRunning. Page: http://127.0.0.1:{ports.node_http}/habitus (user habitus, password {node.password})\n"
        f"PACS: http://127.0.0.1:{ports.pacs_http}/app/explorer.html (user pacs, password {_password('pacs')})\n"
        f"DICOM: HABITUS@127.0.0.1:{ports.node_dicom}, calling AE title SCANNER.\n"
        f"{viewer_links.strip()}\nCtrl-C ends it.\n"
    )
    sys.stdout.flush()
    with suppress(KeyboardInterrupt):
        signal.pause()


class Server:
    """An Orthanc's REST API."""

    def __init__(self, *, port: int, user: str, password: str) -> None:
        self.password = password
        self._url = f"http://127.0.0.1:{port}"
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.auth = (user, password)

    def get(self, path: str) -> Any:
        """JSON of a route; None while it is not there."""
        response = self._session.get(self._url + path, timeout=30)
        return response.json() if response.ok else None

    def store(self, path: Path) -> None:
        """Give it a DICOM file."""
        response = self._session.post(f"{self._url}/instances", data=path.read_bytes(), timeout=30)
        response.raise_for_status()

    def fetch(self, path: str) -> bytes:
        """Bytes of a route."""
        response = self._session.get(self._url + path, timeout=30)
        response.raise_for_status()
        return response.content

    def wait(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        """Until it answers; raises InferenceFailed when its process ends first."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if self.get("/system"):
                    return
            except requests.ConnectionError:
                time.sleep(0.1)
        raise InferenceFailed(
            found="an Orthanc that does not answer",
            wanted="its REST API within 30 s",
            advice=f"See {log}.",
        )


@contextmanager
def _orthancs(ports: Ports, settings_text: str) -> Iterator[Server]:
    """The node's Orthanc and the PACS, both running; the node's REST API."""
    settings = FOLDER / "habitus.toml"
    settings.write_text(settings_text, encoding="utf-8")
    options = OrthancOptions(
        storage_folder=FOLDER / "storage",
        settings_path=settings,
        node_python=Path(sys.executable),
        peers=(
            Peer(name="scanner", ae_title="SCANNER", host="127.0.0.1", port=104, may_store=True),
            Peer(name="pacs", ae_title="PACS", host="127.0.0.1", port=ports.pacs_dicom),
        ),
        dicom_port=ports.node_dicom,
        http_port=ports.node_http,
    )
    files = write_configuration(options, FOLDER / "etc")
    pacs_process = _start(_pacs_configuration(ports), FOLDER / "pacs.log")
    node_process = _start(files.configuration, FOLDER / "node.log")
    node = Server(
        port=ports.node_http, user=options.user, password=files.password.read_text().strip()
    )
    pacs = Server(port=ports.pacs_http, user="pacs", password=_password("pacs"))
    try:
        pacs.wait(pacs_process, FOLDER / "pacs.log")
        node.wait(node_process, FOLDER / "node.log")
        say("Orthanc", "the node's and the PACS's are up")
        yield node
    finally:
        for process in (node_process, pacs_process):
            process.send_signal(signal.SIGTERM)
        for process in (node_process, pacs_process):
            process.wait(30)


def _pacs_configuration(ports: Ports) -> Path:
    """A plain Orthanc that knows HABITUS and answers its queries."""
    password = os.urandom(12).hex()
    path = FOLDER / "pacs.password"
    path.touch(mode=0o600)
    path.write_text(password)
    configuration = FOLDER / "pacs.json"
    configuration.touch(mode=0o600)
    configuration.write_text(
        json.dumps(
            {
                "Name": "PACS of the demo",
                "DefaultEncoding": "Utf8",
                "StorageDirectory": str(FOLDER / "pacs"),
                "IndexDirectory": str(FOLDER / "pacs"),
                "DicomAet": "PACS",
                "DicomPort": ports.pacs_dicom,
                "HttpPort": ports.pacs_http,
                "AuthenticationEnabled": True,
                "RegisteredUsers": {"pacs": password},
                "RemoteAccessAllowed": False,
                "DicomCheckCalledAet": True,
                "DicomAlwaysAllowStore": False,
                "DicomModalities": {
                    "habitus": {"AET": "HABITUS", "Host": "127.0.0.1", "Port": ports.node_dicom}
                },
                "Plugins": [str(DICOMWEB)] if DICOMWEB.exists() else [],
                "DicomWeb": {
                    "Enable": True,
                    "Root": "/dicom-web/",
                    "StudiesMetadata": "Full",
                    "SeriesMetadata": "Full",
                },
            }
        )
    )
    return configuration


def _password(name: str) -> str:
    return (FOLDER / f"{name}.password").read_text().strip()


def _start(configuration: Path, log: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as file:
        return subprocess.Popen(
            [ORTHANC, str(configuration)],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment_of(os.environ),
            start_new_session=True,
        )


@contextmanager
def _forwarder(side: str, ports: Ports) -> Iterator[None]:
    listed = [str(getattr(ports, name)) for name in Ports.__dataclass_fields__]
    module = "orthanc_plugin.node.loopback_forwarder"
    folder = str(FOLDER / "sockets")
    process = subprocess.Popen([sys.executable, "-m", module, side, folder, *listed], cwd=ROOT)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def say(what: str, text: str) -> None:
    """One line of progress."""
    sys.stdout.write(f"{what:8} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
