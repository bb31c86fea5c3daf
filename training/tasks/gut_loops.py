"""Loops of gut laid against an organ in fine labels: where maps have few, networks call a loop beside the aorta aorta."""

from collections.abc import Sequence

import torch
from torch import Tensor

from training.augment import Chance
from training.synthetic.labels import Tissue

GIVES_WAY = (
    Tissue.VISCERAL_FAT,
    Tissue.MESENTERIC_VESSEL,
    Tissue.BOWEL_WALL,
    Tissue.BOWEL_CONTENT,
    Tissue.BOWEL_GAS,
)
"""What a loop may lie in; every organ stays where it is."""
RADIUS_MM = (6.0, 16.0)
FROM_ITS_MIDDLE_MM = (6.0, 28.0)
"""From a point of the organ to the loop's axis: some press against its wall, some lie in the fat beside it."""
HALF_LENGTH_MM = (8.0, 50.0)
BENT = 0.5
"""Part of its half length that its ends lie aside of a straight loop's, at most."""
WALL_MM = 2.2
KNOTS = 17


def with_loop(tissues: Tensor, organ: Tensor, step_mm: Sequence[float], chance: Chance) -> Tensor:
    """Fine labels [z, y, x] with one loop more beside a random voxel of the organ; the same where there is none of it."""
    inside = organ.nonzero()
    if not len(inside):
        return tissues
    step = torch.tensor(list(step_mm), device=tissues.device)
    pressed = inside[chance.choice(len(inside), 1)[0]] * step
    radius_mm = chance.host.uniform(*RADIUS_MM)
    off_mm = _within_a_plane(chance) * chance.host.uniform(*FROM_ITS_MIDDLE_MM)
    from_axis_mm = _distances_mm(tissues.shape, _axis(pressed + off_mm, chance), step)
    gut = torch.tensor(GIVES_WAY, dtype=tissues.dtype, device=tissues.device)
    free = torch.isin(tissues, gut)
    laid = tissues.clone()
    laid[free & (from_axis_mm < radius_mm)] = int(Tissue.BOWEL_WALL)
    laid[free & (from_axis_mm < radius_mm - WALL_MM)] = int(Tissue.BOWEL_CONTENT)
    return laid


def _within_a_plane(chance: Chance) -> Tensor:
    """A direction to any side, never along the body, where the organ itself goes on."""
    side = chance.normal((3,))
    side[0] = 0.0
    return side / side.norm()


def _axis(middle_mm: Tensor, chance: Chance) -> Tensor:
    """Points [knot, 3] along a bent line through the middle."""
    along, aside = chance.normal((2, 3))
    along, aside = along / along.norm(), aside / aside.norm()
    half_mm = chance.host.uniform(*HALF_LENGTH_MM)
    place = torch.linspace(-1, 1, KNOTS, device=middle_mm.device)[:, None]
    return middle_mm + half_mm * (place * along + BENT * chance.host.random() * place**2 * aside)


def _distances_mm(shape: Sequence[int], points_mm: Tensor, step_mm: Tensor) -> Tensor:
    """From each voxel to the nearest of the points."""
    axes = [
        torch.arange(n, device=step_mm.device) * step
        for n, step in zip(shape, step_mm, strict=True)
    ]
    nearest = torch.full(tuple(shape), torch.inf, device=step_mm.device)
    for point in points_mm:
        z, y, x = ((axis - at) ** 2 for axis, at in zip(axes, point, strict=True))
        nearest = torch.minimum(nearest, z[:, None, None] + y[:, None] + x)
    return nearest.sqrt()
