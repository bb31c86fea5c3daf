"""Seeded variations of whole batches on the device they live on: Hounsfield units, noise, blur, small affine maps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from inference.stages.grids import AIR_HU
from training.config import Augmentation, TrainConfig

SOFT_TISSUE_HU = 50.0
ELASTIC_KNOTS = 9
"""Voxels between two independent displacements."""
SPINE_HALF_WIDTH_MM = 30.0
"""Bodies and the heads of the ribs lie within it."""
SWELL_BLURS = 3
"""Of boxes of three voxels of double size: about as smooth as a bell of 2.8 voxels."""
STEEPEST_SWELL = float(1 / np.sqrt(2 * np.pi * SWELL_BLURS * 2 / 3))
"""Slope of a step from 0 to 1 after that, per voxel of double size."""
DRIFT_BOX, DRIFT_BLURS = 5, 3
"""About a bell of 5 voxels: organs a hand apart move on their own, and no tissue folds."""
DRIFT_HOLD = 0.15
"""Share of an organ in the bell at which a place moves half as far as the organ does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """A source of random numbers on one device; one seed gives one run."""

    generator: torch.Generator
    host: np.random.Generator
    """For what Python itself decides: asking the accelerator would make it wait."""
    device: torch.device
    order_seed: int = 0
    place: int = 0
    """Examples that the run has drawn before, over all its processes."""

    def uniform(self, shape: Sequence[int], low: float, high: float) -> Tensor:
        """Even between two bounds."""
        unit = torch.rand(tuple(shape), generator=self.generator, device=self.device)
        return low + (high - low) * unit

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Standard normal."""
        return torch.randn(tuple(shape), generator=self.generator, device=self.device)

    def choice(self, count: int, size: int) -> list[int]:
        """Indices below `count`, drawn with replacement."""
        drawn: list[int] = self.host.integers(count, size=size).tolist()
        return drawn

    def in_turn(self, count: int, size: int) -> list[int]:
        """Indices below `count`, each once in an epoch, in an order of the epoch's own."""
        places = [divmod(self.place + n, count) for n in range(size)]
        orders = {
            epoch: np.random.default_rng((self.order_seed, epoch)).permutation(count)
            for epoch, _ in places
        }
        return [int(orders[epoch][index]) for epoch, index in places]


def chance_for(device: torch.device, seed: int, *, order_seed: int = 0, place: int = 0) -> Chance:
    """Fresh random numbers."""
    return Chance(
        generator=torch.Generator(device).manual_seed(seed),
        host=np.random.default_rng(seed),
        device=device,
        order_seed=order_seed,
        place=place,
    )


def normalise(hu: Tensor, config: TrainConfig) -> Tensor:
    """inference.stages.grids.normalise on tensors; a test holds the two together."""
    low, high = config.hu_window
    unit = (hu.clamp(low, high) - low) / (high - low)
    return (unit - config.mean) / config.sd


def normalise_varied(hu: Tensor, config: TrainConfig, chance: Chance) -> Tensor:
    """normalise with a random exponent inside the window."""
    low, high = config.hu_window
    unit = (hu.clamp(low, high) - low) / (high - low)
    gamma = config.augmentation.gamma
    exponent = chance.uniform(_per_example(hu), -gamma, gamma).exp()
    return (unit**exponent - config.mean) / config.sd


def vary_hu(hu: Tensor, augmentation: Augmentation, chance: Chance) -> Tensor:
    """Contrast, offset, noise and blur, each example by its own amounts."""
    shape = _per_example(hu)
    contrast = 1 + chance.uniform(shape, -augmentation.contrast, augmentation.contrast)
    offset = chance.uniform(shape, -augmentation.hu_shift, augmentation.hu_shift)
    # Squared: most scans are quiet, some are very noisy.
    noise_sd = augmentation.noise_hu * chance.uniform(shape, 0, 1) ** 2
    varied = (hu - SOFT_TISSUE_HU) * contrast + SOFT_TISSUE_HU + offset
    varied = varied + noise_sd * chance.normal(hu.shape)
    # Volumes of a scanner are averaged onto the network's grid; examples are painted on it.
    for axis in range(2, hu.ndim):
        varied = blur(varied, chance.uniform(shape, 0, augmentation.blur), axis)
    return varied


