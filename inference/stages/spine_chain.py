"""The spine as a chain: what curves of single landmarks say together, given how far vertebrae lie apart.

Forward–backward over T10 … S1 on an axis that reaches beyond the field of view on both sides, so that a landmark
outside it has a place too. Exact but for the axis' steps.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

CHAIN = ("T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1")
"""From the head down."""
STEP_MM = 2.0
BEYOND_MM = 440.0
"""A whole spine from T10 to S1 of a tall adult fits above or below the field."""
USUAL_MM = MappingProxyType(
    {
        "T10": 26.5,
        "T11": 29.0,
        "T12": 31.5,
        "L1": 34.0,
        "L2": 35.0,
        "L3": 35.0,
        "L4": 34.0,
        "L5": 26.0,
    }
)
"""From each landmark to the next one, along z, of an adult of middle height."""
SIXTH_MM = 32.0
"""What a sixth lumbar body adds between L5 and S1."""
SIZES: tuple[tuple[float, float], ...] = (
    (0.55, 0.03),
    (0.7, 0.06),
    (0.82, 0.13),
    (0.92, 0.24),
    (1.02, 0.28),
    (1.14, 0.18),
    (1.28, 0.08),
)
"""Size of the patient's spine and its prior: from a small child to a tall adult, one size for the whole spine."""
SPREAD = 0.13
"""Standard deviation of a distance within one spine, relative."""
ODD_SHARE, ODD_FACTOR, ODD_SPREAD = 0.12, 0.88, 0.3
"""Distances across collapsed, wedged or slipped vertebrae, and spines that lean away from z."""
NEAREST_MM, FARTHEST_MM = 6.0, 110.0
COUNT_PRIOR: Mapping[int, float] = MappingProxyType({4: 0.06, 5: 0.85, 6: 0.09})
"""Lumbar bodies; transitional vertebrae are met in 4 to 36 % of people (Konin & Walz, AJNR 2010)."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LandmarkCurves:
    """What one network says: probability [landmark, row] of each landmark near each row of the field."""

    names: tuple[str, ...]
    probability: npt.NDArray[np.float32]
    first_z_mm: float
    step_mm: float

    def of(self, name: str) -> npt.NDArray[np.float32]:
        """One landmark's curve."""
        curve: npt.NDArray[np.float32] = self.probability[self.names.index(name)]
        return curve

    @property
    def field_mm(self) -> tuple[float, float]:
        """Outer borders of the lowest and the highest row."""
        half = self.step_mm / 2
        low = self.first_z_mm - half
        return low, low + self.probability.shape[1] * self.step_mm


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Opinion:
    """Curves and how far they are believed: an exponent."""

    curves: LandmarkCurves
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpinePosterior:
    """Where each landmark lies, in the field and beyond it."""

    z_mm: Array
    """The axis, rising."""
    marginals: Mapping[str, Array]
    """Probability per row; of L5, given that there is one."""
    field_mm: tuple[float, float]
    lumbar_counts: Mapping[int, float]
    """Probability of four, five and six lumbar bodies."""

    def within(self, name: str, z_mm: float, reach_mm: float) -> float:
        """Probability that a landmark lies in the field and no farther than this from a height."""
        near = (np.abs(self.z_mm - z_mm) <= reach_mm) & self.is_inside
        return float(self.marginals[name][near].sum())

    @property
    def is_inside(self) -> npt.NDArray[np.bool_]:
        """Rows of the field."""
        low, high = self.field_mm
        inside: npt.NDArray[np.bool_] = (self.z_mm >= low) & (self.z_mm <= high)
        return inside

    def in_field(self, name: str, below_top_mm: float = 0.0) -> float:
        """Probability that a landmark lies in the field, so far below its upper edge."""
        inside = self.is_inside & (self.z_mm <= self.field_mm[1] - below_top_mm)
        return float(self.marginals[name][inside].sum())

    def likeliest_mm(self, name: str, reach_mm: float) -> float:
        """The height in the field about which most probability lies."""
        return self._fullest(np.where(self.is_inside, self.marginals[name], 0.0), reach_mm)[0]

    def rival(
        self, name: str, z_mm: float, *, apart_mm: float, reach_mm: float
    ) -> tuple[float, float]:
        """The likeliest height that is farther than this from another one, and the probability about it."""
        elsewhere = self.is_inside & (np.abs(self.z_mm - z_mm) > apart_mm)
        return self._fullest(np.where(elsewhere, self.marginals[name], 0.0), reach_mm)

    def _fullest(self, chances: Array, reach_mm: float) -> tuple[float, float]:
        """Height and probability of the window that holds most."""
        reach = round(reach_mm / STEP_MM)
        held = np.where(self.is_inside, np.convolve(chances, np.ones(2 * reach + 1), "same"), -1.0)
        top = int(np.argmax(held))
        near = slice(max(0, top - reach), top + reach + 1)
        total = float(chances[near].sum())
        middle = chances[near] @ self.z_mm[near] / total if total > 0 else self.z_mm[top]
        return float(middle), total


