"""The metrics of a node, made from the journal at the moment somebody asks; no patient data, and no more labels than there are codes."""

import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from inference.engine.providers import downgrade_flag
from orthanc_plugin.inside.disk_space import level_of, room_at
from orthanc_plugin.node.durable_counts import (
    BOUNDS_S,
    STAGE_SECONDS,
    STAGES,
    TURNAROUND_SECONDS,
)
from orthanc_plugin.node.job_states import DeliveryState, JobState
from orthanc_plugin.node.readings import Buckets, Readings
from orthanc_plugin.node.routing_rules import Priority
from orthanc_plugin.node.settings import Settings

ENGINE_STATES = ("ready", "resting", "unusable", "lost")
RESTART_REASONS = (
    *("engine-died", "engine-timeout", "engine-crashed", "out-of-memory", "not-started"),
    *("model-unusable", "job-abandoned", "jobs-served", "memory-growth", "rested"),
    "settings-changed",
)
"""Told from the first scrape on: of a counter that begins at 1, Prometheus misses the first step."""
ATTEMPT_OUTCOMES = (JobState.COMPUTED, JobState.REJECTED, JobState.DEAD, JobState.QUEUED)
MOST_CODES = 200
OTHER = "other"
_CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

Family = GaugeMetricFamily | CounterMetricFamily


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """All that a page is made of."""

    readings: Readings
    settings: Settings
    started_at: float
    images_folder: Path | None = None
    """Orthanc's, where the plugin told us."""


