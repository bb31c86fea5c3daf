"""Agreement over cases: bias and limits of agreement (Bland and Altman 1986), drawn as SVG; shares of level errors."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from statistics import mean, stdev

from training.real.score import Score

Pairs = Sequence[tuple[float, float]]
"""Found and reference."""

LIMITS_SD = 1.96
FEW = 10
"""Fewer cases than this make no limits of agreement worth the name."""
PANEL_PX = (340, 250)
MARGIN_PX = (58, 30, 14, 40)
"""Left, top, right, bottom."""
COLUMNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Of one quantity over cases."""

    label: str
    unit: str
    pairs: tuple[tuple[float, float], ...]

    @property
    def differences(self) -> list[float]:
        """Found minus reference."""
        return [found - reference for found, reference in self.pairs]

    @property
    def bias(self) -> float:
        """Mean difference."""
        return mean(self.differences)

    @property
    def limits(self) -> tuple[float, float] | None:
        """Bias ± 1.96 SD; None for a single case."""
        if len(self.pairs) < 2:
            return None
        half = LIMITS_SD * stdev(self.differences)
        return self.bias - half, self.bias + half


def agreements(scores: Iterable[Score]) -> list[Agreement]:
    """One per quantity and structure, in the order they occur."""
    pairs: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for score in scores:
        pairs[f"{score.label}: {score.quantity}", score.unit].append((score.found, score.reference))
    return [
        Agreement(label=label, unit=unit, pairs=tuple(values))
        for (label, unit), values in pairs.items()
    ]


def bland_altman_svg(found: Sequence[Agreement]) -> str:
    """A panel per quantity: mean of both across, difference up, bias and limits as lines."""
    width, height = PANEL_PX
    rows = -(-len(found) // COLUMNS)
    size = (width * min(COLUMNS, max(len(found), 1)), height * max(rows, 1))
    panels = [
        f'<g transform="translate({width * (n % COLUMNS)} {height * (n // COLUMNS)})">{_panel(one)}</g>'
        for n, one in enumerate(found)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" '
        f'viewBox="0 0 {size[0]} {size[1]}" font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(panels)}</svg>\n'
    )


def _panel(one: Agreement) -> str:
    width, height = PANEL_PX
    left, top, right, bottom = MARGIN_PX
    means = [(found + reference) / 2 for found, reference in one.pairs]
    lines = {"bias": one.bias}
    if one.limits is not None:
        lines |= {"−1.96 SD": one.limits[0], "+1.96 SD": one.limits[1]}
    across = _scale(means, left, width - right)
    up = _scale([*one.differences, *lines.values(), 0.0], height - bottom, top)
    parts = [
        f'<text x="{left}" y="16" font-weight="bold">{escape(one.label)} ({escape(one.unit)}), n = {len(means)}</text>',
        f'<rect x="{left}" y="{top}" width="{width - left - right}" height="{height - top - bottom}" fill="none" stroke="#888"/>',
        _line(left, width - right, up(0.0), "#bbb", "2 3"),
    ]
    for name, value in lines.items():
        parts.append(
            _line(left, width - right, up(value), "#b3261e", "" if name == "bias" else "6 4")
        )
        parts.append(
            f'<text x="{left - 4}" y="{up(value) + 4:.1f}" text-anchor="end" fill="#b3261e">{value:.3g}</text>'
        )
    parts += [
        f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3.5" fill="#1f5fa8" fill-opacity="0.75"/>'
        for x, y in zip(means, one.differences, strict=True)
    ]
    for value in sorted({min(means), max(means)}):
        parts.append(
            f'<text x="{across(value):.1f}" y="{height - bottom + 14}" text-anchor="middle">{value:.3g}</text>'
        )
    parts.append(
        f'<text x="{(left + width - right) / 2}" y="{height - 8}" text-anchor="middle">mean of both; up: found − reference</text>'
    )
    return "".join(parts)


class _scale:  # noqa: N801 - a function with two numbers
    """Values onto pixels, with a margin; one value alone lies in the middle."""

    def __init__(self, values: Sequence[float], first_px: float, last_px: float) -> None:
        low, high = min(values), max(values)
        spread = (high - low) or max(abs(high), 1.0)
        middle = (low + high) / 2
        self._low, self._high = middle - 0.6 * spread, middle + 0.6 * spread
        self._first, self._last = first_px, last_px

    def __call__(self, value: float) -> float:
        share = (value - self._low) / (self._high - self._low)
        return self._first + share * (self._last - self._first)


def _line(x0: float, x1: float, y: float, colour: str, dashes: str) -> str:
    dash = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<line x1="{x0}" x2="{x1}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}"{dash}/>'


def dice_by_label(scores: Iterable[Score]) -> Mapping[str, list[float]]:
    """All Dice of each structure."""
    found: dict[str, list[float]] = defaultdict(list)
    for score in scores:
        if score.dice is not None:
            found[score.label].append(score.dice)
    return found
