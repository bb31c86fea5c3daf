"""Measures the body of every vertebra of a label map: the part in front of the canal, between its end plates."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import numpy.typing as npt

from inference.domain.errors import UnreadableInput

Mask = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.float64]

CRANIAL_TO_CAUDAL = (
    *(f"C{n}" for n in range(1, 8)),
    *(f"T{n}" for n in range(1, 13)),
    *(f"L{n}" for n in range(1, 6)),
)
NEEDED = ("T12", "L1", "L2", "L3", "L4", "L5")
CORE_MM = 9.0
"""End plates are measured over the middle of the body: rims and processes lie outside it."""
CANAL_WALL_MM = 2.5
LARGEST_BODY_MM = 60.0
S1_HEIGHT_OF_L5 = 0.95
NEARLY_WHOLE = 0.85


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Body:
    """One vertebra, mm in the template."""

    name: str
    centre_mm: Positions
    height_mm: float
    canal_mm: float
    box_mm: Positions


def bodies_of(
    numbers: npt.NDArray[np.uint8], number_of: Mapping[str, int], step_mm: float
) -> list[Body]:
    """Every whole vertebra from the head down; raises UnreadableInput where the lumbar spine is not whole."""
    canal = canal_front(numbers == number_of.get("spinal_cord", 255))
    found = []
    for name in CRANIAL_TO_CAUDAL:
        where = numbers == number_of.get(f"vertebrae_{name}", 255)
        body = body_of(name, np.argwhere(where), canal, step_mm) if where.any() else None
        if body is not None:
            found.append(body)
    found = [
        body
        for body, below in zip_longest(found, found[1:])
        if _is_whole(body, below, len(numbers), step_mm)
    ]
    missing = [name for name in NEEDED if name not in {body.name for body in found}]
    if missing:
        raise UnreadableInput(
            found=f"a label map without a whole {', '.join(missing)}",
            wanted="T12 to L5 whole inside the map",
            advice="Take a map of an abdomen; a vertebra cut by its end cannot be re-stacked.",
        )
    return found


def _is_whole(body: Body, below: Body | None, slices: int, step_mm: float) -> bool:
    """Whether both end plates lie inside the map, or so nearly that the height of the next one is reached."""
    low, high = (body.centre_mm[2] + sign * body.height_mm / 2 for sign in (-1, 1))
    is_inside = low > step_mm and high < (slices - 2) * step_mm
    return bool(is_inside or (below and body.height_mm > NEARLY_WHOLE * below.height_mm))


def canal_front(cord: Mask) -> npt.NDArray[np.float64]:
    """The cord's first row of every slice, interpolated; NaN throughout without a cord."""
    seen = cord.any(axis=(1, 2))
    if not seen.any():
        return np.full(len(cord), np.nan)
    first = cord.any(axis=2).argmax(axis=1)
    slices = np.flatnonzero(seen)
    return np.interp(np.arange(len(cord)), slices, first[slices])


def body_of(
    name: str, where: npt.NDArray[np.intp], canal: npt.NDArray[np.float64], step_mm: float
) -> Body | None:
    """The body of a vertebra from the voxels of its whole label; None where there is nothing in front of the canal."""
    limit = canal[where[:, 0]] - CANAL_WALL_MM / step_mm
    if np.isnan(limit).any():
        limit = np.full(len(where), np.percentile(where[:, 1], 45))
    front = where[where[:, 1] < limit]
    if len(front) < 8:
        return None
    middle = np.median(front, axis=0)
    core = front[(np.abs(front[:, 1:] - middle[1:]) * step_mm <= CORE_MM).all(axis=1)]
    columns = core[:, 1] * 100_000 + core[:, 2]
    order = np.lexsort((core[:, 0], columns))
    starts = np.flatnonzero(np.r_[True, np.diff(columns[order]) > 0])
    ends = np.r_[starts[1:], len(order)] - 1
    bottom, top = core[order[starts], 0], core[order[ends], 0]
    low, high = float(np.median(bottom)) - 0.5, float(np.median(top)) + 0.5
    height_mm = (high - low) * step_mm
    if not 0 < height_mm < LARGEST_BODY_MM:
        return None
    centre = np.array([front[:, 2].mean(), front[:, 1].mean(), (low + high) / 2]) * step_mm
    corners = np.stack([where.min(0), where.max(0)])[:, ::-1] * step_mm
    return Body(
        name=name,
        centre_mm=centre,
        height_mm=height_mm,
        canal_mm=float(np.median(limit) * step_mm - centre[1]),
        box_mm=corners - centre,
    )


def s1_of(
    numbers: npt.NDArray[np.uint8], number_of: Mapping[str, int], step_mm: float, l5: Body
) -> tuple[Positions, float]:
    """Middle and height of the first sacral body, which stays with the pelvis."""
    height_mm = S1_HEIGHT_OF_L5 * l5.height_mm
    canal = canal_front(numbers == number_of.get("spinal_cord", 255))
    where = np.argwhere(numbers == number_of.get("vertebrae_S1", 255))
    if len(where):
        body = body_of("S1", where, canal, step_mm)
        if body is not None:
            return body.centre_mm, body.height_mm
    sacrum = np.argwhere(numbers == number_of.get("sacrum", 255))
    if not len(sacrum):
        raise UnreadableInput(
            found="a label map without sacrum and vertebrae_S1",
            wanted="one of them: it carries the lumbar spine",
            advice="Take a map that reaches into the pelvis.",
        )
    near = sacrum[np.abs(sacrum[:, 2] * step_mm - l5.centre_mm[0]) < CORE_MM]
    near = near if len(near) else sacrum
    top = near[near[:, 0] >= near[:, 0].max() - height_mm / step_mm]
    y_mm, z_mm = float(np.percentile(top[:, 1], 30)) * step_mm, float(top[:, 0].mean()) * step_mm
    return np.array([l5.centre_mm[0], y_mm, z_mm]), height_mm
