"""Sets vertebrae one by one into a label map: discs first, then the canal, then bone and metal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from training.synthetic.labels import Tissue
from training.templates.arrays import Array, Arrays
from training.templates.course import PlacedVertebra
from training.templates.template import CANAL_CODE, DEPTH_STEPS_PER_MM, Template

MARGIN_MM = 3.0
RIM_MM = 3.0
"""Discs repeat the outline that the body has so far behind its end plate."""
BODY_HALF_WIDTH_MM = 22.0
CORTEX_MM = 1.6
SCREW_MM, ROD_MM = 3.0, 2.8
DISC_OVERLAP_MM = 1.2
LOWEST_SOURCE = "L5"
S1_SLOPE_MM = 8.0
"""The end plate of S1 slopes: the lowest disc is higher in front."""
CEMENT_MM = (12.0, 9.0, 6.0)
BONE = (
    Tissue.VERTEBRA_CORTICAL,
    Tissue.VERTEBRA_TRABECULAR,
    Tissue.PELVIS_CORTICAL,
    Tissue.PELVIS_TRABECULAR,
)

Axes = tuple[Array, Array, Array]
"""x, y, z in mm, as numpy vectors."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PartArrays:
    """The template's parts where the work is done, flat, and their shape."""

    parts: Array
    depth: Array
    shape: tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Block:
    """The voxels about one vertebra, in its own template's mm from the middle of its body."""

    vertebra: PlacedVertebra
    view: Array
    """Labels, a view into the label map."""
    x: Array
    y: Array
    z: Array


def set_vertebrae(
    labels: Array,
    axes: Axes,
    template: Template,
    arrays: PartArrays,
    placed: Sequence[PlacedVertebra],
    kit: Arrays,
) -> None:
    """In place."""
    blocks = list(_blocks(labels, axes, template, placed, kit))
    for block in blocks:
        _set_disc(block, template, arrays, kit)
    for block in blocks:
        _set_bone(block, template, arrays, kit)


def _blocks(
    labels: Array, axes: Axes, template: Template, placed: Sequence[PlacedVertebra], kit: Arrays
) -> Iterator[_Block]:
    for vertebra in placed:
        low, high = _box_mm(vertebra, template)
        at = tuple(
            slice(int(np.searchsorted(axis, a)), int(np.searchsorted(axis, b, "right")))
            for axis, a, b in zip(axes, low, high, strict=True)
        )
        if any(s.start >= s.stop for s in at):
            continue
        x, y, z = (
            kit.real(kit.put(np.asarray(axis[s] - middle)))
            for axis, s, middle in zip(axes, at, vertebra.centre_mm, strict=True)
        )
        x, y, z = x[None, None, :], y[None, :, None], z[:, None, None]
        turn = vertebra.rotation.T
        local = [
            float(turn[i, 0]) * x + float(turn[i, 1]) * y + float(turn[i, 2]) * z for i in range(3)
        ]
        yield _Block(
            vertebra=vertebra,
            view=labels[at[2], at[1], at[0]],
            x=_narrowed(local[0] / vertebra.scale[0], vertebra.plan.process_width, kit),
            y=local[1] / vertebra.scale[1],
            z=local[2] / vertebra.scale[2],
        )


def _narrowed(x: Array, process_width: float, kit: Arrays) -> Array:
    """Template x of patient x: processes reach farther or less far, the body keeps its width."""
    far = kit.xp.clip(abs(x) - BODY_HALF_WIDTH_MM, 0, None)
    return x + kit.xp.sign(x) * far * (1 / process_width - 1)


