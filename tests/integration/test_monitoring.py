"""A real Prometheus beside a real node: whatever files of monitoring/ name is on the page, and each alert speaks when it should."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.uid import JPEG2000Lossless

from inference.engine.model_store import SHIPPED_MODELS
from tests.dicom_peers import ct_series, receiver, send
from tests.faults.analyses import BODIES, small_study
from tests.lives import LIVES
from tests.metrics_page import MONITORING, metrics_named_in, monitoring_files
from tests.orthanc_process import (
    SETTINGS,
    OrthancProcess,
    orthanc,
    private_network,
    standalone_node,
    wait_for,
    why_not,
)
from tests.prometheus_process import (
    METRICS_SETTINGS,
    ask_node,
    prometheus,
    scraped,
    why_no_prometheus,
)

needs_prometheus = pytest.mark.skipif(bool(why_no_prometheus()), reason=why_no_prometheus())
needs_orthanc = pytest.mark.skipif(bool(why_not()), reason=why_not())

DISK_MB = 300
AGED_S = 5000.0
FALL_BACK = "HabitusProviderDowngraded"
"""From the start: the node is asked to compute on a GPU that the machine lacks."""
WITH_NETWORKS = (
    SETTINGS.replace('models_folder = "models"', f'models_folder = "{SHIPPED_MODELS}"').replace(
        'analyser = "tests.fake_analyser"', 'profile = "l3-small"\nproviders = ["tensorrt", "cpu"]'
    )
    + METRICS_SETTINGS
)


@contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """The node's data lies on it."""
    place.mkdir()
    options = f"size={DISK_MB}m"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=False
    )
    if mounted.returncode:
        pytest.skip("needs a machine that lets root mount a tmpfs")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[OrthancProcess]:
    with ExitStack() as stack:
        stack.enter_context(small_disk(tmp_path / "node"))
        stack.enter_context(private_network())
        running = stack.enter_context(orthanc(tmp_path, settings=WITH_NETWORKS))
        wait_for(lambda: is_told("/ready"), 60.0, "a node that is ready")
        yield running


def is_told(path: str) -> bool:
    """Whether one of the node's pages answers 200."""
    try:
        return ask_node(path)[0] == 200
    except OSError:
        return False


def undecodable(series: list[Dataset]) -> Iterator[bytes]:
    """Slices that call themselves JPEG 2000 and are none."""
    for image in series:
        image.file_meta.TransferSyntaxUID = JPEG2000Lossless
        image.PixelData = encapsulate([b"no code stream at all."])
        image["PixelData"].is_undefined_length = True
        image["PixelData"].VR = "OB"
        with DicomBytesIO() as file:
            image.save_as(file, enforce_file_format=True)
            yield file.getvalue()


def fill_disk(node: OrthancProcess) -> Path:
    """Leave less than a tenth of it, and more than a twenty-fifth."""
    data = node.folder / "node"
    disk = os.statvfs(data)
    wanted_bytes = disk.f_bavail * disk.f_frsize - int(0.07 * DISK_MB * 2**20)
    ballast = data / "ballast"
    ballast.write_bytes(bytes(wanted_bytes))
    return ballast


def age_queued_jobs(node: OrthancProcess) -> None:
    """As if they had been waiting for long."""
    path = node.folder / "node" / "journal.db"
    with closing(sqlite3.connect(path, timeout=10.0)) as journal, journal:
        changed = journal.execute(
            "UPDATE jobs SET created_at = created_at - ? WHERE state = 'queued'", (AGED_S,)
        ).rowcount
    assert changed == 1


