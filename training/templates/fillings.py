"""What label maps leave out of the back, the chest wall and the pelvis, set into a template's layers in place."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from training.synthetic.labels import Tissue
from training.templates.template import CANAL_CODE, Codes

Mask = npt.NDArray[np.bool_]

INTERCOSTAL_REACH_MM = 26.0
"""Ribs follow each other within this height."""
RIB_BREADTH_MM = 2.6
CLOSING_MM = 7.0
WIDE_CLOSING_MM = 14.0
PELVIC_LINING_MM = 4.0
THIGH_MM = 38.0
"""How far the thigh's muscles reach from the femur at the map's lower end; less towards the hip."""
WIDENED = (Tissue.ERECTOR_SPINAE, Tissue.PSOAS)
WIDENED_MM = 1.6
QUADRATUS_MM = (17.0, 7.5)
CHEST_LUNG_MM2 = 12_000.0
BED = (
    Tissue.ERECTOR_SPINAE,
    Tissue.PSOAS,
    Tissue.QUADRATUS_LUMBORUM,
    Tissue.INTERMUSCULAR_FAT,
)
BED_REACH_MM = 10.0


def fill_back(frame: Codes, known: Mask, parts: Codes, step_mm: float) -> None:
    """Quadratus lumborum, and the fat between the muscles of the back."""
    _quadratus(frame, known, parts, step_mm)
    _widen(frame, known, step_mm)
    bone = (parts > 0) & (parts <= CANAL_CODE)
    muscle = np.isin(frame, (Tissue.ERECTOR_SPINAE, Tissue.QUADRATUS_LUMBORUM))
    group = bone | muscle | (frame == Tissue.PSOAS)
    wide = group | (frame == Tissue.RIB_TRABECULAR)
    for k in np.flatnonzero(muscle.any(axis=(1, 2))):
        free = (frame[k] == 0) & ~known[k]
        covered = np.maximum.accumulate(group[k][::-1], axis=0)[::-1]
        within = _closed(group[k], CLOSING_MM / step_mm)
        within |= _closed(wide[k], WIDE_CLOSING_MM / step_mm) & covered
        frame[k][free & within] = Tissue.INTERMUSCULAR_FAT


def _closed(mask: Mask, reach: float) -> Mask:
    """Gaps of a plane up to twice the reach filled."""
    border = round(reach) + 1
    far = ndimage.distance_transform_edt(~np.pad(mask, border))
    closed: Mask = ndimage.distance_transform_edt(far <= reach) > reach
    return closed[border:-border, border:-border]


def _widen(frame: Codes, known: Mask, step_mm: float) -> None:
    """Muscles of the back reach a little farther than their masks: they touch bone and each other."""
    box = ndimage.find_objects(np.isin(frame, WIDENED).astype(np.uint8))
    if not box:
        return
    part = frame[box[0]]
    for tissue in WIDENED:
        near = ndimage.distance_transform_edt(part != tissue) * step_mm <= WIDENED_MM
        part[near & (part == 0) & ~known[box[0]]] = tissue


def _quadratus(frame: Codes, known: Mask, parts: Codes, step_mm: float) -> None:
    """A flat ellipse in front of the outer edge of each erector spinae, beside the psoas above the pelvis."""
    rows = np.arange(frame.shape[1], dtype=np.float32)[:, None]
    columns = np.arange(frame.shape[2], dtype=np.float32)[None, :]
    spine = np.argwhere((parts > 0) & (parts < CANAL_CODE))
    middle = float(spine[:, 2].mean())
    psoas = (frame == Tissue.PSOAS).any(axis=(1, 2))
    pelvis = (frame == Tissue.PELVIS_TRABECULAR).sum(axis=(1, 2)) * step_mm**2 > 150
    slices = np.flatnonzero(psoas & ~pelvis)
    for side in (-1.0, 1.0):
        edges = np.array([_outer_edge(frame[k], columns, middle, side) for k in slices])
        seen = np.isfinite(edges).all(axis=1) if len(edges) else np.zeros(0, bool)
        if seen.sum() < 3:
            continue
        smooth = ndimage.gaussian_filter1d(edges[seen], 9 / step_mm, axis=0)
        for place, (k, (top, edge)) in enumerate(zip(slices[seen], smooth, strict=True)):
            thick = np.interp(
                place / max(1, seen.sum() - 1), [0, 0.3, 0.8, 1], [0.6, 1.0, 0.9, 0.6]
            )
            turned = np.radians(25) * side
            dx = (columns - edge + side * 3 / step_mm) * step_mm
            dy = (rows - top) * step_mm + 4.5
            u = dx * np.cos(turned) + dy * np.sin(turned)
            v = dy * np.cos(turned) - dx * np.sin(turned)
            long_mm, short_mm = (axis * thick for axis in QUADRATUS_MM)
            inside = (u / long_mm) ** 2 + (v / short_mm) ** 2 < 1
            frame[k][inside & ~known[k]] = Tissue.QUADRATUS_LUMBORUM


def _outer_edge(
    plane: Codes, columns: npt.NDArray[np.float32], middle: float, side: float
) -> tuple[float, float]:
    """Front row and column of the outermost part of one erector spinae."""
    r, c = np.nonzero((plane == Tissue.ERECTOR_SPINAE) & ((columns - middle) * side > 0))
    if len(r) < 8:
        return np.nan, np.nan
    edge = float(np.percentile(c * side, 92)) * side
    return float(r[np.abs(c - edge) < 6].min()), edge


def fill_chest(frame: Codes, viscera: Codes, known: Mask, step_mm: float) -> None:
    """Muscle between the ribs, fat of the mediastinum."""
    rib = np.isin(frame, (Tissue.RIB_TRABECULAR, Tissue.COSTAL_CARTILAGE))
    reach = round(INTERCOSTAL_REACH_MM / step_mm)
    # Ribs lean outwards on their way down: without some breadth a column meets only one of two.
    broad = np.stack(
        [_far_mm(plane, step_mm) < RIB_BREADTH_MM if plane.any() else plane for plane in rib]
    )
    above, below = np.zeros_like(rib), np.zeros_like(rib)
    for step in range(1, reach + 1):
        above[:-step] |= broad[step:]
        below[step:] |= broad[:-step]
    between = above & below & ~known & (frame == 0)
    frame[between] = Tissue.INTERCOSTAL
    lung_mm2 = (viscera == Tissue.LUNG).sum(axis=(1, 2)) * step_mm**2
    chest = np.flatnonzero(lung_mm2 > CHEST_LUNG_MM2)
    middle = np.zeros_like(known)
    middle[chest] = True
    viscera[middle & ~known & (viscera == 0)] = Tissue.MEDIASTINAL_FAT


def fill_pelvis(frame: Codes, known: Mask, step_mm: float) -> None:
    """Muscle on the inner side of the hip bones and round the femora, fat between the gluteal muscles."""
    bone = np.isin(frame, (Tissue.PELVIS_TRABECULAR, Tissue.FEMUR_TRABECULAR))
    gluteal = bone | (frame == Tissue.GLUTEAL)
    if not gluteal.any():
        return
    top = int(np.flatnonzero(gluteal.any(axis=(1, 2)))[-1]) + 1
    free = (frame[:top] == 0) & ~known[:top]
    closed = np.stack([_closed(plane, CLOSING_MM / step_mm) for plane in gluteal[:top]])
    frame[:top][free & closed] = Tissue.INTERMUSCULAR_FAT
    to_bone = _far_mm(bone[:top], step_mm)
    frame[:top][free & (to_bone < PELVIC_LINING_MM)] = Tissue.GLUTEAL
    femur = frame[:top] == Tissue.FEMUR_TRABECULAR
    if femur.any():
        slices = np.flatnonzero(femur.any(axis=(1, 2)))
        share = (slices[-1] - np.arange(top)) / max(1, slices[-1] - slices[0])
        reach_mm = THIGH_MM * np.clip(1.4 * share - 0.2, 0, 1)
        thigh = free & (_far_mm(femur, step_mm) < reach_mm[:, None, None])
        frame[:top][thigh & (frame[:top] == 0)] = Tissue.GLUTEAL


def fill_bed(frame: Codes, spine: Mask, step_mm: float) -> None:
    """What lies where the vertebrae were, so that others can be set: the muscle or fat next to them."""
    box = ndimage.find_objects(spine.astype(np.uint8))[0]
    wide = tuple(slice(max(s.start - 8, 0), s.stop + 8) for s in box)
    donors = np.isin(frame[wide], BED)
    if donors.any():
        far, nearest = ndimage.distance_transform_edt(~donors, return_indices=True)
        taken = frame[wide][tuple(nearest)]
        within = spine[wide] & (far * step_mm < BED_REACH_MM)
        frame[wide][within] = taken[within]
    left = spine & (frame == 0)
    frame[left] = Tissue.INTERMUSCULAR_FAT


def _far_mm(mask: Mask, step_mm: float) -> npt.NDArray[np.float64]:
    return np.asarray(ndimage.distance_transform_edt(~mask) * step_mm)