def end_field(
    hu: Tensor, labels: Tensor, axis: int, shortest: int, augmentation: Augmentation, chance: Chance
) -> tuple[Tensor, Tensor]:
    """Some examples [n, 1, ...] end within the patch along an axis: air and background beyond a random stretch."""
    n, shape = hu.shape[axis], _per_example(hu)
    length = chance.uniform(shape, min(shortest, n), n)
    first = chance.uniform(shape, 0, 1) * (n - length)
    spared = chance.uniform(shape, 0, 1) >= augmentation.crop_probability
    along = [1] * hu.ndim
    along[axis] = n
    position = torch.arange(n, device=hu.device).view(along)
    inside = ((position >= first) & (position <= first + length)) | spared
    return torch.where(inside, hu, AIR_HU), torch.where(inside, labels, 0)


def blur(voxels: Tensor, weight: Tensor, axis: int) -> Tensor:
    """Each voxel gives `weight` of itself to both neighbours along an axis; edges repeat."""
    n = voxels.shape[axis]
    before = voxels.narrow(axis, 0, 1)
    after = voxels.narrow(axis, n - 1, 1)
    lower = torch.cat([before, voxels.narrow(axis, 0, n - 1)], axis)
    upper = torch.cat([voxels.narrow(axis, 1, n - 1), after], axis)
    return voxels * (1 - 2 * weight) + (lower + upper) * weight


def _per_example(batch: Tensor) -> tuple[int, ...]:
    return (batch.shape[0],) + (1,) * (batch.ndim - 1)


def random_affine(
    count: int, axes: int, augmentation: Augmentation, chance: Chance, *, max_shift: float
) -> tuple[Tensor, Tensor]:
    """Matrices [n, axes, axes] (rotation in the last two axes, size, mirror of the last) and shifts in voxels [n, axes]."""
    angle = chance.uniform((count,), -1, 1) * torch.pi / 180 * augmentation.rotate_deg
    size = 1 + chance.uniform((count, 1), -augmentation.scale, augmentation.scale)
    # Sides differ a little more than the whole: no two people are only scaled copies.
    sides = size * (
        1 + 0.3 * chance.uniform((count, axes), -augmentation.scale, augmentation.scale)
    )
    mirror = chance.uniform((count,), 0, 1) < augmentation.mirror_probability
    matrix = torch.eye(axes, device=angle.device).repeat(count, 1, 1)
    matrix[:, -2, -2] = matrix[:, -1, -1] = angle.cos()
    matrix[:, -2, -1] = -angle.sin()
    matrix[:, -1, -2] = angle.sin()
    sides[:, -1] = torch.where(mirror, -sides[:, -1], sides[:, -1])
    shift = chance.uniform((count, axes), -max_shift, max_shift)
    return matrix * sides[:, None, :], shift


def affine_grid(
    matrix: Tensor, shift: Tensor, shape_in: Sequence[int], shape_out: Sequence[int]
) -> Tensor:
    """For torch's grid_sample (align_corners=True): where each output voxel lies in the input, both about their middles."""
    device = matrix.device
    axes = [torch.arange(n, device=device) - (n - 1) / 2 for n in shape_out]
    base = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    count, rank = shift.shape
    moved = torch.einsum("...j,nij->n...i", base, matrix)
    moved = moved + shift.view(count, *(1,) * rank, rank)
    half = torch.tensor([(n - 1) / 2 for n in shape_in], device=device)
    return (moved / half).flip(-1)


