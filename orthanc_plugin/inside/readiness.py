"""Whether a study that came now would be analysed: one rule for Orthanc's route and for the node's own page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SILENT_AFTER_S = 30.0
"""A node notes every few seconds that it lives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotReady:
    """Why a study would have to wait."""

    code: str
    found: str
    wanted: str
    advice: str


NODE_SILENT = NotReady(
    code="node-silent",
    found="no sign of life from the node",
    wanted="one within the last half minute",
    advice="See /habitus/status and the node's log.",
)
ENGINE_NOT_READY = NotReady(
    code="engine-not-ready",
    found="an engine that is not loaded",
    wanted="loaded models",
    advice="Wait a minute after a start; else see engine in /habitus/status.",
)
DISK_FULL = NotReady(
    code="disk-full",
    found="a disk of the node that is all but full",
    wanted="room for the results of a study",
    advice="Make room; jobs wait meanwhile. The marks are [disk] of habitus.toml.",
)


def not_ready(
    silent_s: float | None, engine: Mapping[str, Any] | None, disk: Any
) -> NotReady | None:
    """By what the node noted in the journal: when it last lived, its engine, the level of its disk; None where all is well."""
    if silent_s is None or silent_s > SILENT_AFTER_S:
        return NODE_SILENT
    if not engine or engine["state"] not in ("ready", "resting"):
        return ENGINE_NOT_READY
    if disk not in (None, "ok"):
        return DISK_FULL
    return None