def spine_posterior(opinions: Sequence[Opinion], *, floor: float, outside: float) -> SpinePosterior:
    """All opinions together.

    `floor` is the least probability that any curve is taken to state, `outside` the odds of a landmark that nobody
    sees to lie beyond the field rather than to have been missed.
    """
    low, high = _field(opinions)
    rows = int(np.ceil((high - low + 2 * BEYOND_MM) / STEP_MM))
    z_mm: Array = low - BEYOND_MM + STEP_MM * (np.arange(rows, dtype=np.float64) + 0.5)
    seen = {name: _emission(name, opinions, z_mm, floor, outside) for name in CHAIN}
    weighed = [(share, *_passed(seen, size)) for size, share in SIZES]
    evidence = np.array([share * total for share, total, _, _ in weighed])
    shares = evidence / evidence.sum()
    marginals = {
        name: sum(
            (share * found[name] for share, (_, _, found, _) in zip(shares, weighed, strict=True)),
            np.zeros(rows),
        )
        for name in CHAIN
    }
    counts = {
        count: float(
            sum(share * told[count] for share, (_, _, _, told) in zip(shares, weighed, strict=True))
        )
        for count in COUNT_PRIOR
    }
    return SpinePosterior(
        z_mm=z_mm, marginals=marginals, field_mm=(low, high), lumbar_counts=counts
    )


def _field(opinions: Sequence[Opinion]) -> tuple[float, float]:
    borders = np.array([opinion.curves.field_mm for opinion in opinions])
    return float(borders[:, 0].min()), float(borders[:, 1].max())


def _emission(
    name: str, opinions: Sequence[Opinion], z_mm: Array, floor: float, outside: float
) -> Array:
    """How well a landmark at each height agrees with the curves, 1 at a peak of full height.

    Not normalised: what a landmark in the field costs is the distance to its neighbour, and that alone.
    """
    low, high = _field(opinions)
    result = np.where((z_mm >= low) & (z_mm <= high), 1.0, outside)
    for opinion in opinions:
        curves, curve = opinion.curves, opinion.curves.of(name).astype(np.float64)
        rows = curves.first_z_mm + curves.step_mm * np.arange(len(curve))
        low, high = curves.field_mm
        inside = (z_mm >= low) & (z_mm <= high)
        missed = max(1.0 - float(curve.max(initial=0.0)), floor)
        told = np.where(inside, np.maximum(np.interp(z_mm, rows, curve), floor), missed)
        result *= told**opinion.weight
    return result


def _passed(
    seen: Mapping[str, Array], size: float
) -> tuple[float, dict[str, Array], dict[int, float]]:
    """Forward and backward for one size: the evidence, every marginal, and the share of each lumbar count."""
    steps = {name: _distance(mm * size) for name, mm in USUAL_MM.items()}
    six = _distance((USUAL_MM["L5"] + SIXTH_MM) * size)
    is_four, has_five = COUNT_PRIOR[4], 1 - COUNT_PRIOR[4]
    is_six = COUNT_PRIOR[6] / has_five

    down: dict[str, Array] = {"T10": seen["T10"] / len(seen["T10"])}
    for above, name in itertools.pairwise(CHAIN[:-1]):
        down[name] = seen[name] * _below(down[above], steps[above])
    ways = {
        # Without a fifth body the fourth one stands on the sacrum, as the fifth does elsewhere.
        4: is_four * _below(down["L4"], steps["L5"]),
        5: has_five * (1 - is_six) * _below(down["L5"], steps["L5"]),
        6: has_five * is_six * _below(down["L5"], six),
    }
    arrived = {count: float((seen["S1"] * way).sum()) for count, way in ways.items()}
    total = sum(arrived.values())

    up: dict[str, Array] = {"S1": np.ones_like(seen["S1"])}
    up["L5"] = (1 - is_six) * _above(seen["S1"], steps["L5"]) + is_six * _above(seen["S1"], six)
    up["L4"] = is_four * _above(seen["S1"], steps["L5"]) + has_five * _above(
        seen["L5"] * up["L5"], steps["L4"]
    )
    for below, name in itertools.pairwise(CHAIN[-3::-1]):
        up[name] = _above(seen[below] * up[below], steps[name])
    marginals = {name: down[name] * up[name] for name in CHAIN[:-1]}
    marginals["S1"] = seen["S1"] * sum(ways.values(), np.zeros_like(seen["S1"]))
    scaled = {name: found / max(found.sum(), 1e-300) for name, found in marginals.items()}
    return total, scaled, {count: share / total for count, share in arrived.items()}


def _distance(usual_mm: float) -> Array:
    """Prior of a distance, per step from 0 on."""
    mm = np.arange(0, FARTHEST_MM, STEP_MM)

    def bell(middle: float, sd: float) -> Array:
        weights = np.exp(-0.5 * ((mm - middle) / sd) ** 2) * (mm >= NEAREST_MM)
        scaled: Array = weights / weights.sum()
        return scaled

    ordinary = bell(usual_mm, SPREAD * usual_mm)
    odd = bell(ODD_FACTOR * usual_mm, ODD_SPREAD * usual_mm)
    return (1 - ODD_SHARE) * ordinary + ODD_SHARE * odd


def _below(above: Array, distance: Array) -> Array:
    """What arrives a distance nearer to the feet; rows rise to the head."""
    moved: Array = np.convolve(above[::-1], distance)[: len(above)][::-1]
    return moved


def _above(below: Array, distance: Array) -> Array:
    moved: Array = np.convolve(below, distance)[: len(below)]
    return moved
