"""Mediastinum, heart, great vessels and airways."""

from collections.abc import Iterator

import numpy as np

from training.synthetic.anatomy import Anatomy
from training.synthetic.frame import place
from training.synthetic.labels import Tissue
from training.synthetic.organ_forms import CHEST, OrganForm, organ_ellipsoid, organ_path
from training.synthetic.shapes import Column, Shape, tube
from training.synthetic.spine import spine_xy


def chest(anatomy: Anatomy) -> Iterator[Shape]:
    """Mediastinum, heart, great vessels, trachea."""
    z = place(anatomy, [[0, 0, v] for v in (100, 140, 200, 240, 290, 340, 380)])
    x, y = spine_xy(anatomy.spine, z[:, 2])
    half_x = np.array([26, 30, 30, 30, 30, 34, 40.0]) * anatomy.width_scale
    half_y = np.array([50, 72, 76, 74, 62, 50, 45.0]) * anatomy.depth_scale
    knots = np.stack([z[:, 2], x + 4, y - half_y + 12, half_x, half_y, 0 * x], 1)
    lung = frozenset({Tissue.LUNG, Tissue.AIRWAY_VESSEL})
    yield Column(tissue=Tissue.MEDIASTINAL_FAT, knots=knots, over=lung)
    heart = OrganForm(
        centre=(22, -66, 192), radii=(58, 46, 50), turn_degrees=(0, 25, 35), mobility=0.5
    )
    yield organ_ellipsoid(anatomy, "heart", Tissue.HEART, heart, over=CHEST)
    yield from _great_vessels(anatomy)
    yield from _airways(anatomy)


def _great_vessels(anatomy: Anatomy) -> Iterator[Shape]:
    """Upper vena cava, ascending aorta and arch, pulmonary arteries, arteries to the head."""
    paths: list[tuple[Tissue, list[list[float]]]] = [
        (
            Tissue.VEIN,
            [[-20, -40, 185, 12], [-34, -46, 240, 10], [-38, -48, 300, 9], [-40, -48, 340, 7]],
        ),
        (
            Tissue.AORTA,
            [[-6, -55, 225, 15], [-14, -62, 265, 15], [0, -50, 294, 14], [18, -24, 296, 12]],
        ),
        (
            Tissue.ARTERY,
            [[10, -62, 225, 14], [16, -52, 250, 13], [-30, -34, 246, 9], [-60, -22, 244, 6]],
        ),
        (Tissue.ARTERY, [[16, -50, 250, 10], [46, -18, 252, 8], [66, -6, 250, 5]]),
        (Tissue.ARTERY, [[-12, -52, 295, 7], [-26, -50, 330, 5], [-24, -50, 400, 4]]),
        (Tissue.ARTERY, [[14, -40, 298, 5], [22, -46, 330, 4], [24, -52, 400, 4]]),
    ]
    for tissue, points in paths:
        yield from tube(tissue, organ_path(anatomy, "", points, mobility=0.3), over=CHEST)


def _airways(anatomy: Anatomy) -> Iterator[Shape]:
    """Trachea and main bronchi."""
    windpipe: list[list[float]] = [
        [0, -24, 252, 9],
        [0, -32, 300, 9],
        [0, -46, 350, 9],
        [0, -75, 420, 9],
        [0, -98, 475, 9],
    ]
    bronchi: list[list[list[float]]] = [
        [[0, -22, 254, 7], [s * 34, -12, 236, 6], [s * 56, -8, 224, 4]] for s in (-1, 1)
    ]
    for pipe in (windpipe, *bronchi):
        yield from tube(Tissue.TRACHEA, organ_path(anatomy, "", pipe, mobility=0.2), over=CHEST)
