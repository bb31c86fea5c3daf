"""A gate: the least that a score of a checkpoint has to be."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from inference.domain.errors import ConfigurationInvalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Of a score on validation cases."""

    score: str
    least: float

    def holds(self, scores: Mapping[str, float]) -> bool:
        """False where the score is not among them, as those of an optimistic split are not."""
        return scores.get(self.score, -math.inf) >= self.least

    def found_in(self, scores: Mapping[str, float]) -> str:
        """The score as it is, for messages."""
        if self.score in scores:
            return f"{self.score} {scores[self.score]:.3f}"
        return f"no {self.score} among its scores ({', '.join(sorted(scores))})"

    def __str__(self) -> str:
        return f"{self.score} ≥ {self.least:g}"


def gate_from(text: str) -> Gate:
    """From "iou=0.9"; raises ConfigurationInvalid."""
    name, _, number = text.partition("=")
    try:
        least = float(number)
    except ValueError:
        least = math.nan
    if not name or not math.isfinite(least):
        raise ConfigurationInvalid(
            found=f"gate {text!r:.60}",
            wanted="a score and the least that it may be",
            advice="Write it as iou=0.9.",
        )
    return Gate(score=name, least=least)
