"""The outline of a label map's trunk as distances from a smooth centre line, per slice and direction."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from inference.domain.errors import UnreadableInput
from training.synthetic.labels import Tissue
from training.templates.template import ANGLES, BIN_ANGLE_RAD, Codes, Float, angle_bin

HULL_SMOOTH_MM = 11.0
WAIST_MM = 90.0
CENTRE_SMOOTH_MM = 60.0
FEWEST_HULL_POINTS = 12
RIB_REACH_MM, RIB_EDGE_MM = 20.0, 16.0
NO_HULL_OF = (Tissue.FEMUR_TRABECULAR, Tissue.FEMUR_CORTICAL)
FLANK_RAD = float(np.radians(102))
"""From here backwards the cavity leaves the convex hull."""
WALL_BULGE = 0.2
"""How far the wall between flank and back stays outside the straight line, as a share of the hull's distance."""
BACK_MUSCLES = (Tissue.ERECTOR_SPINAE, Tissue.QUADRATUS_LUMBORUM)
MARGIN_MM = 2.0


def hull_of(known: npt.NDArray[np.bool_], frame: Codes, step_mm: float) -> tuple[Float, Float]:
    """The smooth centre line, and the distance from it to the convex hull in every direction."""
    trunk = known & ~np.isin(frame, NO_HULL_OF)
    slices = len(trunk)
    hulls: dict[int, ConvexHull] = {}
    middles = np.full((slices, 2), np.nan)
    for k in range(slices):
        points = np.argwhere(trunk[k])[:, ::-1] * step_mm
        if len(points) >= FEWEST_HULL_POINTS:
            try:
                hulls[k] = ConvexHull(points)
            except QhullError:
                continue
            middles[k] = (points.min(0) + points.max(0)) / 2
    if not hulls:
        raise UnreadableInput(
            found="a label map without a trunk",
            wanted="organs and bones of a torso",
            advice="Check the names of the classes: they must be TotalSegmentator's.",
        )
    have = np.array(sorted(hulls))
    every = np.arange(slices)
    centre = np.stack([np.interp(every, have, middles[have, axis]) for axis in (0, 1)], 1)
    centre = ndimage.gaussian_filter1d(centre, CENTRE_SMOOTH_MM / step_mm, axis=0, mode="nearest")
    rays = np.stack([np.sin(BIN_ANGLE_RAD), -np.cos(BIN_ANGLE_RAD)])
    radii = np.stack([_radii(hulls[k], centre[k], rays) for k in have])
    hull = np.stack([np.interp(every, have, radii[:, a]) for a in range(ANGLES)], 1)
    # Nothing labelled bears the wall of the waist between the ribs and the pelvis: it spans the gap.
    window = 2 * round(WAIST_MM / 2 / step_mm) + 1
    hull = 0.4 * hull + 0.6 * ndimage.grey_closing(hull, (window, 1), mode="nearest")
    hull = ndimage.gaussian_filter(hull, (HULL_SMOOTH_MM / step_mm, 1.5), mode=("nearest", "wrap"))
    return centre.astype(np.float32), hull.astype(np.float32)


