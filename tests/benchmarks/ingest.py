"""make bench-ingest: what the plugin costs Orthanc while 300 slices come in, and how fast REST answers under inference."""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import requests

from inference.domain.volume import Volume, affine_from_axes
from orthanc_plugin.node.orthanc_config import environment_of
from orthanc_plugin.node.private_network import enter_private_network
from tests.dicom_peers import receiver, send
from tests.faults.analyses import ANALYSES, small_study
from tests.orthanc_process import (
    DICOM_PORT,
    HTTP_PORT,
    SENDER,
    OrthancProcess,
    orthanc,
    wait_for,
    why_not,
)
from training.synthetic.series import SeriesHeader, write_series

SLICES, PIXELS = 300, 512
PAIRS = 20
RATIO_LIMIT = 1.10
REST_LIMIT_MS = 50.0
REST_CALLS = 400
QUEUED = 8
BOOTSTRAPS = 10_000
AFTER_S = 1.5
"""Orthanc goes on for a moment after the last answer; the node looks at what came."""
MEMORY = Path("/dev/shm")  # a folder of our own is made in it
MEMORY_WANTED_BYTES = 2 * 1024**3
"""Four times what the series and one Orthanc's copy of it take."""

# The quiet time is far longer than the measurement: what is compared is taking in, not analysing.
SETTINGS = f"""
data_folder = "node"
[orthanc]
url = "http://127.0.0.1:{{http_port}}"
[intake]
quiet_s = {{quiet_s}}
[engine]
job_wall_clock_s = {{job_wall_clock_s}}
{ANALYSES["shipped"].engine_settings}
[[destinations]]
modality = "pacs"
"""
ROUTES = ("/habitus/status", "/habitus/jobs", "/system", "/studies")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingest:
    """CPU seconds of Orthanc itself, pair by pair."""

    with_plugin_s: tuple[float, ...]
    without_s: tuple[float, ...]

    def ratio(self) -> tuple[float, float]:
        """The median ratio, and its upper 95 % bound by bootstrap over the pairs."""
        ratios = np.array(self.with_plugin_s) / np.array(self.without_s)
        picks = np.random.default_rng(1).integers(0, len(ratios), (BOOTSTRAPS, len(ratios)))
        medians = np.median(ratios[picks], axis=1)
        return float(np.median(ratios)), float(np.quantile(medians, 0.95))


