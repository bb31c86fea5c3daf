"""Small bowel loops, the colon's frame, and the mesentery's vessels."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from training.synthetic.anatomy import Anatomy
from training.synthetic.frame import place
from training.synthetic.labels import Tissue
from training.synthetic.shapes import Over, Points, Shape, smooth_path, thinner, tube

FREE: Over = frozenset(
    {
        Tissue.VISCERAL_FAT,
        Tissue.BOWEL_WALL,
        Tissue.BOWEL_CONTENT,
        Tissue.BOWEL_GAS,
        Tissue.FAECES,
        Tissue.MESENTERIC_VESSEL,
    }
)


def _filled(path: Points, content: Tissue, *, wall_mm: float, gas: float) -> Iterator[Shape]:
    """A gut: wall, content, and gas floating in the front part of each piece."""
    yield from tube(Tissue.BOWEL_WALL, path, over=FREE)
    inner = thinner(path, wall_mm)
    yield from tube(content, inner, over=frozenset({Tissue.BOWEL_WALL}))
    if gas <= 0:
        return
    for piece in tube(Tissue.BOWEL_GAS, inner, over=frozenset({content})):
        radius = min(piece.radius_start_mm, piece.radius_end_mm)
        level = float(piece.start[1] + piece.end[1]) / 2 + radius * (2 * gas - 1)
        yield replace(piece, front_of_mm=level)


def small_bowel(anatomy: Anatomy) -> Iterator[Shape]:
    """Loops that wander through the middle of the abdomen, and vessels that fan out to them."""
    rng = np.random.default_rng((anatomy.detail_seed, 61))
    centres = []
    for _ in range(round(13 + 22 * anatomy.bowel_fill)):
        start = rng.uniform([-85, -94, -165], [105, -38, 40])
        steps = np.cumsum(rng.normal(0, [24, 9, 20], (7, 3)), axis=0)
        points = start + steps
        points[:, 0] = _folded(points[:, 0], -85, 108)
        back = np.where(np.abs(points[:, 0]) > 62, -10.0, -38.0)
        points[:, 1] = _folded(points[:, 1], -97, back)
        points[:, 2] = _folded(points[:, 2], -160, 55)
        radius = rng.uniform(9.0, 14.0)
        centres.append(points[3])
        knots = np.concatenate([points, np.full((7, 1), radius)], 1)
        path = smooth_path(place(anatomy, knots, mobility=0.85), 9.0)
        gas = anatomy.bowel_gas * rng.uniform(0.2, 0.8) if rng.random() < 0.25 else 0.0
        yield from _filled(path, Tissue.BOWEL_CONTENT, wall_mm=rng.uniform(2.0, 3.5), gas=gas)
    for centre in centres:
        yield from _fan(anatomy, rng, centre)


def _fan(anatomy: Anatomy, rng: np.random.Generator, centre: Points) -> Iterator[Shape]:
    """Vessels from the mesentery's root to a loop, branching on the way."""
    root = np.array([rng.uniform(-8, 12), -52, rng.uniform(-10, 50)])
    fork = root + 0.55 * (centre - root) + rng.normal(0, 7, 3)
    for start, width_mm in ((root, 2.4), (fork, 1.7), (fork, 1.5)):
        end = fork if start is root else centre + rng.normal(0, 18, 3)
        middle = (start + end) / 2 + rng.normal(0, 5, 3)
        knots = np.array([[*start, width_mm], [*middle, width_mm * 0.9], [*end, width_mm * 0.7]])
        yield from tube(
            Tissue.MESENTERIC_VESSEL,
            smooth_path(place(anatomy, knots, mobility=0.7), 12.0),
            over=frozenset({Tissue.VISCERAL_FAT}),
        )


def _folded(values: Points, low: float, high: float | Points) -> Points:
    """Values reflected at both ends of a range."""
    span = high - low
    t = np.mod(values - low, 2 * span)
    return np.asarray(low + np.where(t > span, 2 * span - t, t))


def colon(anatomy: Anatomy) -> Iterator[Shape]:
    """Caecum to rectum: a frame with haustra, faeces and gas."""
    rng = np.random.default_rng((anatomy.detail_seed, 62))
    dip = rng.uniform(-40, 35)
    parts: list[tuple[Sequence[Sequence[float]], float, float]] = [
        ([[-82, -52, -98, 22], [-100, -38, -66, 28], [-110, -22, -30, 25], [-112, -16, 10, 23], [-106, -28, 42, 22]], 0.35, 0.45),
        ([[-106, -28, 42, 22], [-88, -72, 42, 20], [-50, -92, 26 + dip * 0.5, 19], [0, -98, 14 + dip, 18], [52, -96, 30 + dip * 0.6, 18], [92, -64, 76, 18], [112, -16, 98, 18]], 0.85, 0.6),
        ([[112, -16, 98, 18], [118, 6, 60, 15], [120, 4, 15, 14], [116, -4, -30, 14], [104, -16, -75, 14]], 0.2, 0.3),
        ([[104, -16, -75, 14], [84, -36, -105, 15], [40, -38, -122, 15], [10, -14, -118, 15], [4, 22, -140, 16], [0, 34, -175, 18], [0, 26, -215, 14], [0, 30, -236, 8]], 0.2, 0.3),
    ]  # fmt: skip
    wide = rng.uniform(0.75, 1.15)
    for points, mobility, gas_share in parts:
        moved = np.array(points, float)
        moved[1:-1, :3] += rng.normal(0, 6, (len(points) - 2, 3))
        path = smooth_path(place(anatomy, moved, mobility=mobility), 7.0)
        haustra = 1 + 0.13 * np.sin(np.arange(len(path)) * 7.0 / rng.uniform(22, 32) * 2 * np.pi)
        path[:, 3] *= wide * haustra
        content = Tissue.FAECES if rng.random() < 0.7 else Tissue.BOWEL_CONTENT
        yield from _filled(
            path, content, wall_mm=2.2, gas=anatomy.bowel_gas * gas_share * rng.uniform(0.4, 1.6)
        )
