"""The aorta goes on where the networks lost it: from its lowest and highest found sections it is followed slice by slice.

Without contrast the networks often end it some centimetres too early, though it lies round and alone in fat there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from inference.stages.aorta_rules import ABOVE_BLOOD_HU, CALCIUM_HU, Mask
from inference.stages.grids import Float, calm_plane

FAT_HU = -105.0
LEAST_SLICES, LEAST_PIXELS = 3, 20
"""Fewer slices with some of it, or fewer pixels deep inside, are too little to know how bright it is."""
SPREAD_HU, SPREADS = (12.0, 25.0), 3.0
"""The least and the largest spread of its blood's HU that is believed, and how many of these from its median are blood still."""
PLAIN_BELOW_HU, ABOVE_PLAIN_HU = 90.0, 60.0
"""Blood without contrast is told from fat alone, up to so much above its own HU. With contrast that would take muscle in,
and followed an iliac artery."""
USUAL_OVER_MM, STARTS_WITHIN_MM, STARTS = 30.0, 12.0, 4
"""The usual section is the median over so much of its end. It is followed from several sections near that end, as the last
ones found may be poor, and the one counts from which it is followed farthest."""
SOUND = 0.75
"""Part of the usual section that makes a found one good enough to start from."""
MEMORY_SLICES = 5
"""So many sections, the last ones, say what is usual farther on: it tapers."""
FARTHEST_MM = 200.0
WINDOW_MM = 25.0
"""About the last section: what reaches the window's border is no vessel alone in fat."""
ALONE_AREA, ALONE_LONG, ALONE_FULL, ALONE_SHARED = (0.5, 1.6), 2.3, 0.85, 0.3
"""A whole piece of tissue is its next section with so much of the usual area, no longer than so many times its breadth, filling
so much of its ellipse, and sharing so much with the last one."""
BESIDE_AREA, BESIDE_LONG, BESIDE_SHARED = (0.6, 1.5), 1.7, 0.5
"""The same of tissue that touches others and is cut off a little outside the last section."""
MOVES = 2.5 / 3.0
"""Millimetres to the side per millimetre along the body."""
NECK = 0.4
"""Of its radius: bridges to other tissue narrower than twice that are cut."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Scene:
    """What is looked at while it is followed."""

    hu: npt.NDArray[np.int16] | Float
    may_be: Mask
    """Where no other structure was found."""
    spacing_mm: Sequence[float]
    blood_hu: float
    spread_hu: float

    @property
    def pixel_mm(self) -> Sequence[float]:
        return self.spacing_mm[1:]


def followed(
    aorta: Mask,
    hu: npt.NDArray[np.int16] | Float,
    is_free: Mask,
    spacing_mm: Sequence[float],
) -> Mask:
    """With the sections beyond its ends, only over voxels that are free; slices run upwards."""
    for direction in (-1, 1):
        scene = _scene(aorta, hu, is_free, spacing_mm)
        if scene is None:
            break
        aorta = _with_sections_beyond(aorta, scene, direction)
    return aorta


def _scene(
    aorta: Mask,
    hu: npt.NDArray[np.int16] | Float,
    is_free: Mask,
    spacing_mm: Sequence[float],
) -> _Scene | None:
    """None where too little of it was found to know its blood."""
    boxes = ndimage.find_objects(aorta.astype(np.uint8))
    if not boxes or len(np.flatnonzero(aorta.any(axis=(1, 2)))) < LEAST_SLICES:
        return None
    (box,) = boxes
    inside = [
        calm_plane(plane, spacing_mm[1:])[ndimage.binary_erosion(section)]
        for plane, section in zip(hu[box], aorta[box], strict=True)
        if section.any()
    ]
    blood = np.concatenate(inside)
    if blood.size < LEAST_PIXELS:
        return None
    blood_hu = float(np.median(blood))
    # 1.4826 median deviations are one standard deviation of a normal distribution.
    spread_hu = float(np.clip(1.4826 * np.median(np.abs(blood - blood_hu)), *SPREAD_HU))
    return _Scene(
        hu=hu,
        may_be=is_free | aorta,
        spacing_mm=spacing_mm,
        blood_hu=blood_hu,
        spread_hu=spread_hu,
    )


def _with_sections_beyond(aorta: Mask, scene: _Scene, direction: int) -> Mask:
    areas = aorta.sum(axis=(1, 2))
    found = np.flatnonzero(areas)
    end = int(found[0] if direction < 0 else found[-1])
    slice_mm = scene.spacing_mm[0]
    inwards = range(end, end - direction * max(3, round(USUAL_OVER_MM / slice_mm)), -direction)
    stretch = [k for k in inwards if 0 <= k < len(areas) and areas[k]]
    usual = float(np.median(areas[stretch]))
    near = stretch[: max(3, round(STARTS_WITHIN_MM / slice_mm))]
    starts = [k for k in near if areas[k] >= SOUND * usual]
    farthest: dict[int, Mask] = {}
    reached = 0
    for start in starts[:: -(-len(starts) // STARTS) or 1]:
        sections = dict(_walk(scene, aorta[start], start, direction, usual))
        beyond = (start + direction * len(sections) - end) * direction
        if beyond > reached:
            reached, farthest = beyond, sections
    longer = aorta.copy()
    for k, section in farthest.items():
        if (k - end) * direction > 0 or areas[k] < SOUND * usual:
            longer[k] |= section & scene.may_be[k]
    return longer


def _walk(
    scene: _Scene, section: Mask, start: int, direction: int, usual: float
) -> Iterator[tuple[int, Mask]]:
    """Slices and sections after a found one, until none follows."""
    areas = [usual] * 3
    farthest = round(FARTHEST_MM / scene.spacing_mm[0])
    for k in range(start + direction, start + direction * (farthest + 1), direction):
        if not 0 <= k < len(scene.hu):
            return
        following = _next_section(scene, k, section, float(np.median(areas[-MEMORY_SLICES:])))
        if following is None:
            return
        section = following
        areas.append(float(section.sum()))
        yield k, section


def _next_section(scene: _Scene, k: int, last: Mask, usual: float) -> Mask | None:
    """Of the size, shape and place that a next section has."""
    window = _window(last, scene.pixel_mm)
    hu, before, may_be = scene.hu[k][window], last[window], scene.may_be[k][window]
    calm = calm_plane(hu, scene.pixel_mm)
    calcium = hu > max(CALCIUM_HU, scene.blood_hu + ABOVE_BLOOD_HU)
    blood = (np.abs(calm - scene.blood_hu) < SPREADS * scene.spread_hu) | calcium
    radius_mm = float(np.sqrt(usual * np.prod(scene.pixel_mm) / np.pi))
    neck = _disc(NECK * radius_mm, scene.pixel_mm)
    alone = [blood]
    if scene.blood_hu < PLAIN_BELOW_HU:
        border_hu = (scene.blood_hu + FAT_HU) / 2
        no_fat = (calm > border_hu) & (calm < scene.blood_hu + ABOVE_PLAIN_HU)
        alone.insert(0, no_fat | calcium)
    for tissue in alone:
        piece = _piece(tissue & may_be, before, neck)
        if piece is not None and _is_alone(piece, before, usual, scene.pixel_mm):
            return _in_slice(piece, window, last.shape)
    about = _disc(MOVES * scene.spacing_mm[0], scene.pixel_mm)
    piece = _piece(blood & may_be & ndimage.binary_dilation(before, about), before, neck)
    if piece is not None and _is_beside(piece, before, usual, scene.pixel_mm):
        return _in_slice(piece, window, last.shape)
    return None


def _window(section: Mask, pixel_mm: Sequence[float]) -> tuple[slice, slice]:
    rows, columns = (np.flatnonzero(section.any(axis=1 - axis)) for axis in (0, 1))
    margin = int(WINDOW_MM / pixel_mm[0])
    first, second = (
        slice(max(0, int(used[0]) - margin), int(used[-1]) + margin + 1) for used in (rows, columns)
    )
    return first, second


def _in_slice(piece: Mask, window: tuple[slice, slice], shape: tuple[int, ...]) -> Mask:
    section = np.zeros(shape, np.bool_)
    section[window] = piece
    return section


def _piece(tissue: Mask, before: Mask, neck: Mask) -> Mask | None:
    """That which shares most with the last section, holes filled, bridges cut."""
    opened = ndimage.binary_opening(ndimage.binary_fill_holes(tissue), neck)
    pieces, count = ndimage.label(opened)
    shared = np.bincount(pieces[before], minlength=count + 1)
    shared[0] = 0
    if not shared.any():
        return None
    piece: Mask = pieces == shared.argmax()
    return piece


def _is_alone(piece: Mask, before: Mask, usual: float, pixel_mm: Sequence[float]) -> bool:
    area = piece.sum()
    shared = (piece & before).sum()
    at_border = any(edge.any() for edge in (piece[0], piece[-1], piece[:, 0], piece[:, -1]))
    long, full = _shape(piece, pixel_mm)
    return (
        ALONE_AREA[0] * usual <= area <= ALONE_AREA[1] * usual
        and shared >= ALONE_SHARED * min(area, before.sum())
        and long <= ALONE_LONG
        and full >= ALONE_FULL
        and not at_border
    )


def _is_beside(piece: Mask, before: Mask, usual: float, pixel_mm: Sequence[float]) -> bool:
    area = piece.sum()
    long, _ = _shape(piece, pixel_mm)
    return (
        BESIDE_AREA[0] * usual <= area <= BESIDE_AREA[1] * usual
        and (piece & before).sum() >= BESIDE_SHARED * before.sum()
        and long <= BESIDE_LONG
    )


def _shape(piece: Mask, pixel_mm: Sequence[float]) -> tuple[float, float]:
    """Its length in breadths, and its area as a part of the ellipse with the same moments."""
    places_mm = np.argwhere(piece) * np.asarray(pixel_mm)
    if len(places_mm) < LEAST_SLICES:
        return np.inf, 0.0
    narrow, wide = np.maximum(np.linalg.eigvalsh(np.cov(places_mm.T)), 1e-6)
    ellipse_mm2 = 4 * np.pi * np.sqrt(narrow * wide)
    return float(np.sqrt(wide / narrow)), float(len(places_mm) * np.prod(pixel_mm) / ellipse_mm2)


def _disc(radius_mm: float, pixel_mm: Sequence[float]) -> Mask:
    reach = [int(radius_mm / step) for step in pixel_mm]
    rows, columns = np.mgrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    disc: Mask = np.hypot(rows * pixel_mm[0], columns * pixel_mm[1]) <= radius_mm + 1e-6
    return disc
