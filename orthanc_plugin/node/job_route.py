"""The way of one job, kept with it in the journal: what its rule said when the study came."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from orthanc_plugin.node.destinations import Destination
from orthanc_plugin.node.routing_rules import ALL_OUTPUTS, Mode, Output, Priority, Rule
from orthanc_plugin.node.site_time import TimeWindow, window_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Without rules: the engine's own profile, everything to every destination, in the order of arrival."""

    rule: str = ""
    profile: str = ""
    """Empty: engine.profile."""
    outputs: tuple[Output, ...] = ALL_OUTPUTS
    destinations: tuple[str, ...] | None = None
    """None: all of them."""
    priority: Priority = Priority.NORMAL
    window: TimeWindow | None = None
    mode: Mode = Mode.SEND

    @property
    def text(self) -> str:
        """As the journal keeps it."""
        return json.dumps(
            {
                "rule": self.rule,
                "profile": self.profile,
                "outputs": self.outputs,
                "destinations": self.destinations,
                "priority": self.priority,
                "window": str(self.window) if self.window else None,
                "mode": self.mode,
            }
        )


DEFAULT_ROUTE = Route()


def route_by(rule: Rule) -> Route:
    """The way that a rule sends a study."""
    return Route(
        rule=rule.name,
        profile=rule.profile or "",
        outputs=rule.outputs,
        destinations=rule.destinations,
        priority=rule.priority,
        window=rule.window,
        mode=rule.mode,
    )


def route_from(text: str) -> Route:
    """A way as the journal kept it; of a journal without ways, the one without rules."""
    if not text:
        return Route()
    told = json.loads(text)
    names = told["destinations"]
    return Route(
        rule=told["rule"],
        profile=told["profile"],
        outputs=tuple(Output(each) for each in told["outputs"]),
        destinations=None if names is None else tuple(names),
        priority=Priority(told["priority"]),
        window=window_of(told["window"]) if told["window"] else None,
        mode=Mode(told["mode"]),
    )


def receivers(route: Route, destinations: Sequence[Destination]) -> tuple[Destination, ...]:
    """Which of the destinations in force a job's results go to."""
    if route.mode is Mode.SHADOW:
        return ()
    return tuple(
        each
        for each in destinations
        if route.destinations is None or each.name in route.destinations
    )


def is_sent(route: Route, role: str) -> bool:
    """Whether a result of this role leaves the house; roles of no known kind do."""
    kind = role.partition("@")[0].partition("-")[0]
    return kind not in tuple(Output) or Output(kind) in route.outputs
