"""What an optimisation searches, from TOML: ranges and choices of a configuration's keys."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference.domain.errors import ConfigurationInvalid
from training.config import TrainConfig, config_from_mapping, config_to_mapping

if TYPE_CHECKING:
    import optuna

ADVICE = "See training/configs/paper/l3_slices_space.toml."
FIXED = "fixed"
OPTIONS = "options"


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Of one key: numbers between two ends, or a few choices."""

    low: float | int = 0
    high: float | int = 0
    step: float | int | None = None
    log: bool = False
    choices: tuple[str, ...] = ()

    def suggested(self, trial: "optuna.trial.Trial", name: str) -> Any:
        """The trial's value."""
        if self.choices:
            return trial.suggest_categorical(name, self.choices)
        if all(isinstance(one, int) for one in (self.low, self.high, self.step or 0)):
            return trial.suggest_int(name, int(self.low), int(self.high), step=int(self.step or 1))
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpace:
    """Ranges by key; keys of a task's own begin with "options."."""

    ranges: Mapping[str, Range]
    fixed: Mapping[str, Any]
    """Set for every trial."""

    def configured(self, config: TrainConfig, trial: "optuna.trial.Trial") -> TrainConfig:
        """The configuration of a trial."""
        return with_values(config, self.values(trial))

    def values(self, trial: "optuna.trial.Trial") -> dict[str, Any]:
        """Of every key that the space knows."""
        return {name: one.suggested(trial, name) for name, one in self.ranges.items()} | dict(
            self.fixed
        )


def with_values(config: TrainConfig, values: Mapping[str, Any]) -> TrainConfig:
    """The configuration with some keys otherwise; raises ConfigurationInvalid."""
    raw = config_to_mapping(config)
    for name, value in values.items():
        table, _, key = name.rpartition(".")
        if table == OPTIONS:
            raw[OPTIONS] = {**raw[OPTIONS], key: value}
        else:
            raw[name] = float(value) if type(raw.get(name)) is float else value
    return config_from_mapping(raw)


def read_space(path: Path) -> SearchSpace:
    """Raises ConfigurationInvalid."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        fixed = raw.pop(FIXED, {})
        tables = {name: table for name, table in raw.items() if name != OPTIONS}
        tables |= {f"{OPTIONS}.{name}": table for name, table in raw.get(OPTIONS, {}).items()}
        ranges = {name: _range(table) for name, table in tables.items()}
    except (OSError, TypeError, ValueError) as problem:
        raise ConfigurationInvalid(
            found=f"no search space in {path.name}",
            wanted="a table with low and high, or choices, for every key",
            advice=ADVICE,
        ) from problem
    return SearchSpace(ranges=ranges, fixed=fixed)


def _range(table: Mapping[str, Any]) -> Range:
    one = Range(**{**table, "choices": tuple(table.get("choices", ()))})
    if (one.low < one.high) == bool(one.choices):
        raise ValueError("neither ends nor choices")
    return one