def elastic_grid(grid: Tensor, shape_in: Sequence[int], sd_voxels: float, chance: Chance) -> Tensor:
    """A grid as of affine_grid, its places moved smoothly, each axis by itself."""
    if sd_voxels == 0:
        return grid
    count, *shape_out, rank = grid.shape
    knots = [max(2, n // ELASTIC_KNOTS + 1) for n in shape_out]
    mode = "trilinear" if rank == 3 else "bilinear"
    moved = sd_voxels * chance.normal((count, rank, *knots))
    moved = functional.interpolate(moved, size=tuple(shape_out), mode=mode, align_corners=True)
    half = torch.tensor([(n - 1) / 2 for n in reversed(shape_in)], device=grid.device)
    return grid + moved.movedim(1, -1) / half


def swollen_grid(
    grid: Tensor, labels: Tensor, most_voxels: float, classes: int, chance: Chance
) -> Tensor:
    """A grid as of affine_grid over labels [n, 1, z, y, x]: every label grows or shrinks, its neighbours give way.

    Borders move by up to so many voxels; what is thinner than they are moves less.
    """
    if most_voxels == 0:
        return grid
    drawn = chance.uniform((len(labels), classes), -1.0, 1.0)
    drawn[:, 0] = 0.0
    swell = drawn.gather(1, labels.flatten(1).long()).view(labels.shape)
    swell = functional.avg_pool3d(swell, 2)
    for _ in range(SWELL_BLURS):
        swell = functional.avg_pool3d(swell, 3, stride=1, padding=1)
    # A place outside a growing label is fetched from farther in, where the label is.
    slopes = torch.stack(torch.gradient(swell[:, 0], dim=(3, 2, 1)), 1) / STEEPEST_SWELL
    slopes = functional.interpolate(slopes, size=labels.shape[2:], mode="trilinear")
    inwards = functional.grid_sample(slopes, grid, align_corners=True).movedim(1, -1)
    half = torch.tensor([(n - 1) / 2 for n in reversed(labels.shape[2:])], device=grid.device)
    return grid + most_voxels * inwards / half


def drifted_grid(
    grid: Tensor, labels: Tensor, most_voxels: float, classes: int, chance: Chance
) -> Tensor:
    """A grid as of affine_grid over labels [n, 1, z, y, x]: every label moves as a whole, each its own way.

    What lies between is stretched or pressed; where organs touch they go half of each other's way.
    """
    if most_voxels == 0:
        return grid
    drawn = chance.uniform((len(labels), classes, 3), -most_voxels, most_voxels)
    drawn[:, 0] = 0.0
    flat = labels[:, 0].flatten(1).long()[..., None].expand(-1, -1, 3)
    moves = drawn.gather(1, flat).view(len(labels), *labels.shape[2:], 3).movedim(-1, 1)
    held = torch.cat([moves, (labels > 0).float()], 1)
    held = functional.avg_pool3d(held, 2)
    for _ in range(DRIFT_BLURS):
        held = functional.avg_pool3d(held, DRIFT_BOX, stride=1, padding=DRIFT_BOX // 2)
    moves = held[:, :3] / (held[:, 3:] + DRIFT_HOLD) * (1 + DRIFT_HOLD)
    moves = functional.interpolate(moves, size=labels.shape[2:], mode="trilinear")
    moved = functional.grid_sample(moves, grid, align_corners=True).movedim(1, -1)
    half = torch.tensor([(n - 1) / 2 for n in reversed(labels.shape[2:])], device=grid.device)
    return grid + moved / half


def flank_shift_mm(aside_mm: Tensor, slope: Tensor) -> Tensor:
    """How far what lies so far beside the body's middle hangs lower or higher; the spine stays where it is."""
    return slope * (aside_mm.abs() - SPINE_HALF_WIDTH_MM).clamp(min=0.0)


def row_bend(count: int, rows: int, sd_rows: float, knot_rows: float, chance: Chance) -> Tensor:
    """Smooth displacements [n, row] along the body: some vertebrae higher, others lower than they were."""
    knots = max(2, round(rows / knot_rows) + 1)
    moved = sd_rows * chance.normal((count, 1, knots))
    return functional.interpolate(moved, size=rows, mode="linear", align_corners=True)[:, 0]


def row_of(places: Tensor, rows: Tensor) -> Tensor:
    """At which row [n, place] of rising rows [n, row] each place lies; linear beyond both ends, NaN stays NaN."""
    upper = torch.searchsorted(rows.contiguous(), places.nan_to_num().contiguous())
    upper = upper.clamp(1, rows.shape[1] - 1)
    below, above = rows.gather(1, upper - 1), rows.gather(1, upper)
    return upper - 1 + (places - below) / (above - below)


def warp_hu(hu: Tensor, grid: Tensor) -> Tensor:
    """Linear interpolation; air beyond the input."""
    warped = functional.grid_sample(hu - AIR_HU, grid, mode="bilinear", align_corners=True)
    return warped + AIR_HU


def warp_labels(labels: Tensor, grid: Tensor) -> Tensor:
    """Nearest neighbour of integer labels [n, 1, ...]; background beyond the input."""
    return functional.grid_sample(labels.float(), grid, mode="nearest", align_corners=True).long()
