"""A patient as a label map on any grid: layers first, then every solid in one order, slab by slab."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from inference.domain.volume import Affine, affine_from_axes
from training.synthetic.anatomy import Anatomy
from training.synthetic.fields import WaveField, wave_field
from training.synthetic.labels import Labels
from training.synthetic.muscles import muscles
from training.synthetic.shapes import Over, Shape
from training.synthetic.skeleton import skeleton
from training.synthetic.surroundings import arms, couch
from training.synthetic.viscera import viscera
from training.synthetic.wall import Slab, infiltrate, layers

SLAB_POINTS = 1_500_000
"""Points evaluated at once: small enough for the working arrays to stay in the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A canonical axial grid: slices to the head, rows to the back, columns to the left."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    """Slice, row, column."""
    origin_lps_mm: tuple[float, float, float]
    """x, y, z of the first voxel's centre."""

    @property
    def affine_lps(self) -> Affine:
        """Maps (slice, row, column, 1) to patient coordinates."""
        return affine_from_axes(self.origin_lps_mm, np.eye(3)[::-1], self.spacing_mm)

    def axis_mm(self, axis: int) -> npt.NDArray[np.float64]:
        """Coordinates along slices (0: z), rows (1: y) or columns (2: x)."""
        return np.asarray(
            self.origin_lps_mm[2 - axis] + np.arange(self.shape[axis]) * self.spacing_mm[axis]
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Warp:
    """The smooth sideways and forward displacement that makes every contour irregular."""

    x: tuple[WaveField, ...]
    y: tuple[WaveField, ...]

    @property
    def bound_mm(self) -> float:
        """No point moves further along x or y."""
        return max(sum(f.bound for f in self.x), sum(f.bound for f in self.y))


def warp(anatomy: Anatomy) -> Warp:
    """This patient's displacement: a slow and a faster part; heights stay exact."""

    def parts(key: int) -> tuple[WaveField, ...]:
        slow = wave_field(
            (anatomy.detail_seed, key), waves=5, wavelength_mm=(160, 380), rms=anatomy.warp_mm
        )
        fast = wave_field(
            (anatomy.detail_seed, key + 1),
            waves=6,
            wavelength_mm=(55, 110),
            rms=0.28 * anatomy.warp_mm,
        )
        return slow, fast

    return Warp(x=parts(1), y=parts(3))


def label_map(anatomy: Anatomy, grid: Grid, *, with_table: bool = False) -> Labels:
    """The tissue of every voxel's centre: layers, muscles, organs, bones, then arms and couch; later ones win."""
    soft, hard = list(muscles(anatomy)), [*viscera(anatomy), *skeleton(anatomy)]
    around = [*arms(anatomy), *(couch(anatomy) if with_table else [])]
    result = np.zeros(grid.shape, np.uint8)
    step = max(1, SLAB_POINTS // (grid.shape[1] * grid.shape[2]))
    bend = warp(anatomy)
    for first in range(0, grid.shape[0], step):
        part = slice(first, first + step)
        slab = _slab(bend, grid, part)
        labels = layers(anatomy, slab)
        _set_in(labels, soft, slab, bend.bound_mm)
        infiltrate(anatomy, slab, labels)
        _set_in(labels, hard, slab, bend.bound_mm)
        _set_in(labels, around, _straight(slab), 0.0)
        result[part] = labels
    return result


def _slab(bend: Warp, grid: Grid, part: slice) -> Slab:
    """Coordinates of some slices."""
    z, y, x = (grid.axis_mm(axis).astype(np.float32) for axis in range(3))
    z = z[part]
    return Slab(
        x_mm=x,
        y_mm=y,
        z_mm=z,
        warped_x_mm=sum((f.on_grid(x, y, z) for f in bend.x), x[None, None, :]),
        warped_y_mm=sum((f.on_grid(x, y, z) for f in bend.y), y[None, :, None]),
    )


def _straight(slab: Slab) -> Slab:
    """The same slices without displacement."""
    shape = slab.warped_x_mm.shape
    return Slab(
        x_mm=slab.x_mm,
        y_mm=slab.y_mm,
        z_mm=slab.z_mm,
        warped_x_mm=np.broadcast_to(slab.x_mm[None, None, :], shape),
        warped_y_mm=np.broadcast_to(slab.y_mm[None, :, None], shape),
    )


@lru_cache(maxsize=256)
def _replaceable(over: Over) -> npt.NDArray[np.bool_]:
    table = np.zeros(256, bool)
    table[list(over)] = True
    return table


def _set_in(labels: Labels, shapes: Sequence[Shape], slab: Slab, margin_mm: float) -> None:
    """Each shape in its own box."""
    for shape in shapes:
        low, high = shape.box()
        at = (
            _range(slab.z_mm, low[2], high[2]),
            _range(slab.y_mm, low[1] - margin_mm, high[1] + margin_mm),
            _range(slab.x_mm, low[0] - margin_mm, high[0] + margin_mm),
        )
        if any(s.start >= s.stop for s in at):
            continue
        target = labels[at]
        mask = shape.inside(
            slab.warped_x_mm[at], slab.warped_y_mm[at], slab.z_mm[at[0]][:, None, None]
        )
        if shape.over:
            mask &= _replaceable(shape.over)[target]
        target[mask] = shape.tissue


def _range(axis_mm: npt.NDArray[np.float32], low: float, high: float) -> slice:
    """The indices of an ascending axis within limits."""
    return slice(int(np.searchsorted(axis_mm, low)), int(np.searchsorted(axis_mm, high, "right")))
