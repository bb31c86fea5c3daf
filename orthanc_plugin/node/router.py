"""The way of a study: what Orthanc knows of its CT series is put to the rules in force."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from orthanc_plugin.node.job_key import EngineIdentity
from orthanc_plugin.node.job_route import Route, route_by
from orthanc_plugin.node.pacs import Pacs, RequestRefused, ResourceGone, SeriesFacts
from orthanc_plugin.node.routing import SeriesOrigin, first_rule
from orthanc_plugin.node.settings import Settings
from orthanc_plugin.node.site_time import SiteClock


class ProfileNotLoaded(RequestRefused):
    """A rule names a profile that the engine is only loading now, or cannot load."""

    code: ClassVar[str] = "profile-not-loaded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a study goes on, and what will analyse it."""

    route: Route
    engine: EngineIdentity


class Router:
    """Puts a study to the rules once it rests; without any rule every study goes the same way."""

    def __init__(
        self,
        pacs: Pacs,
        in_force: Callable[[], Settings],
        identity_of: Callable[[str], EngineIdentity | None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._pacs = pacs
        self._in_force = in_force
        self._identity_of = identity_of
        self._clock = clock

    def way(self, images: Sequence[SeriesFacts]) -> Way | None:
        """Of a study with these CT series; None where no rule fits. Raises ProfileNotLoaded."""
        route = self.route(images)
        if route is None:
            return None
        engine = self.engine_of(route.profile)
        if engine is None:
            raise ProfileNotLoaded(
                found=f"profile {route.profile or self._in_force().engine.profile!r}, which is not loaded",
                wanted="an engine that has it",
                advice="It is tried again; the page says whether the engine can load its models.",
            )
        return Way(route=route, engine=engine)

    def route(self, images: Sequence[SeriesFacts]) -> Route | None:
        """By the first rule that fits; without any rules the same for all."""
        settings = self._in_force()
        if not settings.rules:
            return Route()
        at = SiteClock(zone_name=settings.time_zone).local(self._clock())
        rule = first_rule(settings.rules, list(self._origins(images)), at)
        return None if rule is None else route_by(rule)

    def engine_of(self, profile: str) -> EngineIdentity | None:
        """What analyses by a profile (empty: the engine's own); None where it is not loaded."""
        own = self._in_force().engine.profile
        return self._identity_of("" if profile == own else profile)

    @property
    def rules_digest(self) -> str:
        """Another one whenever a study may go another way."""
        settings = self._in_force()
        return hashlib.sha256(repr((settings.rules, settings.time_zone)).encode()).hexdigest()[:16]

    def names_of(self, profile: str) -> frozenset[str]:
        """Under which ways name a profile: the engine's own has two."""
        names = frozenset({"", self._in_force().engine.profile})
        return names if profile in names else frozenset({profile})

    def _origins(self, images: Sequence[SeriesFacts]) -> Iterator[SeriesOrigin]:
        for facts in images:
            one = min(facts.sop_uids, key=lambda orthanc_id: facts.sop_uids[orthanc_id])
            try:
                yield self._pacs.origin(one)
            except ResourceGone:
                continue