def _radii(
    hull: ConvexHull, centre: npt.NDArray[np.float64], rays: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Where rays from a point inside a convex polygon leave it."""
    normals, offsets = hull.equations[:, :2], hull.equations[:, 2]
    room = -(normals @ centre + offsets)
    slope = normals @ rays
    with np.errstate(divide="ignore"):
        reach = np.where(slope > 1e-6, np.maximum(room, 0.0)[:, None] / slope, np.inf)
    return np.asarray(reach.min(axis=0), np.float64)


def ribbed_of(frame: Codes, centre: Float, hull: Float, step_mm: float) -> Float:
    """0..1: whether ribs or what is between them lie within RIB_REACH_MM of the hull."""
    result = np.zeros(hull.shape, np.uint8)
    rib = np.isin(frame, (Tissue.RIB_TRABECULAR, Tissue.INTERCOSTAL))
    k, bins, radius = _polar(rib, centre, step_mm)
    outer = radius > hull[k, bins] - RIB_REACH_MM
    result[k[outer], bins[outer]] = 1
    closed = ndimage.binary_closing(np.pad(result, 6, mode="wrap"), iterations=4)[6:-6, 6:-6]
    # The wall thins out towards the ribs; where they end at once the body would have a step.
    smooth = ndimage.gaussian_filter(
        closed.astype(np.float32), (RIB_EDGE_MM / step_mm, 3.0), mode=("nearest", "wrap")
    )
    return np.asarray(smooth, np.float32)


def _polar(
    mask: npt.NDArray[np.bool_], centre: Float, step_mm: float
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Slice, direction bin and distance of every voxel of a mask."""
    k, rows, columns = np.nonzero(mask)
    x, y = columns * step_mm - centre[k, 0], rows * step_mm - centre[k, 1]
    bins = np.rint(angle_bin(np.arctan2(x, -y))).astype(np.intp) % ANGLES
    return k, bins, np.hypot(x, y)


def cavity_of(
    frame: Codes,
    viscera: Codes,
    spine: npt.NDArray[np.bool_],
    outline: tuple[Float, Float],
    step_mm: float,
) -> Float:
    """The hull, drawn in between flank and back: straight to the outer edge of the back's muscles, then along their front.

    In the pelvis it follows the inner side of the hip bones.
    """
    centre, hull = outline
    back = np.isin(frame, BACK_MUSCLES)
    inside = _farthest((viscera > 0) | np.isin(frame, (Tissue.RIB_TRABECULAR,)), centre, step_mm)
    front = _nearest(back | spine, centre, step_mm)
    result = hull.copy()
    for k in np.flatnonzero(back.any(axis=(1, 2))):
        for side in (-1.0, 1.0):
            corner = _corner(back[k], centre[k], side, step_mm)
            if corner is not None:
                _draw_in(result[k], hull[k], front[k], corner, side)
    pelvis = np.isin(frame, (Tissue.PELVIS_TRABECULAR, Tissue.GLUTEAL))
    result = np.minimum(result, _nearest(pelvis, centre, step_mm) + MARGIN_MM)
    result = np.minimum(np.maximum(result, inside + MARGIN_MM), hull)
    smooth = ndimage.gaussian_filter(
        result, (HULL_SMOOTH_MM / step_mm, 1.5), mode=("nearest", "wrap")
    )
    return np.minimum(smooth, hull).astype(np.float32)


def _farthest(mask: npt.NDArray[np.bool_], centre: Float, step_mm: float) -> Float:
    k, bins, radius = _polar(mask, centre, step_mm)
    result = np.zeros((len(mask), ANGLES), np.float32)
    np.maximum.at(result, (k, bins), radius.astype(np.float32))
    return result


def _nearest(mask: npt.NDArray[np.bool_], centre: Float, step_mm: float) -> Float:
    k, bins, radius = _polar(mask, centre, step_mm)
    result = np.full((len(mask), ANGLES), np.inf, np.float32)
    np.minimum.at(result, (k, bins), radius.astype(np.float32))
    return result


def _corner(
    back: npt.NDArray[np.bool_], centre: Float, side: float, step_mm: float
) -> tuple[float, float] | None:
    """Angle and distance of the outer edge of one side's back muscles; None where there is little of them."""
    rows, columns = np.nonzero(back)
    x, y = columns * step_mm - centre[0], rows * step_mm - centre[1]
    own = x * side > 0
    if own.sum() < 12:
        return None
    x, y = x[own], y[own]
    edge = np.percentile(x * side, 96)
    near = np.abs(x * side - edge) < 6
    top = float(np.percentile(y[near], 25))
    if top <= 0:
        return None
    return float(np.arctan2(edge, -top)), float(np.hypot(edge, top))


def _draw_in(
    row: Float, hull: Float, front: Float, corner: tuple[float, float], side: float
) -> None:
    """One side of one slice, in place."""
    angle, radius = corner
    if angle <= FLANK_RAD:
        return
    turn = BIN_ANGLE_RAD * side
    flank_bin = int(np.argmin(np.abs(turn - FLANK_RAD)))
    start = hull[flank_bin] * np.array([np.sin(FLANK_RAD), -np.cos(FLANK_RAD)])
    end = radius * np.array([np.sin(angle), -np.cos(angle)])
    along = end - start
    normal = np.array([along[1], -along[0]])
    reach = float(normal @ start)
    between = (turn > FLANK_RAD) & (turn <= angle)
    rays = np.stack([np.sin(turn[between]), -np.cos(turn[between])])
    chord = (
        reach / np.minimum(normal @ rays, -1e-6)
        if reach < 0
        else reach / np.maximum(normal @ rays, 1e-6)
    )
    chord = np.clip(chord, 0, hull[between])
    row[between] = chord + WALL_BULGE * (hull[between] - chord)
    behind = turn > angle
    row[behind] = np.minimum(row[behind], np.maximum(front[behind], radius * 0.5) + MARGIN_MM)
