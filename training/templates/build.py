"""From a label map to a template: layers, hull, and the soft tissue of back, chest and pelvis that maps leave out."""

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference.domain.errors import UnreadableInput
from inference.domain.volume import spacing_mm
from training.templates.branches import with_branches
from training.templates.crura import with_crura
from training.templates.depth import depth_of
from training.templates.fillings import fill_back, fill_bed, fill_chest, fill_pelvis
from training.templates.hull import cavity_of, hull_of, ribbed_of
from training.templates.map_names import Layer, meaning_of
from training.templates.maps import NamedMap, read_maps
from training.templates.naming import SOURCE_FOLLOWS, hash_in_words
from training.templates.template import (
    CANAL_CODE,
    FIRST_RIB_CODE,
    Codes,
    Template,
)
from training.templates.vertebral_bodies import Body, bodies_of, s1_of

FINEST_MM = 1.5
COARSEST_MM = 3.5
BORDER = 2
"""Empty voxels round the arrays: a look beyond them finds nothing."""


def build(source: Path, attribution: str, finest_mm: float = FINEST_MM) -> Template:
    """The template of a folder of label maps."""
    return template_of(read_maps(source), attribution, finest_mm)


def template_of(maps: NamedMap, attribution: str, finest_mm: float = FINEST_MM) -> Template:
    """Takes about half a minute for a whole torso at 1.5 mm."""
    numbers, step_mm = _isotropic(maps, finest_mm)
    number_of = {name: number for number, name in maps.names.items()}
    bodies = bodies_of(numbers, number_of, step_mm)
    s1_mm, s1_height_mm = s1_of(numbers, number_of, step_mm, bodies[-1])
    layers = {layer: np.zeros(numbers.shape, np.uint8) for layer in Layer}
    for number, name in maps.names.items():
        layer, tissue = meaning_of(name)
        layers[layer][numbers == number] = tissue
    frame, viscera = layers[Layer.FRAME], layers[Layer.VISCERA]
    parts = _parts(numbers, maps, [body.name for body in bodies])
    spine = (layers[Layer.SPINE] > 0) | (layers[Layer.CANAL] > 0)
    known = (frame > 0) | (viscera > 0) | spine
    fill_back(frame, known, parts, step_mm)
    centre, hull = hull_of(known, frame, step_mm)
    cavity = cavity_of(frame, viscera, spine, (centre, hull), step_mm)
    fill_chest(frame, viscera, known, step_mm)
    fill_pelvis(frame, known, step_mm)
    fill_bed(frame, spine, step_mm)
    bare = Template(
        step_mm=np.array(step_mm),
        frame=frame,
        viscera=viscera,
        depth=depth_of(viscera, step_mm),
        frame_depth=depth_of(frame, step_mm),
        parts=parts,
        parts_depth=depth_of(parts, step_mm),
        centre_xy_mm=centre,
        hull_mm=hull,
        cavity_mm=cavity,
        ribbed=ribbed_of(frame, centre, hull, step_mm),
        rib12_mm=_rib12_mm(parts, bodies, step_mm),
        body_names=np.array([body.name for body in bodies]),
        body_centre_mm=np.stack([body.centre_mm for body in bodies]),
        body_height_mm=np.array([body.height_mm for body in bodies]),
        body_canal_mm=np.array([body.canal_mm for body in bodies]),
        body_box_mm=np.stack([body.box_mm for body in bodies]),
        s1_mm=s1_mm,
        s1_height_mm=np.array(s1_height_mm),
        source=np.array(f"{attribution}{SOURCE_FOLLOWS}label map {hash_in_words(_digest(maps))}"),
    )
    return with_crura(with_branches(bare))


def _digest(maps: NamedMap) -> str:
    """The same however often and at whatever step a map is built: what a network saw is known by it."""
    digest = hashlib.sha256(repr(sorted(maps.names.items())).encode())
    digest.update(np.ascontiguousarray(maps.numbers).tobytes())
    return digest.hexdigest()


def _isotropic(maps: NamedMap, finest_mm: float) -> tuple[Codes, float]:
    """The map at one step in every direction, its nearest label, with an empty border in the plane."""
    own_mm = spacing_mm(maps.affine_lps)
    step_mm = max(finest_mm, min(own_mm))
    if max(own_mm) > COARSEST_MM * 2:
        raise UnreadableInput(
            found=f"label maps with steps of {own_mm} mm",
            wanted=f"steps up to {COARSEST_MM * 2:g} mm",
            advice="Segment a series of thinner slices.",
        )
    picks = []
    for n, own in zip(maps.numbers.shape, own_mm, strict=True):
        places = np.arange(max(1, round(n * own / step_mm)))
        picks.append(np.clip(np.rint(places * step_mm / own), 0, n - 1).astype(np.intp))
    border = ((0, 0), (BORDER, BORDER), (BORDER, BORDER))
    return np.pad(maps.numbers[np.ix_(*picks)], border), step_mm


def _parts(numbers: Codes, maps: NamedMap, body_names: list[str]) -> Codes:
    """Vertebrae, canal and ribs by code."""
    table = np.zeros(256, np.uint8)
    for number, name in maps.names.items():
        if name == "spinal_cord":
            table[number] = CANAL_CODE
        elif name.startswith("vertebrae_") and name.removeprefix("vertebrae_") in body_names:
            table[number] = body_names.index(name.removeprefix("vertebrae_")) + 1
        elif name.startswith("rib_"):
            table[number] = FIRST_RIB_CODE + int(name.rsplit("_", 1)[1])
    return table[numbers]


def _rib12_mm(parts: Codes, bodies: list[Body], step_mm: float) -> npt.NDArray[np.float64]:
    """Right and left reach; 0 where there is none."""
    t12 = next(body for body in bodies if body.name == "T12")
    x = np.nonzero(parts == FIRST_RIB_CODE + 12)[2] * step_mm - t12.centre_mm[0]
    return np.array([max(-x.min(), 0.0), max(x.max(), 0.0)]) if len(x) else np.zeros(2)