def main() -> int:
    """0 where both limits are kept."""
    parser = argparse.ArgumentParser(prog="tests.benchmarks.ingest", description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--out", type=Path, help="file for the table")
    options = parser.parse_args()
    if reason := why_not():
        sys.stderr.write(f"cannot run here: {reason}\n")
        return 2
    enter_private_network()
    ingest = measured_ingest(options.pairs)
    rest_ms = measured_rest()
    text = table(ingest, rest_ms)
    sys.stdout.write(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    is_slow = ingest.ratio()[1] > RATIO_LIMIT or any(
        p95 > REST_LIMIT_MS for _, p95 in rest_ms.values()
    )
    return int(is_slow)


def measured_ingest(pairs: int) -> Ingest:
    """The same series by the same sender, in turns to an Orthanc with the plugin and to one without."""
    spent: dict[bool, list[float]] = {True: [], False: []}
    with TemporaryDirectory(prefix="habitus-ingest-", dir=memory_folder()) as name:
        folder = Path(name)
        slices = _written(folder / "series")
        for pair in range(pairs):
            # Who goes first changes, so that what the machine does by itself meets both.
            for has_plugin in (pair % 2 == 0, pair % 2 == 1):
                site_folder = folder / "site"
                with receiving(site_folder, has_plugin=has_plugin) as site:
                    spent[has_plugin].append(_cpu_of_ingest(site, slices))
                # Forty copies of the series fill the page cache, and reclaiming it is charged to whoever writes.
                shutil.rmtree(site_folder)
            sys.stdout.write(
                f"pair {pair + 1} of {pairs}: {spent[True][-1]:.2f} s with, {spent[False][-1]:.2f} s without\n"
            )
            sys.stdout.flush()
    return Ingest(with_plugin_s=tuple(spent[True]), without_s=tuple(spent[False]))


def memory_folder() -> Path | None:
    """A file system in memory, whose writing costs the same each time; None where there is none of the size."""
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_WANTED_BYTES:
        return MEMORY
    return None


def measured_rest() -> dict[str, tuple[float, float]]:
    """Median and 95th percentile in milliseconds by route, while the engine is never idle."""
    with (
        TemporaryDirectory(prefix="habitus-rest-") as folder,
        orthanc(
            Path(folder), settings=SETTINGS.replace("{quiet_s}", "0.6"), job_wall_clock_s=120.0
        ) as node,
        receiver(),
    ):
        for number in range(QUEUED):
            send(small_study(number))
        wait_for(lambda: _running(node), 60.0, "a job under way")
        times: dict[str, list[float]] = {route: [] for route in ROUTES}
        sent = QUEUED
        for call in range(REST_CALLS):
            for route in ROUTES:
                started = time.perf_counter()
                node.get(route)
                times[route].append((time.perf_counter() - started) * 1000.0)
            if call % 25 == 24 and not _running(node):
                send(small_study(sent))
                sent += 1
                wait_for(lambda: _running(node), 60.0, "a job under way")
    return {
        route: (float(np.median(taken)), float(np.quantile(taken, 0.95)))
        for route, taken in times.items()
    }


def table(ingest: Ingest, rest_ms: dict[str, tuple[float, float]]) -> str:
    """Both measurements."""
    ratio, bound = ingest.ratio()
    lines = [
        "`make bench-ingest`",
        "",
        f"{SLICES} slices of {PIXELS} × {PIXELS} by C-STORE in one association, {len(ingest.without_s)} interleaved pairs;"
        " CPU seconds of the Orthanc process (the node's own process not counted).",
        f"Images {'on a disk' if memory_folder() is None else 'in memory'}; each Orthanc new, its folder removed afterwards.",
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} (a machine shared with other work).",
        "",
        "| | |",
        "|---|---:|",
        f"| CPU s with the plugin, median | {np.median(ingest.with_plugin_s):.2f} |",
        f"| CPU s without, median | {np.median(ingest.without_s):.2f} |",
        f"| median ratio | {ratio:.3f} |",
        f"| its upper 95 % bound (wanted ≤ {RATIO_LIMIT:.2f}) | {bound:.3f} |",
        "",
        f"REST while the engine works without a pause ({REST_CALLS} calls each; wanted p95 ≤ {REST_LIMIT_MS:.0f} ms):",
        "",
        "| route | median ms | p95 ms |",
        "|---|---:|---:|",
        *(f"| {route} | {mid:.1f} | {p95:.1f} |" for route, (mid, p95) in rest_ms.items()),
    ]
    return "\n".join(lines) + "\n"


def _written(folder: Path) -> tuple[Path, ...]:
    hu = np.random.default_rng(1).integers(-1024, 3071, (SLICES, PIXELS, PIXELS), np.int16)
    affine = affine_from_axes((0, 0, 0), [(0, 0, 1), (0, 1, 0), (1, 0, 0)], (1.0, 0.7, 0.7))
    return write_series(Volume(hu=hu, affine_lps=affine), SeriesHeader(), folder)


@contextmanager
def receiving(folder: Path, *, has_plugin: bool) -> Iterator[OrthancProcess]:
    """With the plugin and a node at rest; or the same Orthanc, its configuration without the plugin."""
    settings = SETTINGS.replace("{quiet_s}", "600")
    with orthanc(folder, settings=settings, job_wall_clock_s=120.0) as site:
        if has_plugin:
            wait_for(lambda: bool(site.get("/habitus/status")["engine"]), 60.0, "the engine")
        else:
            site.stop()
            configuration = json.loads(site.files.configuration.read_text())
            configuration["Plugins"] = [
                path for path in configuration["Plugins"] if "Python" not in path
            ]
            configuration.pop("PythonScript", None)
            site.files.configuration.write_text(json.dumps(configuration))
            site.start()
        yield site


def _cpu_of_ingest(site: OrthancProcess, slices: tuple[Path, ...]) -> float:
    assert site.process is not None
    before = cpu_s(site.process.pid)
    _store(slices)
    time.sleep(AFTER_S)
    spent = cpu_s(site.process.pid) - before
    held = requests.get(
        f"http://127.0.0.1:{HTTP_PORT}/statistics", auth=site.session.auth, timeout=10.0
    ).json()["CountInstances"]
    if held != len(slices):
        raise AssertionError(f"Orthanc holds {held} of {len(slices)} slices")
    return spent


def _store(slices: tuple[Path, ...]) -> None:
    """By dcmtk: pynetdicom loses an answer now and then, with the plugin and without, and waits for it in vain."""
    subprocess.run(
        [
            *("storescu", "-R", "-aet", SENDER.ae_title, "-aec", "HABITUS"),
            *("127.0.0.1", str(DICOM_PORT), *map(str, slices)),
        ],
        env=environment_of(os.environ),
        check=True,
    )


def cpu_s(pid: int) -> float:
    """Used by a process so far, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _running(node: OrthancProcess) -> bool:
    return "running" in node.get("/habitus/status")["jobs"]


if __name__ == "__main__":
    sys.exit(main())
