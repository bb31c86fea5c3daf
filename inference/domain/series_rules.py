"""The rules by which a series is chosen, read from TOML: refusals first, then points; unknown keys are errors."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from inference.domain.errors import ConfigurationInvalid
from inference.domain.series_choice import SeriesSummary

RULES_FOLDER = Path(__file__).parent.parent / "profiles" / "series"

_KINDS = get_type_hints(SeriesSummary)
_NUMBERS = frozenset(
    name for name, kind in _KINDS.items() if kind in (int, int | None, float | None)
)
_TEXTS = frozenset(_KINDS) - _NUMBERS - {"series_uid", "study_uid", "left_out"}

Curve = tuple[tuple[float, float], ...]
FINALISTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A question about one fact of a series; several of them in one condition must all hold."""

    fact: str
    matches: re.Pattern[str] | None = None
    """One of the texts contains it."""
    lacks: re.Pattern[str] | None = None
    """None of the texts contains it, and there is one."""
    below: float | None = None
    above: float | None = None
    is_known: bool | None = None

    def holds(self, summary: SeriesSummary) -> bool:
        """Whether the series is so; an unknown fact is neither below nor above anything."""
        value = getattr(summary, self.fact)
        is_known = value is not None and value not in ("", ())
        if self.is_known is not None and self.is_known != is_known:
            return False
        if not is_known:
            return self.is_known is False
        if self.fact in _NUMBERS:
            return (self.below is None or value < self.below) and (
                self.above is None or value > self.above
            )
        texts = (value,) if isinstance(value, str) else value
        if self.matches is not None and not any(self.matches.search(text) for text in texts):
            return False
        return self.lacks is None or not any(self.lacks.search(text) for text in texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A series that is so is not analysed."""

    code: str
    says: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Points for a series that is so; of the rules with one name the first that holds speaks."""

    name: str
    says: str
    """May contain {value} where the fact is a number."""
    conditions: tuple[Condition, ...]
    points: int = 0
    curve: Curve = ()
    """(value, points), straight between, level outside; instead of points."""

    @property
    def fact(self) -> str:
        """What {value} and the curve are about."""
        return self.conditions[0].fact


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRules:
    """How one kind of analysis chooses its series."""

    name: str
    description: str
    refusals: tuple[Refusal, ...]
    scores: tuple[Score, ...]
    finalists: int = FINALISTS
    """So many candidates may be tried, pixels and all, before the study is given up."""


def load_series_rules(name: str) -> SeriesRules:
    """A shipped rule set; raises ConfigurationInvalid."""
    names = sorted(path.stem for path in RULES_FOLDER.glob("*.toml"))
    if name not in names:
        raise _invalid(f"series rules {name!r:.40}", f"one of {', '.join(names)}")
    return series_rules_from_toml((RULES_FOLDER / f"{name}.toml").read_text(encoding="utf-8"), name)


def series_rules_from_toml(text: str, name: str) -> SeriesRules:
    """A rule set from its TOML text; raises ConfigurationInvalid."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise _invalid(f"series rules {name} that are not TOML ({exc})", "a TOML file") from exc
    refusals = [
        _refusal(item, f"{name}.refuse[{i}]") for i, item in enumerate(raw.pop("refuse", []))
    ]
    scores = [_score(item, f"{name}.score[{i}]") for i, item in enumerate(raw.pop("score", []))]
    rules = SeriesRules(
        name=name,
        description=_take(raw, "description", str, name),
        refusals=tuple(refusals),
        scores=tuple(scores),
        finalists=_take(raw, "finalists", int, name, FINALISTS),
    )
    _nothing_else(raw, name)
    if not scores or rules.finalists < 1:
        raise _invalid(f"{name} without a score or finalist", "at least one of each")
    return rules


def _refusal(raw: dict[str, Any], where: str) -> Refusal:
    refusal = Refusal(
        code=_take(raw, "code", str, where),
        says=_take(raw, "says", str, where),
        conditions=_conditions(raw, where),
    )
    _nothing_else(raw, where)
    return refusal


def _score(raw: dict[str, Any], where: str) -> Score:
    curve = _take(raw, "curve", list, where, [])
    score = Score(
        name=_take(raw, "name", str, where),
        says=_take(raw, "says", str, where),
        points=_take(raw, "points", int, where, 0),
        curve=_curve(curve, where) if curve else (),
        conditions=_conditions(raw, where),
    )
    _nothing_else(raw, where)
    if bool(score.points) == bool(score.curve) and score.points:
        raise _invalid(f"{where} with points and a curve", "one of the two")
    if (score.curve or "{value}" in score.says) and score.fact not in _NUMBERS:
        raise _invalid(f"{where}: a curve or {{value}} of the text {score.fact}", "of a number")
    return score


def _conditions(raw: dict[str, Any], where: str) -> tuple[Condition, ...]:
    """The first condition stands in the rule itself, others under `and`."""
    others = _take(raw, "and", list, where, [])
    first = _condition(raw, where)
    conditions = [first]
    for i, other in enumerate(others):
        conditions.append(_condition(other, f"{where}.and[{i}]"))
        _nothing_else(other, f"{where}.and[{i}]")
    return tuple(conditions)


def _condition(raw: dict[str, Any], where: str) -> Condition:
    fact = _take(raw, "fact", str, where)
    if fact not in _NUMBERS | _TEXTS:
        raise _invalid(f"{where}: fact {fact!r:.40}", ", ".join(sorted(_NUMBERS | _TEXTS)))
    foreign = {"matches", "lacks"} if fact in _NUMBERS else {"below", "above"}
    if wrong := sorted(foreign & set(raw)):
        raise _invalid(f"{where}: {wrong[0]} of {fact}", "below, above: numbers; matches: texts")
    return Condition(
        fact=fact,
        matches=_pattern(raw, "matches", where),
        lacks=_pattern(raw, "lacks", where),
        below=_number(raw, "below", where),
        above=_number(raw, "above", where),
        is_known=_take(raw, "is_known", bool, where, None),
    )


def _pattern(raw: dict[str, Any], key: str, where: str) -> re.Pattern[str] | None:
    text = _take(raw, key, str, where, None)
    try:
        return None if text is None else re.compile(text, re.IGNORECASE)
    except re.error as exc:
        raise _invalid(f"{where}.{key}: no regular expression ({exc})", "one") from exc


def _number(raw: dict[str, Any], key: str, where: str) -> float | None:
    value = raw.pop(key, None)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise _invalid(f"{where}.{key} = {value!r:.40}", "a number")
    return value


def _curve(raw: list[Any], where: str) -> Curve:
    is_curve = all(
        isinstance(point, list)
        and len(point) == 2
        and all(isinstance(x, int | float) and not isinstance(x, bool) for x in point)
        for point in raw
    )
    if not is_curve or [p[0] for p in raw] != sorted({p[0] for p in raw}):
        raise _invalid(f"{where}.curve", "[[value, points], …] with growing values")
    return tuple((float(x), float(y)) for x, y in raw)


_MISSING = object()


def _take(raw: dict[str, Any], key: str, kind: type, where: str, default: Any = _MISSING) -> Any:
    value = raw.pop(key, default)
    if value is _MISSING:
        raise _invalid(f"{where} without {key}", f"{key}, a {kind.__name__}")
    is_right = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if value is not default and not is_right:
        raise _invalid(f"{where}.{key} = {value!r:.40}", f"a {kind.__name__}")
    return value


def _nothing_else(raw: dict[str, Any], where: str) -> None:
    if raw:
        raise _invalid(f"{where}: unknown key {min(raw)!r:.40}", "only keys that are known")


def _invalid(found: str, wanted: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(
        found=found, wanted=wanted, advice="Mend the rules in inference/profiles/series/."
    )