@needs_orthanc
@needs_prometheus
def test_each_alert_speaks_when_it_should_and_at_no_other_time(
    node: OrthancProcess, tmp_path: Path
) -> None:
    good, refused, broken, late = (small_study(1 + n * BODIES) for n in range(4))
    with receiver() as pacs, prometheus(tmp_path / "prometheus") as watch:
        send(good)
        node.wait_for_jobs(["done"], 60.0)
        watch.wait_for_alerts({FALL_BACK})
        page = scraped()
        assert page.value("habitus_turnaround_seconds_count") == 1.0
        assert (page.value("habitus_stage_seconds_sum", stage="locate-l3") or 0.0) > 0.0
        assert page.value("habitus_destination_up", destination="pacs") == 1.0
        named = {name for file in monitoring_files() for name in metrics_named_in(file.read_text())}
        assert len(named) > 15
        assert named - page.names == set()

        pacs.store_status = 0xA700
        send(refused)
        watch.wait_for_alerts({FALL_BACK, "HabitusDestinationDown"}, 30.0)
        pacs.store_status = 0
        watch.wait_for_alerts({FALL_BACK}, 30.0)

        for file in undecodable(broken[:12]):
            node.session.post(f"{node.url}/instances", data=file, timeout=10).raise_for_status()
        watch.wait_for_alerts({FALL_BACK, "HabitusDeadJob"}, 30.0)

        ballast = fill_disk(node)
        full = {"HabitusDeadJob", "HabitusDiskHigh", "HabitusNodeNotReady"}
        watch.wait_for_alerts({FALL_BACK, *full}, 30.0)
        assert ask_node("/ready") == (503, "disk-full\n")
        assert is_told("/live")
        send(late)
        wait_for(lambda: "queued" in {j["state"] for j in node.jobs()}, 15.0, "a job that waits")
        age_queued_jobs(node)
        watch.wait_for_alerts({FALL_BACK, *full, "HabitusQueueTooOld"})
        ballast.unlink()
        node.wait_for_jobs(["dead", "done", "done", "done"], 30.0)
        watch.wait_for_alerts({FALL_BACK, "HabitusDeadJob"})

        before = scraped()
        node.kill()
        watch.wait_for_alerts({"HabitusNodeAbsent"}, 15.0)
        node.start()
        wait_for(lambda: is_told("/metrics"), 20.0, "the node's page")
        after = scraped()
        assert watch.ever_fired() == {FALL_BACK, *full, *("HabitusDestinationDown",)} | {
            *("HabitusQueueTooOld", "HabitusNodeAbsent")
        }

    for name in (
        *("habitus_turnaround_seconds_count", "habitus_turnaround_seconds_sum"),
        *("habitus_job_attempts_total", "habitus_attempt_failures_total"),
    ):
        values = [
            [sample for family in page.families for sample in family.samples if sample.name == name]
            for page in (before, after)
        ]
        assert values[0] == values[1] != []


@needs_orthanc
@pytest.mark.parametrize("kind", LIVES)
def test_both_lives_serve_the_page(kind: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        stack.enter_context(private_network())
        settings = SETTINGS + METRICS_SETTINGS
        running = stack.enter_context(orthanc(tmp_path, node=kind, settings=settings))
        if kind == "standalone":
            stack.enter_context(standalone_node(running))
        wait_for(lambda: is_told("/ready"), 40.0, "a node that is ready")
        stack.enter_context(receiver())
        send(ct_series(3))
        running.wait_for_jobs(["done"])
        page = scraped()
        volumes = set(page.by_label("habitus_disk_level", "volume"))

    assert page.value("habitus_jobs", state="done") == 1.0
    assert page.value("habitus_node_ready") == 1.0
    # A node of its own is not told where Orthanc keeps images.
    assert volumes == ({"data", "images"} if kind == "embedded" else {"data"})


@needs_prometheus
@pytest.mark.parametrize(
    "command",
    [
        ["check", "rules", "alerts.yml"],
        ["check", "config", "prometheus.yml"],
        ["test", "rules", "alerts_test.yml"],
    ],
    ids=" ".join,
)
def test_promtool_finds_nothing_to_say(command: list[str]) -> None:
    told = subprocess.run(
        ["promtool", *command], cwd=MONITORING, capture_output=True, text=True, check=False
    )

    assert told.returncode == 0, told.stdout + told.stderr


@needs_prometheus
@needs_orthanc
def test_promtool_finds_nothing_wrong_with_a_living_page(tmp_path: Path) -> None:
    with private_network(), orthanc(tmp_path, settings=SETTINGS + METRICS_SETTINGS):
        wait_for(lambda: is_told("/ready"), 40.0, "a node that is ready")
        text = scraped().text

    told = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )

    assert (told.returncode, told.stderr) == (0, "")
