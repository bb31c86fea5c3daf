"""Implicit solids in body coordinates (LPS mm), each with the box it can lie in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from training.synthetic.labels import Tissue

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]
Box = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
Over = frozenset[Tissue]

ANYTHING: Over = frozenset()
"""An empty set: the shape replaces whatever is there."""


class Shape(Protocol):
    """A solid that gives its points one tissue, only where one of `over` was before."""

    @property
    def tissue(self) -> Tissue:
        """What its points become."""

    @property
    def over(self) -> Over:
        """What it may replace; empty: anything."""

    def box(self) -> Box:
        """Lowest and highest x, y, z."""

    def inside(self, x: Array, y: Array, z: Array) -> Mask:
        """Which points lie inside."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hollow:
    """A dent left by a ball that touches a point from the side the normal shows to."""

    normal: Points
    point: Points
    radius_mm: float

    def spares(self, x: Array, y: Array, z: Array) -> Mask:
        """Which points lie outside the ball."""
        unit = self.normal / np.linalg.norm(self.normal)
        c = (self.point + unit * self.radius_mm).astype(np.float32)
        distance2 = (x - c[0]) ** 2 + (y - c[1]) ** 2 + (z - c[2]) ** 2
        return np.asarray(distance2 > np.float32(self.radius_mm**2))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ellipsoid:
    """A rotated superellipsoid: (u² + v²)^k + w^2k < 1; k > 1 makes a barrel with flat ends."""

    tissue: Tissue
    centre: Points
    radii: Points
    axes: Points = field(default_factory=lambda: np.eye(3))
    """Rows: the directions of u, v and w."""
    squareness: int = 1
    """k: 1, 2 or 4."""
    hollows: tuple[Hollow, ...] = ()
    over: Over = ANYTHING

    def box(self) -> Box:
        """Lowest and highest x, y, z."""
        if self.squareness == 1:
            reach = np.sqrt(((self.axes * self.radii[:, None]) ** 2).sum(0))
        else:
            reach = np.abs(self.axes * self.radii[:, None]).sum(0)
        return self.centre - reach, self.centre + reach

    def inside(self, x: Array, y: Array, z: Array) -> Mask:
        """Which points lie inside."""
        m = (self.axes / self.radii[:, None]).astype(np.float32)
        c = (m @ self.centre.astype(np.float32)).astype(np.float32)
        u, v, w = ((x * a[0] + y * a[1] + z * a[2]) - o for a, o in zip(m, c, strict=True))
        q, w2 = u * u + v * v, w * w
        for _ in range({1: 0, 2: 1, 4: 2}[self.squareness]):
            q, w2 = q * q, w2 * w2
        result: Mask = q + w2 < 1
        for hollow in self.hollows:
            result &= hollow.spares(x, y, z)
        return result

    def shrunk(self, by_mm: float, tissue: Tissue) -> "Ellipsoid":
        """The same solid with every radius shorter, of another tissue."""
        return replace(self, radii=np.maximum(self.radii - by_mm, 0.5), tissue=tissue)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Column:
    """A stack of ellipses along z: centre, half axes and turn are interpolated between knots."""

    tissue: Tissue
    knots: Points
    """[n, 6]: z, centre x, centre y, half axis u, half axis v, turn in radians; z ascending."""
    over: Over = ANYTHING
    hollows: tuple[Hollow, ...] = ()

    def box(self) -> Box:
        """Lowest and highest x, y, z."""
        k = self.knots
        reach = np.maximum(k[:, 3], k[:, 4])
        low = [(k[:, 1] - reach).min(), (k[:, 2] - reach).min(), k[0, 0]]
        high = [(k[:, 1] + reach).max(), (k[:, 2] + reach).max(), k[-1, 0]]
        return np.array(low), np.array(high)

    def inside(self, x: Array, y: Array, z: Array) -> Mask:
        """Which points lie inside."""
        k = self.knots
        flat = z.ravel()
        cx, cy, a, b, turn = (
            np.interp(flat, k[:, 0], k[:, i]).astype(np.float32)[:, None, None] for i in range(1, 6)
        )
        dx, dy = x - cx, y - cy
        u = dx * (np.cos(turn) / a) + dy * (np.sin(turn) / a)
        v = dy * (np.cos(turn) / b) - dx * (np.sin(turn) / b)
        within: Mask = u * u + v * v < 1
        within &= ((flat >= k[0, 0]) & (flat <= k[-1, 0]))[:, None, None]
        for hollow in self.hollows:
            within &= hollow.spares(x, y, z)
        return within

    def shrunk(self, by_mm: float, tissue: Tissue) -> "Column":
        """The same column with shorter half axes, of another tissue."""
        knots = self.knots.copy()
        knots[:, 3:5] = np.maximum(knots[:, 3:5] - by_mm, 0.5)
        return replace(self, knots=knots, tissue=tissue)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Capsule:
    """The points nearer to a segment than a radius that changes along it."""

    tissue: Tissue
    start: Points
    end: Points
    radius_start_mm: float
    radius_end_mm: float
    over: Over = ANYTHING
    front_of_mm: float = np.inf
    """Only points with y below this (gas floats to the front of a supine patient)."""

    def box(self) -> Box:
        """Lowest and highest x, y, z."""
        r = max(self.radius_start_mm, self.radius_end_mm)
        return np.minimum(self.start, self.end) - r, np.maximum(self.start, self.end) + r

    def inside(self, x: Array, y: Array, z: Array) -> Mask:
        """Which points lie inside."""
        s, d = self.start.astype(np.float32), (self.end - self.start).astype(np.float32)
        px, py, pz = x - s[0], y - s[1], z - s[2]
        t = (px * d[0] + py * d[1] + pz * d[2]) * np.float32(1.0 / max(float(d @ d), 1e-6))
        np.clip(t, 0, 1, out=t)
        radius = self.radius_start_mm + t * np.float32(self.radius_end_mm - self.radius_start_mm)
        distance2 = (px - t * d[0]) ** 2 + (py - t * d[1]) ** 2 + (pz - t * d[2]) ** 2
        result: Mask = distance2 < radius * radius
        if np.isfinite(self.front_of_mm):
            result &= y < self.front_of_mm
        return result


