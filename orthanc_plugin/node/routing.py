"""Which rule fits a study, and in words why each earlier one does not."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from orthanc_plugin.node.routing_rules import Rule, TagTest, compiled

LONGEST_VALUE = 10_240
"""Characters of a tag that are looked at: LT, the longest text of a header (PS3.5 6.2)."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesOrigin:
    """One CT series of a study, as far as rules look at it."""

    calling: str
    """AE title of the sender; empty of what came by HTTP."""
    called: str
    texts: Mapping[str, str]
    """Keyword → value of one image's header; several values stand between backslashes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleVerdict:
    """What one rule says to a study."""

    rule: Rule
    fires: bool
    why: str


def first_rule(rules: Iterable[Rule], series: Sequence[SeriesOrigin], at: datetime) -> Rule | None:
    """The first rule that fits; None where none does."""
    return next((v.rule for v in verdicts(rules, series, at) if v.fires), None)


def verdicts(
    rules: Iterable[Rule], series: Sequence[SeriesOrigin], at: datetime
) -> Iterator[RuleVerdict]:
    """Each rule's answer; those behind the first that fits are not asked."""
    fired = ""
    for rule in rules:
        if fired:
            yield RuleVerdict(rule=rule, fires=False, why=f"not asked: {fired} comes before it")
            continue
        reasons = [next(obstacles(rule, one, at), "") for one in series]
        fires = "" in reasons
        if fires:
            fired = rule.name
        why = in_words(rule) if fires else "; ".join(dict.fromkeys(reasons)) or "no CT series"
        yield RuleVerdict(rule=rule, fires=fires, why=why)


def obstacles(rule: Rule, series: SeriesOrigin, at: datetime) -> Iterator[str]:
    """Why the rule does not fit a series: each condition that does not hold."""
    for role, wanted, title in (
        ("calling", rule.calling, series.calling),
        ("called", rule.called, series.called),
    ):
        if wanted is not None and title not in wanted:
            found = repr(title) if title else "unknown"
            yield f"{role} AE title {found}, not {_listed(wanted)}"
    for keyword, test in rule.tags.items():
        if why := _missed(test, series.texts.get(keyword)):
            yield f"{keyword} {why}"
    if rule.hours is not None and not rule.hours.holds(at.time()):
        yield f"{at:%H:%M} is not within {rule.hours}"


def in_words(rule: Rule) -> str:
    """A rule's conditions."""
    parts = [f"calling {_listed(rule.calling)}"] if rule.calling else []
    parts += [f"called {_listed(rule.called)}"] if rule.called else []
    parts += [f"{keyword} {_wish(test)}" for keyword, test in rule.tags.items()]
    parts += [f"within {rule.hours}"] if rule.hours else []
    return ", ".join(parts) or "everything"


def _missed(test: TagTest, text: str | None) -> str:
    """Why a tag does not fit; empty where it does."""
    if text is None or not text.strip(" \0"):
        return "is absent"
    values = [value.strip(" \0") for value in text[:LONGEST_VALUE].split("\\")]
    if any(_fits(test, value) for value in values):
        return ""
    return f"is {text[:60]!r}, not {_wish(test)}"


def _fits(test: TagTest, value: str) -> bool:
    if test.equals is not None:
        return value in test.equals
    if test.matches is not None:
        return compiled(test.matches).search(value) is not None
    if not _NUMBER.fullmatch(value):
        return False
    number = float(value)
    return (test.at_least is None or number >= test.at_least) and (
        test.at_most is None or number <= test.at_most
    )


def _wish(test: TagTest) -> str:
    if test.equals is not None:
        return _listed(test.equals)
    if test.matches is not None:
        return f"like {test.matches!r}"
    low = "" if test.at_least is None else f"at least {test.at_least:g}"
    high = "" if test.at_most is None else f"at most {test.at_most:g}"
    return " and ".join(part for part in (low, high) if part)


def _listed(texts: Sequence[str]) -> str:
    return " or ".join(repr(text) for text in texts)
