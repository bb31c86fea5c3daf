"""The muscles round the spine, fat between them, and the crura of the diaphragm."""

from collections.abc import Iterator

import numpy as np

from training.synthetic.anatomy import Anatomy
from training.synthetic.frame import place
from training.synthetic.labels import Tissue
from training.synthetic.shapes import Column, Over, Shape, smooth_path, tube
from training.synthetic.spine import to_own_z

BACK: Over = frozenset(
    {Tissue.INTERMUSCULAR_FAT, Tissue.WALL_MUSCLE, Tissue.OBLIQUE, Tissue.GLUTEAL}
)
CAVITY_AND_BACK: Over = BACK | {Tissue.VISCERAL_FAT}

PSOAS = (
    (92, 25, 4, 4, 6, 0.0),
    (70, 28, 6, 7, 9, 0.1),
    (36, 36, 6, 13, 16, 0.2),
    (0, 43, 5, 18, 21, 0.2),
    (-35, 50, 3, 21, 22, 0.2),
    (-68, 59, -3, 21, 22, 0.3),
    (-96, 70, -14, 24, 20, 0.5),
    (-140, 84, -34, 24, 19, 0.6),
    (-180, 96, -40, 21, 18, 0.3),
    (-230, 96, -15, 16, 16, 0.0),
    (-262, 92, 5, 9, 9, 0.0),
)
"""Standard z, x, y, half axes, turn of the left psoas (with iliacus below)."""

QUADRATUS = (
    (98, 44, 28, 10, 4, -0.3),
    (70, 52, 27, 13, 6, -0.35),
    (36, 59, 26, 16, 7.5, -0.4),
    (0, 66, 25, 19, 9, -0.45),
    (-35, 73, 24, 19, 9, -0.5),
    (-58, 80, 24, 14, 8, -0.5),
)

ERECTOR_INNER = (
    (470, 16, 30, 14, 13, 0.0),
    (373, 18, 42, 17, 14, 0.0),
    (240, 20, 68, 20, 14, 0.0),
    (102, 23, 55, 23, 16, 0.1),
    (36, 24, 50, 24, 20, 0.1),
    (0, 24, 49, 24, 21, 0.1),
    (-50, 23, 54, 23, 20, 0.0),
    (-96, 20, 72, 18, 12, 0.0),
    (-130, 12, 88, 10, 6, 0.0),
)

ERECTOR_OUTER = (
    (330, 40, 58, 14, 9, 0.1),
    (240, 46, 70, 17, 10, 0.2),
    (102, 52, 53, 24, 15, 0.15),
    (36, 54, 50, 27, 19, 0.1),
    (0, 54, 49, 28, 20, 0.1),
    (-40, 52, 54, 24, 17, 0.0),
    (-70, 42, 64, 16, 11, 0.0),
    (-96, 34, 74, 8, 6, 0.0),
)

Knots = tuple[tuple[float, ...], ...]


def muscles(anatomy: Anatomy) -> Iterator[Shape]:
    """Every muscle set into the layers, in painting order."""
    m = anatomy.muscle_scale
    for sign in (-1.0, 1.0):
        uneven = np.random.default_rng((anatomy.detail_seed, 41, int(sign > 0))).normal(1, 0.03, 4)
        yield _column(anatomy, ERECTOR_OUTER, Tissue.ERECTOR_SPINAE, BACK, (sign, m * uneven[0]))
        yield _column(anatomy, ERECTOR_INNER, Tissue.ERECTOR_SPINAE, BACK, (sign, m * uneven[1]))
        yield _column(
            anatomy, QUADRATUS, Tissue.QUADRATUS_LUMBORUM, CAVITY_AND_BACK, (sign, m * uneven[2])
        )
        yield _column(anatomy, PSOAS, Tissue.PSOAS, CAVITY_AND_BACK, (sign, m * uneven[3]))
        crus = [
            [sign * 9, -6, 134, 7],
            [sign * 14, -14, 100, 5],
            [sign * 10, -16, 66, 4],
            [sign * 5, -14, 30, 2.5],
        ]
        yield from tube(
            Tissue.DIAPHRAGM,
            smooth_path(place(anatomy, crus), 12.0),
            over=frozenset({Tissue.VISCERAL_FAT, Tissue.LUNG}),
        )


def _column(
    anatomy: Anatomy, knots: Knots, tissue: Tissue, over: Over, side: tuple[float, float]
) -> Shape:
    """A muscle from standard knots; side is the sign of x and the factor on its half axes."""
    sign, thick = side
    k = np.array(sorted(knots))
    points = place(anatomy, np.stack([sign * k[:, 1], k[:, 2], k[:, 0]], 1))
    grown = 0.4 + 0.6 * thick
    columns = [
        points[:, 2],
        points[:, 0],
        points[:, 1],
        k[:, 3] * grown,
        k[:, 4] * grown,
        sign * k[:, 5],
    ]
    fine_z = np.arange(points[0, 2], points[-1, 2], 4.0)
    dense = [fine_z] + [np.interp(fine_z, points[:, 2], c) for c in columns[1:]]
    assert fine_z[0] >= float(to_own_z(anatomy.spine, -380.0))
    return Column(tissue=tissue, knots=np.stack(dense, 1), over=over)