def page(view: NodeView) -> bytes:
    """As Prometheus reads it (text format 0.0.4)."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_NodeCollector(view))
    return generate_latest(registry)


class _NodeCollector(Collector):
    def __init__(self, view: NodeView) -> None:
        self._view = view

    def collect(self) -> Iterable[Metric]:
        """Every family, with its help."""
        view = self._view
        yield from _of_node(view)
        yield from _of_queue(view.readings)
        yield from _of_attempts(view.readings)
        yield from _of_times(view.readings)
        yield from _of_deliveries(view)
        yield from _of_disks(view)
        yield from _of_engine(view.readings)


def bounded(counts: Mapping[str, int]) -> dict[str, int]:
    """By code; what is none, or comes after the first hundreds, is counted together."""
    kept: dict[str, int] = {}
    for name in sorted(counts):
        is_kept = _CODE.fullmatch(name) and len(kept) < MOST_CODES
        label = name if is_kept else OTHER
        kept[label] = kept.get(label, 0) + counts[name]
    return kept


def _gauge(name: str, text: str, labels: Sequence[str] = ()) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"habitus_{name}", text, labels=labels)


def _counter(name: str, text: str, labels: Sequence[str] = ()) -> CounterMetricFamily:
    return CounterMetricFamily(f"habitus_{name}", text, labels=labels)


def _filled(family: Family, counts: Mapping[str, float]) -> Family:
    for label, value in counts.items():
        family.add_metric([label], value)
    return family


def _of_node(view: NodeView) -> Iterator[Metric]:
    readings = view.readings
    build = _gauge("build_info", "What runs; always 1.", ["code_version", "python"])
    build.add_metric([str(readings.engine.get("code_version", "")), platform.python_version()], 1)
    yield build
    started = _gauge("node_start_time_seconds", "Since when the node is up, in Unix time.")
    started.add_metric([], view.started_at)
    yield started
    ready = _gauge(
        "node_ready", "1 where a study that came now would be analysed; /ready says why not."
    )
    ready.add_metric([], float(readings.fault is None))
    yield ready
    refused = _gauge(
        "settings_refused",
        "1 where habitus.toml has a mistake and the former settings stay in force.",
    )
    refused.add_metric([], float(readings.settings.get("state") == "refused"))
    yield refused


def _of_queue(readings: Readings) -> Iterator[Metric]:
    jobs = {str(state): readings.jobs.get(state, 0) for state in JobState}
    yield _filled(_gauge("jobs", "Jobs in the journal by state.", ["state"]), jobs)
    ages = {
        lane: max(0.0, readings.now - readings.oldest_queued_at.get(lane, readings.now))
        for lane in Priority
    }
    oldest = _gauge(
        "oldest_queued_seconds",
        "Age of the oldest job that waits, by lane; 0 where none does. Off-peak jobs wait for their hours.",
        ["lane"],
    )
    yield _filled(oldest, {str(lane): age for lane, age in ages.items()})
    skipped = _gauge("skipped_series", "Series that were not taken, by reason.", ["reason"])
    yield _filled(skipped, bounded(readings.skipped))


def _of_attempts(readings: Readings) -> Iterator[Metric]:
    by_outcome = dict.fromkeys(map(str, ATTEMPT_OUTCOMES), 0)
    reasons: dict[str, dict[str, int]] = {}
    for (outcome, reason), n in readings.attempts.items():
        by_outcome[outcome] = by_outcome.get(outcome, 0) + n
        reasons.setdefault(outcome, {})[reason] = n
    text = "Attempts that ended, by the state their job went to; queued: to be tried again."
    yield _filled(_counter("job_attempts", text, ["outcome"]), by_outcome)
    failed = {**reasons.get(JobState.QUEUED, {}), **reasons.get(JobState.CANCELLED, {})}
    for reason, n in reasons.get(JobState.DEAD, {}).items():
        failed[reason] = failed.get(reason, 0) + n
    failed.pop("", None)
    text = "Attempts that ended without a result and without a rejection, by reason."
    yield _filled(_counter("attempt_failures", text, ["reason"]), bounded(failed))
    text = "Series that were looked at and rejected, by reason."
    rejected = bounded(reasons.get(JobState.REJECTED, {}))
    yield _filled(_counter("rejections", text, ["reason"]), rejected)


def _of_times(readings: Readings) -> Iterator[Metric]:
    stages = HistogramMetricFamily(
        "habitus_stage_seconds",
        "Wall time of each stage of a job; the engine's own stages are parts of analyse.",
        labels=["stage"],
    )
    for stage in STAGES:
        _observe(stages, STAGE_SECONDS, readings.histograms.get((STAGE_SECONDS, stage)), [stage])
    yield stages
    turnaround = HistogramMetricFamily(
        "habitus_turnaround_seconds",
        "From the last image of a study received to its results confirmed where they must be.",
    )
    buckets = readings.histograms.get((TURNAROUND_SECONDS, ""))
    _observe(turnaround, TURNAROUND_SECONDS, buckets, [])
    yield turnaround


def _observe(
    family: HistogramMetricFamily, measured: str, found: Buckets | None, labels: Sequence[str]
) -> None:
    bounds = (*BOUNDS_S[measured], float("inf"))
    numbers = [found.numbers.get(bound, 0) if found else 0 for bound in bounds]
    names = [*map(str, bounds[:-1]), "+Inf"]
    buckets = list(zip(names, accumulate(numbers), strict=True))
    family.add_metric(labels, buckets, found.sum_s if found else 0.0)


def _of_deliveries(view: NodeView) -> Iterator[Metric]:
    readings = view.readings
    names = [destination.name for destination in view.settings.destinations]
    family = _gauge(
        "deliveries", "Result objects on their way, or there.", ["state", "destination"]
    )
    counts = {(str(state), name): 0 for name in names for state in DeliveryState}
    for (state, name), n in {**counts, **readings.deliveries}.items():
        family.add_metric([state, name], n)
    yield family
    up = _gauge(
        "destination_up",
        "1 where the last exchange with a destination ended well; not told before the first.",
        ["destination"],
    )
    at = _gauge(
        "destination_exchange_time_seconds", "When that was, in Unix time.", ["destination"]
    )
    for name in names:
        if (reached := readings.destinations.get(name)) is not None:
            up.add_metric([name], float(reached.is_reached))
            at.add_metric([name], reached.at)
    yield up
    yield at


def _of_disks(view: NodeView) -> Iterator[Metric]:
    free = _gauge("disk_free_bytes", "Room for a user who is not root, by volume.", ["volume"])
    level = _gauge(
        "disk_level", "0: fine. 1: jobs wait. 2: images are refused, too. By volume.", ["volume"]
    )
    volumes = {"data": view.settings.data_folder, "images": view.images_folder}
    for name, folder in volumes.items():
        if folder is not None and (room := room_at(folder)) is not None:
            free.add_metric([name], room.free_bytes)
            level.add_metric([name], level_of(folder, view.settings.disk.marks))
    yield free
    yield level


def _of_engine(readings: Readings) -> Iterator[Metric]:
    states = _gauge("engine_state", "1 for the state that the engine is in.", ["state"])
    found = readings.engine.get("state", "")
    yield _filled(states, {state: float(state == found) for state in ENGINE_STATES})
    restarts = _counter(
        "engine_restarts",
        "Engine children started in another's place, by what ended that.",
        ["reason"],
    )
    known = dict.fromkeys(RESTART_REASONS, 0)
    yield _filled(restarts, {**known, **bounded(readings.engine_restarts)})
    info = _gauge(
        "model_info",
        "The networks as last loaded, each with where it runs; always 1.",
        ["model", "version", "sha256", "provider"],
    )
    downgraded = _gauge(
        "provider_downgraded",
        "1 where a network runs elsewhere than where it was asked to run first.",
        ["model", "asked", "provider"],
    )
    for told in readings.engine.get("networks", ()):
        name, used, asked = told["name"], told["provider"], told["asked"]
        info.add_metric([name, told["version"], told["sha256"], used], 1)
        is_downgraded = downgrade_flag([asked] if asked else [], used) is not None
        downgraded.add_metric([name, asked, used], float(is_downgraded))
    yield info
    yield downgraded
