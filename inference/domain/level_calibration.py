"""The few numbers that turn curves of landmarks into a level, fitted on painted cases for one pair of networks."""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from inference.domain.errors import ConfigurationInvalid, ModelUnusable

CALIBRATION_NAME = "calibration.toml"
"""Lies in the folder of the level model."""
ADVICE = "Write it anew: python -m training.calibrate_level."
HIGHEST_WEIGHT = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How a posterior becomes an outcome and a confidence: the logistic map and its thresholds."""

    intercept: float
    joint: float
    """Weight of the log odds that the level lies within 10 mm, by all opinions together."""
    level: float = 0.0
    """The same, by the projections alone; 0 where they are the only opinion."""
    spine: float = 0.0
    """By the volume network alone."""
    confident_from: float
    """A level of less confidence is uncertain."""
    in_field_from: float
    """L3 is called in the field of view from this probability on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelCalibration:
    """How far each opinion's curves are believed, and the decision with one opinion and with two."""

    level_sha256: str = ""
    """Of the level network's ONNX file that it was fitted for; empty: fitted for none."""
    spine_sha256: str = ""
    """Of the second network's; empty where only one was asked."""
    statement: str = ""
    """What it was fitted on, in words."""
    level_weight: float = 0.8
    """Exponent on the curves of the projections beside those of the volume; below 1, since landmarks of one network err together."""
    spine_weight: float = 0.8
    floor: float = 0.02
    """Least probability that a curve is taken to state of any row, in the field or out of it."""
    outside: float = 0.5
    """Odds of a landmark that no curve shows to lie outside the field rather than to have been missed."""
    largest_difference_mm: float = 12.0
    """Opinions that differ by more make the level uncertain."""
    one_opinion: Decision = field(
        default_factory=lambda: Decision(
            intercept=-0.5, joint=0.5, confident_from=0.75, in_field_from=0.5
        )
    )
    two_opinions: Decision = field(
        default_factory=lambda: Decision(
            intercept=-0.5,
            joint=0.3,
            level=0.15,
            spine=0.15,
            confident_from=0.75,
            in_field_from=0.5,
        )
    )

    def __post_init__(self) -> None:
        weights = (self.level_weight, self.spine_weight)
        rules = {
            f"weights {weights}": all(0 < weight <= HIGHEST_WEIGHT for weight in weights),
            f"floor {self.floor}": 0 < self.floor < 0.5,
            f"outside {self.outside}": 0 < self.outside <= HIGHEST_WEIGHT,
            f"largest_difference_mm {self.largest_difference_mm}": self.largest_difference_mm > 0,
        }
        for name, decision in (("one", self.one_opinion), ("two", self.two_opinions)):
            shares = (decision.confident_from, decision.in_field_from)
            rules[f"{name}_opinion thresholds {shares}"] = all(0 <= s <= 1 for s in shares)
            slopes = (decision.joint, decision.level, decision.spine)
            rules[f"{name}_opinion slopes {slopes}"] = all(0 <= s <= HIGHEST_WEIGHT for s in slopes)
        for found, holds in rules.items():
            if not holds:
                raise ConfigurationInvalid(
                    found=f"level calibration with {found}", wanted="usable values", advice=ADVICE
                )

    @property
    def content_hash(self) -> str:
        """Of every number: another calibration is another job."""
        return hashlib.sha256(calibration_to_toml(self).encode()).hexdigest()

    def is_for(self, level_sha256: str, spine_sha256: str | None) -> bool:
        """Whether it was fitted for these networks; without a second one, whatever the second was."""
        return self.level_sha256 == level_sha256 and spine_sha256 in (None, self.spine_sha256)


UNCALIBRATED = LevelCalibration()
"""Round numbers, taken where the networks have no calibration of their own; a result made with them says so."""


def calibration_for(path: Path, level_sha256: str, spine_sha256: str | None) -> LevelCalibration:
    """From its TOML file, UNCALIBRATED where there is none; raises ModelUnusable where it is of other networks."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return UNCALIBRATED
    calibration = calibration_from_toml(text)
    if not calibration.is_for(level_sha256, spine_sha256):
        raise ModelUnusable(
            found=f"{path.parent.name}/{path.name} of other networks",
            wanted="of these",
            advice=ADVICE,
        )
    return calibration


def calibration_from_toml(text: str) -> LevelCalibration:
    """Every key must be there and none besides; raises ConfigurationInvalid."""
    try:
        raw: Mapping[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise _invalid(f"that is not TOML ({exc})", "a TOML file") from exc
    values = _typed(LevelCalibration, raw, "level calibration")
    for name in ("one_opinion", "two_opinions"):
        values[name] = Decision(**_typed(Decision, raw[name], name))
    return LevelCalibration(**values)


def calibration_to_toml(calibration: LevelCalibration) -> str:
    """The inverse of calibration_from_toml; numbers to six digits."""
    lines, tables = [], []
    for f in fields(calibration):
        value = getattr(calibration, f.name)
        if isinstance(value, Decision):
            rows = [f"{g.name} = {getattr(value, g.name):.6g}" for g in fields(value)]
            tables.append("\n".join(["", f"[{f.name}]", *rows]))
        elif isinstance(value, str):
            lines.append(f'{f.name} = "{value}"')
        else:
            lines.append(f"{f.name} = {value:.6g}")
    return "\n".join([*lines, *tables]) + "\n"


def _typed(kind: type, raw: Any, where: str) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        raise _invalid(f"whose {where} is a {type(raw).__name__}", "a table")
    known = {f.name: f.type for f in fields(kind)}
    if unknown := sorted(set(raw) - set(known)):
        raise _invalid(f"with the unknown key {unknown[0]!r:.40}", f"only {', '.join(known)}")
    if missing := sorted(set(known) - set(raw)):
        raise _invalid(f"without {missing[0]!r}", "every key")
    return {name: _value(known[name], raw[name], name) for name in known}


def _value(kind: Any, raw: Any, name: str) -> Any:
    if kind is Decision:
        return raw
    if kind is float and type(raw) in (int, float):
        return float(raw)
    if kind is str and isinstance(raw, str) and '"' not in raw and "\n" not in raw:
        return raw
    raise _invalid(f"whose {name} is {raw!r:.40}", getattr(kind, "__name__", str(kind)))


def _invalid(found: str, wanted: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(found=f"a level calibration {found}", wanted=wanted, advice=ADVICE)
