"""Axial slices drawn by hand: a trunk with fat, wall, cavity and vertebra, arms, couch."""

import numpy as np
import numpy.typing as npt

from inference.stages.trunk import Mask

Hu = npt.NDArray[np.int16]

STEP_MM = (1.0, 1.0)
SHAPE = (340, 480)
MIDDLE = (150, 240)
HALF_MM = (110, 160)
FAT, MUSCLE, BONE, AIR = -105, 55, 400, -1000


def ellipse(middle: tuple[float, float], half: tuple[float, float]) -> Mask:
    i, j = np.indices(SHAPE)
    inside: Mask = ((i - middle[0]) / half[0]) ** 2 + ((j - middle[1]) / half[1]) ** 2 < 1
    return inside


def trunk() -> Mask:
    """Its whole area."""
    return ellipse(MIDDLE, HALF_MM)


def drawn_trunk() -> Hu:
    """Fat of 20 mm, a wall of 15 mm, visceral fat, a vertebra with a psoas on each side."""
    hu = np.full(SHAPE, AIR, np.int16)
    for shrink, value in ((0, FAT), (20, MUSCLE), (35, FAT)):
        hu[ellipse(MIDDLE, (HALF_MM[0] - shrink, HALF_MM[1] - shrink))] = value
    for column in (200, 280):
        hu[ellipse((190, column), (18, 16))] = MUSCLE
    hu[ellipse((195, 240), (18, 22))] = BONE
    return hu


def add_arm(hu: Hu, gap_mm: float) -> Mask:
    """On the right of the picture, so far from the skin; negative: pressed into it."""
    radius = 42
    middle = (MIDDLE[0] + 10, MIDDLE[1] + HALF_MM[1] + gap_mm + radius)
    arm = ellipse(middle, (radius, radius)) & ~trunk()
    hu[arm] = FAT
    hu[ellipse(middle, (radius - 8, radius - 8)) & ~trunk()] = MUSCLE
    hu[ellipse(middle, (10, 10))] = BONE
    return arm


def add_couch(hu: Hu, gap_mm: float) -> None:
    """A hollow board with shells of 3 mm below the back."""
    top = round(MIDDLE[0] + HALF_MM[0] + gap_mm)
    board = np.zeros(SHAPE, np.bool_)
    board[top : top + 40, 60:420] = True
    board[top + 3 : top + 37, 63:417] = False
    hu[board & (hu == AIR)] = 40
