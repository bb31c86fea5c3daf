"""What one painted case gave, and its line of JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self


class Truth(StrEnum):
    """Whether the body of L3 lies in the field of view."""

    WHOLE = "whole"
    PARTLY = "partly"
    ABSENT = "absent"


class Answer(StrEnum):
    """What the node said of L3."""

    FOUND = "found"
    UNCERTAIN = "uncertain"
    NOT_IN_FIELD = "not in the field"
    REFUSED = "refused"
    """Nothing would be sent: the node's own check of the result failed."""


class Ends(StrEnum):
    """The ends of the lumbar spine that the field holds: what there is to count from."""

    BOTH = "T12 and S1"
    ABOVE = "T12 only"
    BELOW = "S1 only"
    NEITHER = "neither T12 nor S1"


OFF_BY_A_VERTEBRA_MM = 15.0
"""Half the usual distance between the middles of neighbouring lumbar bodies."""
WITHIN_MM = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelScore:
    """The answer beside the truth."""

    truth: Truth
    answer: Answer
    error_mm: float | None
    """Answer minus truth along z; None where no level was given. Where L3 lies outside the field, to where it is."""
    nearest: str | None
    """The vertebra that the answer lies on."""
    confidence: float | None
    reasons: tuple[str, ...]
    """Why it is uncertain, or refused."""
    ends: Ends

    @property
    def is_near(self) -> bool:
        """A level within 10 mm of the truth, with a flag or without."""
        return self.error_mm is not None and abs(self.error_mm) <= WITHIN_MM

    @property
    def is_silently_wrong(self) -> bool:
        """A level that is off by a vertebra, without a flag."""
        return (
            self.answer is Answer.FOUND
            and self.error_mm is not None
            and abs(self.error_mm) > OFF_BY_A_VERTEBRA_MM
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueScore:
    """One tissue over the true extent of L3."""

    dice: float
    area_percent: float | None
    """Error of the area on the slice in the middle of the true L3; None where there is none of the tissue."""
    reported_percent: float | None = None
    """Error of the area that the node reports at the level it found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganScore:
    """One organ of which the field holds at least 1 ml."""

    dice: float
    true_ml: float
    found_ml: float
    is_cut: bool
    """By the field of view."""
    is_flagged: bool
    """As cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseScore:
    """One case."""

    seed: int
    template: str
    field_kind: str
    variants: tuple[str, ...]
    slices: int
    slice_mm: float
    pixel_mm: float
    is_clipped: bool
    """The round field of view leaves out part of the trunk."""
    level: LevelScore | None = None
    tissues: Mapping[str, TissueScore] = field(default_factory=dict)
    organs: Mapping[str, OrganScore] = field(default_factory=dict)
    invented_ml: Mapping[str, float] = field(default_factory=dict)
    """Of organs that are not in the field."""
    swapped: tuple[str, ...] = ()
    """Paired organs most of which has the other side's label."""
    side_doubts: tuple[str, ...] = ()
    """What the node itself says about sides."""
    painting_s: float = 0.0
    analysis_s: float = 0.0

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Self:
        """As written by to_json; raises ValueError, KeyError or TypeError."""
        raw: dict[str, Any] = json.loads(line)
        level = raw.pop("level")
        tissues, organs = raw.pop("tissues"), raw.pop("organs")
        for name in ("variants", "swapped", "side_doubts"):
            raw[name] = tuple(raw[name])
        return cls(
            level=_level(level) if level else None,
            tissues={name: TissueScore(**score) for name, score in tissues.items()},
            organs={name: OrganScore(**score) for name, score in organs.items()},
            **raw,
        )


def _level(raw: dict[str, Any]) -> LevelScore:
    truth, answer, ends = Truth(raw.pop("truth")), Answer(raw.pop("answer")), Ends(raw.pop("ends"))
    reasons = tuple(raw.pop("reasons"))
    return LevelScore(truth=truth, answer=answer, ends=ends, reasons=reasons, **raw)
