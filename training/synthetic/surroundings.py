"""What lies beside the trunk: arms and the couch."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from training.synthetic.anatomy import Anatomy, Arms
from training.synthetic.labels import Tissue
from training.synthetic.shapes import Column, Hollow, Over, Shape, both_sides, thinner, tube
from training.synthetic.spine import to_own_z
from training.synthetic.wall import rings

OUTSIDE: Over = frozenset({Tissue.AIR})
ARM: Over = OUTSIDE | {Tissue.ARM_FAT}


def arms(anatomy: Anatomy) -> Iterator[Shape]:
    """Two arms beside or above the trunk, or none."""
    if anatomy.arms == Arms.OUTSIDE:
        return
    z = to_own_z(anatomy.spine, np.array([345.0, 250.0, 0.0, -190.0]))
    ring = rings(anatomy, z)
    side = ring.skin_mm.max(axis=1)
    thick = 34 + 0.35 * anatomy.sat_mm
    if anatomy.arms == Arms.UP:
        high = to_own_z(anatomy.spine, np.array([345.0, 430.0, 520.0]))
        path = np.array(
            [
                [ring.around.half_width_mm[0] * 0.95, 12, high[0], thick * 1.15],
                [ring.around.half_width_mm[0] * 1.05, -10, high[1], thick],
                [ring.around.half_width_mm[0] * 0.9, -25, high[2], thick * 0.9],
            ]
        )
    else:
        path = np.array(
            [
                [ring.around.half_width_mm[0] * 1.0, 12, z[0], thick * 1.15],
                [side[1] + thick, 14, z[1], thick],
                [side[2] + thick * 1.1, 10, z[2], thick * 0.85],
                [side[3] + thick * 0.9, 0, z[3], thick * 0.65],
            ]
        )
    for whole in both_sides(path):
        yield from tube(Tissue.ARM_FAT, whole, over=OUTSIDE)
        yield from tube(Tissue.ARM_MUSCLE, thinner(whole, 4 + 0.3 * anatomy.sat_mm), over=ARM)
        bone = np.array(whole)
        bone[:, 3] = 11.0
        yield from tube(Tissue.ARM_BONE, bone, over=ARM | {Tissue.ARM_MUSCLE})


def couch(anatomy: Anatomy) -> Sequence[Shape]:
    """A curved shell with a light filling behind the back."""
    rng = np.random.default_rng((anatomy.detail_seed, 71))
    z = np.arange(-500.0, 700.0, 10.0)
    ring = rings(anatomy, z)
    back = float((ring.centre_y_mm + ring.skin_mm[:, 0]).max()) + 14.0 + rng.uniform(0, 8)
    half_width, depth = rng.uniform(200, 260), rng.uniform(25, 60)
    ends = np.array([-600.0, 900.0])
    one = np.ones(2)
    knots = np.stack([ends, 0 * one, back * one, half_width * one, depth * one, 0 * one], 1)
    behind = Hollow(
        normal=np.array([0.0, -1.0, 0.0]), point=np.array([0.0, back, 0.0]), radius_mm=1e4
    )
    shell = Column(tissue=Tissue.TABLE_SHELL, knots=knots, over=OUTSIDE, hollows=(behind,))
    inner = replace(behind, point=np.array([0.0, back + 2.5, 0.0]))
    filling = replace(
        shell.shrunk(2.5, Tissue.TABLE), over=frozenset({Tissue.TABLE_SHELL}), hollows=(inner,)
    )
    return [shell, filling]
