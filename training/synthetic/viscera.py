"""Abdominal and pelvic organs and vessels, placed by vertebral level with a shift and a size of their own."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from training.synthetic.anatomy import Anatomy
from training.synthetic.bowel import colon, small_bowel
from training.synthetic.chest import chest
from training.synthetic.labels import Tissue
from training.synthetic.organ_forms import (
    ABDOMEN,
    TRUNK,
    OrganForm,
    organ_ellipsoid,
    organ_path,
    turned,
)
from training.synthetic.shapes import Ellipsoid, Shape, thinner, tube

Limb = list[list[float]]
"""Points x, y, z, radius of a standard tube."""
Limbs = list[Limb]


def viscera(anatomy: Anatomy) -> Iterator[Shape]:
    """Every organ, in painting order: later ones win."""
    yield from chest(anatomy)
    yield from _pelvic_organs(anatomy)
    yield from small_bowel(anatomy)
    yield from colon(anatomy)
    yield from _liver(anatomy)
    yield from _spleen(anatomy)
    yield from _stomach(anatomy)
    yield from _kidneys(anatomy)
    yield from _duodenum_and_pancreas(anatomy)
    yield from _adrenals(anatomy)
    yield from _branches(anatomy)
    yield from _vessels(anatomy)
    yield from _gallbladder(anatomy)


def _pelvic_organs(anatomy: Anatomy) -> Iterator[Shape]:
    """Bladder, and prostate or uterus behind and below it."""
    prostate = OrganForm(centre=(0, 0, -215), radii=(21, 18, 14))
    uterus = OrganForm(centre=(0, 8, -165), radii=(24, 22, 34), turn_degrees=(30, 0, 0))
    yield organ_ellipsoid(
        anatomy,
        "bladder",
        Tissue.BLADDER,
        OrganForm(centre=(0, -26, -178), radii=(40, 34, 28), mobility=0.3),
    )
    yield organ_ellipsoid(
        anatomy, "", Tissue.PELVIC_ORGAN, prostate if anatomy.sex == "M" else uterus
    )


def _liver(anatomy: Anatomy) -> Iterator[Shape]:
    """Two lobes dented by the viscera below them, with portal and hepatic branches."""
    right = OrganForm(
        centre=(-80, -26, 98),
        radii=(74, 94, 92),
        turn_degrees=(0, -8, 8),
        mobility=0.45,
        dents=(
            ((0.62, 0.10, -0.78), (30, -16, -18), 120.0),
            ((0.80, 0.58, 0.1), (52, 6, 10), 110.0),
        ),
    )
    left = OrganForm(
        centre=(2, -76, 122),
        radii=(78, 44, 44),
        turn_degrees=(0, -14, 6),
        mobility=0.7,
        dents=(((0.1, 0.55, -0.83), (-10, 10, -14), 90.0),),
    )
    yield organ_ellipsoid(anatomy, "liver", Tissue.LIVER, right)
    yield organ_ellipsoid(anatomy, "liver", Tissue.LIVER, left)
    branches: Limbs = [
        [[-20, -12, 148, 5], [-52, -22, 140, 4], [-90, -30, 120, 2.5]],
        [[-18, -14, 148, 5], [-36, -50, 142, 4], [-60, -85, 122, 2.5]],
        [[-16, -16, 148, 5], [-4, -50, 142, 4], [14, -80, 130, 2.5]],
        [[-52, -48, 98, 5], [-88, -36, 106, 4], [-115, -20, 112, 2.0]],
        [[-82, -38, 104, 3.5], [-100, -62, 92, 2.0]],
    ]
    for points in branches:
        path = organ_path(anatomy, "liver", points, mobility=0.45)
        yield from tube(Tissue.LIVER_VESSEL, path, over=frozenset({Tissue.LIVER}))


def _spleen(anatomy: Anatomy) -> Iterator[Shape]:
    """A bean under the left dome."""
    bean = OrganForm(
        centre=(97, 18, 104),
        radii=(45, 61, 61),
        turn_degrees=(15, -8, -28),
        mobility=0.1,
        dents=(((-0.88, -0.42, -0.05), (-25, -11, 0), 80.0),),
    )
    yield organ_ellipsoid(anatomy, "spleen", Tissue.SPLEEN, bean)


def _stomach(anatomy: Anatomy) -> Iterator[Shape]:
    """A curved bag: wall, content, gas in front."""
    fill = 0.72 + 0.36 * float(np.random.default_rng((anatomy.detail_seed, 51)).random())
    points: Limb = [
        [66, 4, 142, 26],
        [76, -22, 128, 33],
        [80, -52, 106, 31],
        [66, -76, 82, 25],
        [36, -84, 62, 20],
        [4, -78, 56, 16],
        [-18, -66, 60, 11],
    ]
    path = organ_path(anatomy, "stomach", [[*p[:3], p[3] * fill] for p in points], mobility=0.7)
    yield from tube(Tissue.STOMACH_WALL, path, over=ABDOMEN | {Tissue.DIAPHRAGM})
    inner = thinner(path, 4.0)
    wall = frozenset({Tissue.STOMACH_WALL})
    yield from tube(Tissue.STOMACH_CONTENT, inner, over=wall)
    level = float(np.quantile(path[:, 1], 0.15 + 0.3 * (1 - anatomy.bowel_gas)))
    for piece in tube(Tissue.STOMACH_GAS, inner, over=frozenset({Tissue.STOMACH_CONTENT})):
        yield replace(piece, front_of_mm=level)


def _kidneys(anatomy: Anatomy) -> Iterator[Shape]:
    """Cortex, medulla as pyramids, and the pelvis at the hilum."""
    forms = {
        "kidney_right": (-1.0, (-74, 20, 50), Tissue.KIDNEY_RIGHT, Tissue.KIDNEY_RIGHT_MEDULLA),
        "kidney_left": (1.0, (76, 18, 58), Tissue.KIDNEY_LEFT, Tissue.KIDNEY_LEFT_MEDULLA),
    }
    for name, (sign, centre, cortex, medulla) in forms.items():
        turn = (-8.0, sign * 14.0, sign * 28.0)
        body = organ_ellipsoid(
            anatomy, name, cortex, OrganForm(centre=centre, radii=(27, 30, 56), turn_degrees=turn)
        )
        yield body
        u, _, w = body.axes
        for k in range(5):
            angle = np.radians(36 + 72 * k)
            for height in (-0.45, 0.1, 0.55):
                out = u * np.cos(angle) * 12 + np.cross(w, u) * np.sin(angle) * 14
                yield Ellipsoid(
                    tissue=medulla,
                    centre=body.centre + out * (1 - height**2) + w * height * body.radii[2] * 0.85,
                    radii=np.array([6.0, 6.0, 8.0]) * body.radii[0] / 26,
                    over=frozenset({cortex}),
                )
        inward = np.array([-sign * 0.8, -0.55, 0.0])
        yield Ellipsoid(
            tissue=Tissue.VISCERAL_FAT,
            centre=body.centre + inward * 22,
            radii=np.array([13.0, 8.0, 22.0]) * body.radii[0] / 26,
            axes=turned((0, 0, sign * 35.0)),
            over=frozenset({cortex, medulla}),
        )
        yield Ellipsoid(
            tissue=Tissue.RENAL_PELVIS,
            centre=body.centre + inward * 22,
            radii=np.array([7.0, 5.0, 10.0]),
            over=frozenset({Tissue.VISCERAL_FAT}),
        )


def _duodenum_and_pancreas(anatomy: Anatomy) -> Iterator[Shape]:
    """The C of the duodenum round the pancreatic head."""
    loop: Limb = [
        [-20, -64, 60, 10],
        [-38, -54, 58, 13],
        [-48, -42, 44, 13],
        [-48, -36, 18, 13],
        [-38, -36, -4, 12],
        [-12, -44, -9, 11],
        [14, -46, -6, 11],
        [34, -42, 8, 11],
        [44, -50, 22, 11],
    ]
    yield from tube(
        Tissue.DUODENUM, organ_path(anatomy, "duodenum", loop, mobility=0.25), over=ABDOMEN
    )
    head: Limb = [[-26, -44, 22, 12], [-24, -46, 40, 15], [-14, -52, 54, 12], [6, -58, 62, 9]]
    tail: Limb = [
        [6, -58, 62, 9],
        [28, -54, 70, 10],
        [54, -38, 78, 11],
        [76, -16, 86, 10],
        [90, -4, 92, 7],
    ]
    for points in (head, tail):
        yield from tube(
            Tissue.PANCREAS, organ_path(anatomy, "pancreas", points, mobility=0.25), over=ABDOMEN
        )


def _adrenals(anatomy: Anatomy) -> Iterator[Shape]:
    """An inverted Y above each kidney."""
    right: Limbs = [
        [[-34, -10, 116, 3.4], [-38, -6, 102, 3.6]],
        [[-38, -6, 102, 3.2], [-34, 6, 88, 2.8]],
        [[-38, -6, 102, 3.2], [-48, 2, 90, 2.8]],
    ]
    left: Limbs = [
        [[46, -24, 100, 3.4], [48, -18, 86, 3.6]],
        [[48, -18, 86, 3.2], [42, -10, 68, 2.8]],
        [[48, -18, 86, 3.2], [58, -8, 72, 2.8]],
    ]
    for name, tissue, limbs in (
        ("kidney_right", Tissue.ADRENAL_RIGHT, right),
        ("kidney_left", Tissue.ADRENAL_LEFT, left),
    ):
        half = 0.5 * np.array(anatomy.organ_shift_mm[name])
        for limb in limbs:
            moved = [[*(np.array(p[:3]) + half), p[3] * 1.4] for p in limb]
            yield from tube(tissue, organ_path(anatomy, "", moved, mobility=0.0), over=ABDOMEN)


def _branches(anatomy: Anatomy) -> Iterator[Shape]:
    """Mesenteric, coeliac, renal and iliac vessels."""
    mesenteric: Limb = [[-6, -50, 66, 5.5], [-4, -56, 35, 5], [-6, -62, 0, 4], [-14, -64, -30, 3]]
    yield from tube(Tissue.VEIN, organ_path(anatomy, "", mesenteric, mobility=0.4), over=ABDOMEN)
    celiac: Limbs = [
        [[9, -34, 100, 4], [4, -48, 96, 3]],
        [[9, -34, 86, 4], [8, -52, 60, 3.5], [6, -60, 10, 3]],
    ]
    renal: Limbs = [
        [[18, -22, 66, 3.5], [42, -4, 62, 3], [56, 4, 60, 2.5]],
        [[0, -20, 62, 3.5], [-40, -2, 54, 3], [-54, 6, 52, 2.5]],
    ]
    for points in celiac + renal:
        yield from tube(Tissue.ARTERY, organ_path(anatomy, "", points, mobility=0.1), over=ABDOMEN)
    for sign in (-1, 1):
        artery: Limb = [[5 + sign * 2, -26, -42, 6], [sign * 28, -26, -85, 6], [sign * 46, -22, -120, 5.5], [sign * 72, -62, -190, 5], [sign * 78, -66, -260, 4.5]]  # fmt: skip
        vein: Limb = [[-17 + sign * 2, -22, -46, 8], [sign * 30, -14, -88, 7.5], [sign * 44, -12, -125, 7], [sign * 62, -56, -190, 6], [sign * 66, -58, -260, 5]]  # fmt: skip
        yield from tube(
            Tissue.VEIN,
            organ_path(anatomy, "", vein, mobility=0.0),
            over=ABDOMEN | {Tissue.GLUTEAL, Tissue.PSOAS},
        )
        yield from tube(
            Tissue.ARTERY,
            organ_path(anatomy, "", artery, mobility=0.0),
            over=ABDOMEN | {Tissue.GLUTEAL, Tissue.PSOAS},
        )


def _vessels(anatomy: Anatomy) -> Iterator[Shape]:
    """Oesophagus, vena cava, aorta, portal and splenic vein."""
    age = float(np.clip((anatomy.age_years - 20) / 70, 0, 1))
    wide = 0.86 + 0.24 * age
    aorta: Limb = [
        [16, -20, 296, 12], [24, -12, 270, 12], [26, -8, 230, 12], [22, -10, 180, 11.5], [14, -16, 130, 11],
        [10, -24, 90, 10], [10, -28, 40, 9.5], [9, -27, 0, 9], [6, -26, -42, 8.5],
    ]  # fmt: skip
    cava: Limb = [
        [-20, -32, 176, 12], [-22, -28, 140, 13], [-24, -26, 95, 12], [-25, -27, 50, 11], [-23, -27, 0, 10.5],
        [-17, -24, -44, 10],
    ]  # fmt: skip
    gullet: Limb = [
        [2, -38, 400, 5.5], [2, -30, 350, 6], [2, -20, 300, 6.5], [6, -18, 250, 6.5], [8, -22, 200, 7],
        [14, -30, 160, 7.5], [26, -30, 138, 8], [44, -24, 130, 8.5],
    ]  # fmt: skip
    portal: Limb = [
        [104, 2, 100, 4], [76, -14, 92, 4.5], [44, -34, 82, 5], [14, -48, 72, 5.5], [-10, -46, 68, 7],
        [-28, -42, 82, 7], [-46, -46, 96, 7], [-58, -46, 100, 5.5],
    ]  # fmt: skip
    yield from tube(Tissue.ESOPHAGUS, organ_path(anatomy, "", gullet, mobility=0.0), over=TRUNK)
    yield from tube(
        Tissue.INFERIOR_VENA_CAVA, organ_path(anatomy, "", cava, mobility=0.0), over=TRUNK
    )
    thick = [[*p[:3], p[3] * wide] for p in aorta]
    yield from tube(Tissue.AORTA, organ_path(anatomy, "", thick, mobility=0.0), over=TRUNK)
    yield from tube(
        Tissue.PORTAL_SPLENIC_VEIN, organ_path(anatomy, "", portal, mobility=0.25), over=ABDOMEN
    )


def _gallbladder(anatomy: Anatomy) -> Iterator[Shape]:
    """A pear under the right lobe."""
    if not anatomy.has_gallbladder:
        return
    pear: Limb = [[-48, -54, 76, 5], [-56, -64, 62, 10], [-64, -76, 46, 14], [-67, -81, 40, 13]]
    path = organ_path(anatomy, "gallbladder", pear, mobility=0.55)
    path[:, :3] += np.array(anatomy.organ_shift_mm["liver"]) * 0.7
    yield from tube(Tissue.GALLBLADDER, path, over=ABDOMEN)
