"""Which series a profile takes: its series rules, by the name that a route has."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from inference.domain.analysis_profile import load_profile
from inference.domain.series_rules import SeriesRules, load_series_rules
from orthanc_plugin.node.settings import Settings

RulesOf = Callable[[str], SeriesRules]
"""By the name of a profile; empty means the engine's own. Raises ConfigurationInvalid."""


def rules_in_force(in_force: Callable[[], Settings]) -> RulesOf:
    """As the profiles say; which one is the engine's own may change while the node runs."""

    def rules_of(profile: str) -> SeriesRules:
        engine = in_force().engine
        return _rules(profile or engine.profile, engine.models_folder)

    return rules_of


@cache
def _rules(profile: str, models_folder: Path) -> SeriesRules:
    return load_series_rules(load_profile(profile, models_folder).series_rules)
