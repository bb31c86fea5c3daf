"""A real Prometheus that watches a node of a test by the rules of monitoring/."""

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.metrics_page import MONITORING, MetricsPage
from tests.orthanc_process import MORTAL, wait_for

METRICS_PORT = 19645
PROMETHEUS_PORT = 19090
LOOK_S = 0.4
"""Between two scrapes and two evaluations."""
SOON = "1s"
"""In place of the minutes for which a rule wants its condition to hold."""

METRICS_SETTINGS = f"\n[metrics]\nport = {METRICS_PORT}\n"


@cache
def why_no_prometheus() -> str:
    """Empty where it is installed."""
    is_there = shutil.which("prometheus") and shutil.which("promtool")
    return "" if is_there else "needs prometheus with promtool"


def ask_node(path: str = "/metrics") -> tuple[int, str]:
    """One of the node's own pages."""
    return _get(f"http://127.0.0.1:{METRICS_PORT}{path}")


def scraped() -> MetricsPage:
    """The node's metrics now."""
    status, text = ask_node()
    assert status == 200, text
    return MetricsPage(text)


@dataclass(frozen=True, slots=True)
class Prometheus:
    """What it knows of the node."""

    def ask(self, path: str, **query: str) -> Any:
        """The data of its HTTP API."""
        address = f"http://127.0.0.1:{PROMETHEUS_PORT}{path}?{urllib.parse.urlencode(query)}"
        status, text = _get(address)
        assert status == 200, text
        return json.loads(text)["data"]

    def firing(self) -> set[str]:
        """Names of the alerts that somebody is told now."""
        alerts = self.ask("/api/v1/alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def ever_fired(self) -> set[str]:
        """Names of those that anybody was told of since the start."""
        query = 'count by (alertname) (count_over_time(ALERTS{alertstate="firing"}[10m]))'
        found = self.ask("/api/v1/query", query=query)["result"]
        return {row["metric"]["alertname"] for row in found}

    def wait_for_alerts(self, wanted: set[str], timeout_s: float = 15.0) -> None:
        """Until exactly these are told."""
        wait_for(
            lambda: self.firing() == wanted,
            timeout_s,
            lambda: f"alerts {sorted(wanted)}, found {sorted(self.firing())}",
        )


@contextmanager
def prometheus(folder: Path) -> Iterator[Prometheus]:
    """With the rules as they are, but for the minutes that a condition must hold."""
    folder.mkdir()
    rules = (MONITORING / "alerts.yml").read_text(encoding="utf-8")
    hurried, n_changed = re.subn(r"(?m)^(\s+for:) \d+m$", rf"\1 {SOON}", rules)
    assert n_changed == rules.count("        for: ")
    (folder / "alerts.yml").write_text(hurried, encoding="utf-8")
    example = (MONITORING / "prometheus.yml").read_text(encoding="utf-8")
    configuration = example.replace("15s", f"{LOOK_S * 1000:.0f}ms").replace(
        "127.0.0.1:9645", f"127.0.0.1:{METRICS_PORT}"
    )
    (folder / "prometheus.yml").write_text(configuration, encoding="utf-8")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *MORTAL,
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{PROMETHEUS_PORT}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(_is_ready, 20.0, lambda: (folder / "log").read_text()[-1000:])
        yield Prometheus()
    finally:
        process.kill()
        process.wait()


def _is_ready() -> bool:
    try:
        return _get(f"http://127.0.0.1:{PROMETHEUS_PORT}/-/ready")[0] == 200
    except OSError:
        return False


def _get(address: str) -> tuple[int, str]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=5.0) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()
