"""monitoring/ and docs/monitoring.md speak of the metrics that there are, and every alert says what to do."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orthanc_plugin.node.destinations import Destination
from orthanc_plugin.node.durable_counts import add_one
from orthanc_plugin.node.journal import Journal
from orthanc_plugin.node.metrics import NodeView, page
from orthanc_plugin.node.readings import read
from orthanc_plugin.node.settings import EngineSettings, Settings
from tests.metrics_page import MONITORING, MetricsPage, metrics_named_in, monitoring_files

DOCUMENTATION = MONITORING.parent / "docs" / "monitoring.md"
ALERTS = (MONITORING / "alerts.yml").read_text(encoding="utf-8")
NAMES = re.findall(r"- alert: (\w+)", ALERTS)
GRID_COLUMNS = 24


NETWORK = {"name": "organs", "version": "1", "sha256": "ab", "provider": "cpu", "asked": "cuda"}


@pytest.fixture
def whole(tmp_path: Path) -> MetricsPage:
    """Of a node to which everything has happened that a metric tells of."""
    journal = Journal(tmp_path / "journal.db")
    journal.set_fact("engine", json.dumps({"state": "ready", "networks": [NETWORK]}))
    connection = journal.connection
    connection.execute("INSERT INTO destination_outcomes VALUES ('pacs', 1, 0)")
    for counted, name in (
        *(("skipped", "not-ct"), ("attempts", "rejected/no-l3"), ("attempts", "dead/engine-died")),
        *(("attempts", "queued/engine-died"), ("deliveries_to", "confirmed/pacs")),
    ):
        add_one(connection, counted, name)
    settings = Settings(
        data_folder=tmp_path,
        engine=EngineSettings(models_folder=tmp_path),
        destinations=(Destination(name="pacs"),),
    )
    view = NodeView(readings=read(tmp_path / "journal.db", 0.0), settings=settings, started_at=0.0)
    found = MetricsPage(page(view).decode())
    assert [family.name for family in found.families if not family.samples] == []
    return found


def families(found: MetricsPage) -> set[str]:
    """Without the parts of histograms."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in found.families
    }


@pytest.mark.parametrize("path", monitoring_files(), ids=lambda path: path.name)
def test_no_file_names_a_metric_that_there_is_not(path: Path, whole: MetricsPage) -> None:
    named = metrics_named_in(path.read_text(encoding="utf-8"))

    assert len(named) > 5
    assert named - whole.names == set()


def test_the_documentation_tells_every_metric_with_its_labels(whole: MetricsPage) -> None:
    rows = re.findall(
        r"(?m)^\| `(habitus_\w+)` \|([^|]*)\|", DOCUMENTATION.read_text(encoding="utf-8")
    )
    told = {name: set(re.findall(r"\w+", labels)) for name, labels in rows}
    labels: dict[str, set[str]] = {
        sample.name.removesuffix("_bucket"): set(sample.labels) - {"le"}
        for family in whole.families
        for sample in family.samples
        if not sample.name.endswith(("_count", "_sum"))
    }

    assert told.keys() == families(whole)
    assert told == labels


def test_every_alert_says_what_it_is_and_what_to_do() -> None:
    parts = ALERTS.split("- alert: ")[1:]

    assert len(parts) == len(NAMES) > 6
    assert [part for part in parts if not re.search(r"summary: .{20}", part)] == []
    assert [part for part in parts if not re.search(r"runbook: >-\s+.{60}", part)] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_is_tested_documented_and_silent_once(name: str) -> None:
    tests = (MONITORING / "alerts_test.yml").read_text(encoding="utf-8")
    speaks = f'alertname="{name}"' in tests or re.search(
        rf"alertname: {name}\n\s+exp_alerts:\n\s+- ", tests
    )

    assert re.search(rf"alertname: {name}\}}", tests)
    assert speaks
    assert f"| `{name}` |" in DOCUMENTATION.read_text(encoding="utf-8")


def dashboard() -> dict[str, Any]:
    """As Grafana imports it."""
    found: dict[str, Any] = json.loads(
        (MONITORING / "grafana-dashboard.json").read_text(encoding="utf-8")
    )
    return found


def covered(panel: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """Places of the grid."""
    at = panel["gridPos"]
    for row in range(at["y"], at["y"] + at["h"]):
        for column in range(at["x"], at["x"] + at["w"]):
            yield row, column


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    model = dashboard()
    panels = model["panels"]
    places = [place for panel in panels for place in covered(panel)]

    assert {"title", "uid", "schemaVersion", "panels", "templating", "time"} <= model.keys()
    assert "id" not in model
    assert len(panels) >= 12
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(set(places)) == len(places)
    assert all(column < GRID_COLUMNS for _, column in places)
    for panel in panels:
        assert panel["title"]
        assert panel["type"] in ("stat", "timeseries", "table")
        assert all(target["expr"] and target["refId"] for target in panel["targets"])
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}


def test_the_dashboard_holds_nothing_of_any_site() -> None:
    text = (MONITORING / "grafana-dashboard.json").read_text(encoding="utf-8")

    assert re.findall(r"https?://|\d+\.\d+\.\d+\.\d+", text) == []
    assert [each["current"] for each in dashboard()["templating"]["list"] if "current" in each] == [
        {}
    ]