def _box_mm(vertebra: PlacedVertebra, template: Template) -> tuple[np.ndarray, np.ndarray]:
    """Corners of the patient's box that holds the turned vertebra and half of both discs."""
    box = template.body_box_mm[vertebra.source].copy()
    half = template.body_height_mm[vertebra.source] / 2
    stretch = max(vertebra.scale[2], 0.2)
    box[0, 2] = min(box[0, 2], -half - (max(vertebra.gap_below_mm, 0.0) + S1_SLOPE_MM) / stretch)
    box[1, 2] = max(box[1, 2], half + vertebra.gap_above_mm / stretch)
    corners = np.array(
        [[box[i, 0], box[j, 1], box[k, 2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    )
    corners = corners * vertebra.scale * (max(1.0, vertebra.plan.process_width), 1, 1)
    moved = corners @ vertebra.rotation.T + vertebra.centre_mm
    return moved.min(axis=0) - MARGIN_MM, moved.max(axis=0) + MARGIN_MM


def _body_z(block: _Block, template: Template, kit: Arrays) -> Array:
    """Template z in the body, whose front a wedge fracture has lowered."""
    wedge = block.vertebra.plan.wedge
    if wedge == 0:
        return block.z
    depth = abs(float(template.body_box_mm[block.vertebra.source, 0, 1])) * 2
    forward = kit.xp.clip(0.5 - block.y / depth, 0, 1)
    return kit.xp.where(_is_body(block, template), block.z / (1 - wedge * forward), block.z)


def _is_body(block: _Block, template: Template) -> Array:
    return block.y < float(template.body_canal_mm[block.vertebra.source])


def _parts_at(
    block: _Block, z: Array, template: Template, arrays: PartArrays, kit: Arrays
) -> tuple[Array, Array]:
    """Part code and depth at template positions."""
    step = float(template.step_mm)
    cx, cy, cz = (float(v) / step for v in template.body_centre_mm[block.vertebra.source])
    slices, rows, columns = arrays.shape
    k = kit.xp.clip(kit.whole(z / step + cz), 0, slices - 1)
    r = kit.xp.clip(kit.whole(block.y / step + cy), 0, rows - 1)
    c = kit.xp.clip(kit.whole(block.x / step + cx), 0, columns - 1)
    flat = (k * rows + r) * columns + c
    return arrays.parts[flat], arrays.depth[flat]


def _set_disc(block: _Block, template: Template, arrays: PartArrays, kit: Arrays) -> None:
    """Between this body and half way to its neighbours; the lowest one down to S1."""
    vertebra = block.vertebra
    half = float(template.body_height_mm[vertebra.source]) / 2
    z = _body_z(block, template, kit)
    stretch = vertebra.scale[2] * (1 - vertebra.plan.wedge / 2)
    is_lowest = vertebra.plan.source == LOWEST_SOURCE
    below_mm = (
        max(vertebra.gap_below_mm, 0.0) + S1_SLOPE_MM if is_lowest else vertebra.gap_below_mm / 2
    )
    down = half + (below_mm + DISC_OVERLAP_MM) / stretch
    up = half + (vertebra.gap_above_mm / 2 + DISC_OVERLAP_MM) / stretch
    rim = half - RIM_MM
    codes, _ = _parts_at(block, kit.xp.clip(z, -rim, rim), template, arrays, kit)
    disc = (codes == vertebra.source + 1) & _is_body(block, template) & (z > -down) & (z < up)
    disc = disc & (abs(z) > rim)
    for tissue in BONE:
        disc = disc & (block.view != int(tissue))
    block.view[disc] = int(Tissue.DISC)


def _set_bone(block: _Block, template: Template, arrays: PartArrays, kit: Arrays) -> None:
    vertebra, view = block.vertebra, block.view
    z = _body_z(block, template, kit)
    codes, depth = _parts_at(block, z, template, arrays, kit)
    half = float(template.body_height_mm[vertebra.source]) / 2
    reach = half + max(vertebra.gap_below_mm, vertebra.gap_above_mm) / vertebra.scale[2]
    view[(codes == CANAL_CODE) & (abs(z) < reach)] = int(Tissue.CANAL)
    bone = codes == vertebra.source + 1
    is_shell = depth < CORTEX_MM * DEPTH_STEPS_PER_MM
    is_body = _is_body(block, template)
    view[bone & is_body] = int(Tissue.VERTEBRA_TRABECULAR)
    view[bone & ~is_body] = int(Tissue.VERTEBRA_ARCH)
    view[bone & is_shell] = int(Tissue.VERTEBRA_CORTICAL)
    if vertebra.plan.has_cement:
        a, b, c = CEMENT_MM
        blob = (block.x / a) ** 2 + ((block.y + 3) / b) ** 2 + (z / c) ** 2 < 1
        view[blob & bone] = int(Tissue.BONE_CEMENT)
    if vertebra.plan.has_screws:
        _set_screws(block, template, kit)


def _set_screws(block: _Block, template: Template, kit: Arrays) -> None:
    """Two screws through the pedicles and the rods that hold their heads."""
    canal = float(template.body_canal_mm[block.vertebra.source])
    reach = float(template.body_height_mm[block.vertebra.source]) / 2 + 5.0
    for side in (-1.0, 1.0):
        head = (side * 17.0, canal + 27.0)
        tip = (side * 9.0, canal - 30.0)
        along = kit.xp.clip((head[1] - block.y) / (head[1] - tip[1]), 0, 1)
        x = head[0] + (tip[0] - head[0]) * along
        y = head[1] + (tip[1] - head[1]) * along
        screw = (block.x - x) ** 2 + (block.y - y) ** 2 + (block.z - 3) ** 2 < SCREW_MM**2
        rod = (block.x - head[0]) ** 2 + (block.y - head[1] - 3) ** 2 < ROD_MM**2
        block.view[screw | (rod & (abs(block.z) < reach))] = int(Tissue.METAL)
