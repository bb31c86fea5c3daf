"""Charts of the data report, as SVG of a few lines."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

WIDTH_PX = 760
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 170, 16, 8, 34
ROW_PX = 22
BLUE, RED, GREY = "#1f5fa8", "#b3261e", "#999"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One value with what is said when it is pointed at."""

    value: float
    says: str
    is_marked: bool = False


def strips(rows: Mapping[str, Sequence[Dot]], unit: str) -> str:
    """A row of dots per name, on one logarithmic axis."""
    values = [dot.value for dots in rows.values() for dot in dots if dot.value > 0]
    if not values:
        return ""
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    high = max(high, low + 1)
    inner = WIDTH_PX - LEFT_PX - RIGHT_PX

    def across(value: float) -> float:
        return LEFT_PX + (log10(value) - low) / (high - low) * inner

    bottom = TOP_PX + ROW_PX * len(rows)
    parts = []
    for power in range(low, high + 1):
        x = across(10.0**power)
        parts.append(_line(x, TOP_PX, x, bottom, "#ddd"))
        parts.append(_text(x, bottom + 14, f"{10.0**power:g}", "middle"))
    for number, (name, dots) in enumerate(rows.items()):
        y = TOP_PX + ROW_PX * (number + 0.5)
        parts.append(_text(LEFT_PX - 8, y + 4, name, "end"))
        # Marked ones last, so that nothing hides them.
        for dot in sorted(dots, key=lambda dot: dot.is_marked):
            if dot.value > 0:
                parts.append(_dot(across(dot.value), y, dot))
    parts.append(_text(LEFT_PX + inner / 2, bottom + 30, unit, "middle"))
    return _svg(bottom + BOTTOM_PX, parts)


def scatter(dots: Iterable[tuple[float, Dot]], across_label: str, up_label: str) -> str:
    """Points of two values; both axes begin at 0."""
    points = list(dots)
    if not points:
        return ""
    height = 260
    most_x = max(x for x, _ in points) * 1.1
    most_y = max(dot.value for _, dot in points) * 1.1
    inner, bottom = WIDTH_PX - LEFT_PX - RIGHT_PX, height - BOTTOM_PX
    parts = [_line(LEFT_PX, bottom, WIDTH_PX - RIGHT_PX, bottom, GREY)]
    parts.append(_line(LEFT_PX, TOP_PX, LEFT_PX, bottom, GREY))
    for share in (0.25, 0.5, 0.75, 1.0):
        x, y = LEFT_PX + share * inner, bottom - share * (bottom - TOP_PX)
        parts.append(_text(x, bottom + 14, f"{share * most_x:.2g}", "middle"))
        parts.append(_text(LEFT_PX - 6, y + 4, f"{share * most_y:.2g}", "end"))
    for x, dot in points:
        y = bottom - dot.value / most_y * (bottom - TOP_PX)
        parts.append(_dot(LEFT_PX + x / most_x * inner, y, dot))
    parts.append(_text(LEFT_PX + inner / 2, height - 4, across_label, "middle"))
    parts.append(_text(4, TOP_PX + 12, up_label, "start"))
    return _svg(height, parts)


def histogram(counts: Sequence[Sequence[int]], edges: tuple[float, float], unit: str) -> str:
    """A thin line per case and the mean of all as a thick one; shares on a logarithmic axis."""
    height, least = 260, 1e-6
    if not counts:
        return ""
    inner, bottom = WIDTH_PX - LEFT_PX - RIGHT_PX, height - BOTTOM_PX
    depth = -log10(least)

    def path(shares: Sequence[float], colour: str, stroke: float) -> str:
        step = inner / len(shares)
        points = " ".join(
            f"{LEFT_PX + step * (n + 0.5):.1f},{TOP_PX - log10(max(share, least)) / depth * (bottom - TOP_PX):.1f}"
            for n, share in enumerate(shares)
        )
        return (
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{stroke}"/>'
        )

    shares = [[count / max(sum(one), 1) for count in one] for one in counts]
    mean = [sum(column) / len(shares) for column in zip(*shares, strict=True)]
    parts = [path(one, "#bcd", 0.7) for one in shares] + [path(mean, BLUE, 2.0)]
    for power in range(0, -7, -2):
        y = TOP_PX - power / depth * (bottom - TOP_PX)
        parts.append(_text(LEFT_PX - 6, y + 4, f"{10.0**power:g}", "end"))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        value = edges[0] + share * (edges[1] - edges[0])
        parts.append(_text(LEFT_PX + share * inner, bottom + 14, f"{value:.0f}", "middle"))
    parts.append(_line(LEFT_PX, bottom, WIDTH_PX - RIGHT_PX, bottom, GREY))
    parts.append(_text(LEFT_PX + inner / 2, height - 4, unit, "middle"))
    return _svg(height, parts)


def _svg(height: float, parts: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {height:.0f}" '
        f'width="{WIDTH_PX}" height="{height:.0f}" font-size="12" role="img">{"".join(parts)}</svg>'
    )


def _dot(x: float, y: float, dot: Dot) -> str:
    colour, opacity = (RED, 1.0) if dot.is_marked else (BLUE, 0.55)
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}" fill-opacity="{opacity}">'
        f"<title>{escape(dot.says)}</title></circle>"
    )


def _line(x0: float, y0: float, x1: float, y1: float, colour: str) -> str:
    return f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
