"""How far a network's answers lie from those it should give, and how many decisions that changes."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]

LEAST_AGREEMENT = 0.999
LEAST_SPAN = 1.0
"""Of one logit for a whole image, which spans nothing: its size is taken, this at least."""

LEVEL = 1e-3
"""Of the span: places of a landmark's curve that differ by less are equally high."""


class Decision(StrEnum):
    """What the node takes from an answer."""

    CHANNEL = "channel"
    """The label with the largest logit, at each place."""
    PLACE = "place"
    """Where each landmark's curve is highest."""
    SIGN = "sign"
    """Inside or outside."""
    NONE = "none"
    """Nothing itself: it goes into another network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Of two answers to one input."""

    precision: str
    max_abs_error: float
    span: float
    """Highest less lowest of the answers wanted."""
    agreement: float
    """Share of decisions that are the same."""

    def is_within(self, most_error: float) -> bool:
        """Of the span; written so that what is no number fails."""
        return self.max_abs_error <= most_error * self.span and self.agreement >= LEAST_AGREEMENT


def difference(found: Float, wanted: Float, decision: Decision, precision: str) -> Difference:
    """Of one output."""
    return Difference(
        precision=precision,
        max_abs_error=float(np.abs(found - wanted).max()),
        span=max(LEAST_SPAN, abs(float(wanted.max())))
        if wanted.size == 1
        else float(np.ptp(wanted)),
        agreement=_agreement(found, wanted, decision),
    )


def _agreement(found: Float, wanted: Float, decision: Decision) -> float:
    match decision:
        case Decision.CHANNEL:
            return float(np.mean(found.argmax(1) == wanted.argmax(1)))
        case Decision.PLACE:
            return _same_places(found, wanted)
        case Decision.SIGN:
            return float(np.mean((found > 0) == (wanted > 0)))
        case Decision.NONE:
            return 1.0


def _same_places(found: Float, wanted: Float) -> float:
    """Of curves [example, landmark, place]: one that is as good as level has no highest place, and none of its places is wrong."""
    chosen = found.argmax(2)[..., None]
    short = wanted.max(2) - np.take_along_axis(wanted, chosen, 2)[..., 0]
    return float(np.mean(short <= LEVEL * np.ptp(wanted)))
