"""Which series a profile takes: its series rules, by the name that a route has."""

from collections.abc import Callable
from functools import cache

from inference.domain.analysis_profile import load_profile
from inference.domain.series_rules import SeriesRules, load_series_rules
from orthanc_plugin.node.settings import Settings

RulesOf = Callable[[str], SeriesRules]
"""By the name of a profile; empty means the engine's own. Raises ConfigurationInvalid."""


def rules_in_force(in_force: Callable[[], Settings]) -> RulesOf:
    """As the shipped profiles say; which one is the engine's own may change while the node runs."""
    return lambda profile: _shipped(profile or in_force().engine.profile)


@cache
def _shipped(profile: str) -> SeriesRules:
    return load_series_rules(load_profile(profile).series_rules)