def smooth_path(points: Points, step_mm: float) -> Points:
    """A Catmull–Rom curve through points of any dimension (first three are x, y, z)."""
    points = np.asarray(points, float)
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    pieces = []
    for p0, p1, p2, p3 in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        n = max(int(np.ceil(np.linalg.norm(p2[:3] - p1[:3]) / step_mm)), 1)
        t = (np.arange(n) / n)[:, None]
        pieces.append(
            0.5
            * (
                2 * p1
                + (p2 - p0) * t
                + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
                + (3 * p1 - p0 - 3 * p2 + p3) * t**3
            )
        )
    return np.concatenate([*pieces, points[-1:]])


def tube(tissue: Tissue, path: Points, *, over: Over = ANYTHING) -> Iterator[Capsule]:
    """Capsules along a path [n, 4] of x, y, z and radius."""
    for a, b in pairwise(path):
        yield Capsule(
            tissue=tissue,
            start=a[:3],
            end=b[:3],
            radius_start_mm=max(float(a[3]), 0.3),
            radius_end_mm=max(float(b[3]), 0.3),
            over=over,
        )


def thinner(path: Points, by_mm: float) -> Points:
    """The path with a smaller radius."""
    result = np.array(path, float)
    result[:, 3] = np.maximum(result[:, 3] - by_mm, 0.3)
    return result


def both_sides(points: npt.ArrayLike) -> tuple[Points, Points]:
    """Points as given and mirrored to the other side."""
    given = np.array(points, float)
    mirrored = given.copy()
    mirrored[..., 0] *= -1
    return given, mirrored


def shell(
    path: Points, outer: Tissue, inner: Tissue, *, by_mm: float, over: Over
) -> Sequence[Capsule]:
    """A tube of one tissue filled with another."""
    return [
        *tube(outer, path, over=over),
        *tube(inner, thinner(path, by_mm), over=over | {outer} if over else frozenset({outer})),
    ]
