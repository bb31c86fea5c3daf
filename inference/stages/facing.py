"""Whether the body lies as the header says: its spine in the rear half."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from inference.domain.volume import Volume, slice_z_mm

Mask = npt.NDArray[np.bool_]

TURNED = "the spine lies in the front half of the body: the images contradict their patient position, sides and areas may be wrong"

STEP_MM = 4.0
"""A vertebral body is ten times as large; finer steps tell no more and cost their cube."""
BODY_HU = -300.0
"""Between lung or air and fat."""
BONE_HU = 200.0
"""Above muscle and veins in contrast; arteries that are denser are shorter than the spine."""
BAND_MM = 45.0
"""To either side of the body's middle; ribs and hips lie farther out."""
COUCH_MM = 12.0
"""What is thinner is a couch's shell or a sheet."""
EDGE_MM = 12.0
"""A body nearer to the picture's edge may go on beyond it, and its front or back is not known."""
REACH_MM = 90.0
"""From L3: farther up the heart's chambers are as dense as bone, farther down the pubic bones lie in front."""
LEAST_JUDGED_MM = 40.0
"""A vertebra and a disc: fewer slices may hold nothing of the column but a process or a rib."""
TURNED_BELOW = 0.48
"""Near L3 painted patients have their spine at 0.54 to 0.74 of the way from front to back, turned ones at 0.25 to 0.46 (docs/results/facing.md)."""


def is_turned(upright: Volume, l3_mm: float) -> bool:
    """Whether a canonical volume shows the body turned by half a turn against its header; False where nothing tells."""
    share = spine_depth_share(upright, l3_mm)
    return share is not None and share < TURNED_BELOW


def spine_depth_share(upright: Volume, l3_mm: float) -> float | None:
    """How far behind the front of the body the spine lies near L3, as a share of the body's depth; None where it cannot be said."""
    strides = [max(1, round(STEP_MM / step)) for step in upright.spacing_mm]
    near = np.abs(slice_z_mm(upright)[:: strides[0]] - l3_mm) <= REACH_MM
    hu = upright.hu[:: strides[0], :: strides[1], :: strides[2]][near]
    z_mm, y_mm, x_mm = (n * step for n, step in zip(strides, upright.spacing_mm, strict=True))
    bodies = [_body(one > BODY_HU, (y_mm, x_mm)) for one in hu]
    middles = [_middle(np.flatnonzero(body.any(axis=0))) for body in bodies if body.any()]
    if not middles:
        return None
    middle, reach = np.median(middles), BAND_MM / x_mm
    band = slice(max(0, int(middle - reach)), int(middle + reach) + 1)
    spine = _longest(hu[:, :, band] > BONE_HU)
    shares = [
        _share(bone, body[:, band], max(1, round(EDGE_MM / y_mm)))
        for bone, body in zip(spine, bodies, strict=True)
    ]
    judged = [share for share in shares if share is not None]
    if len(judged) * z_mm < LEAST_JUDGED_MM:
        return None
    return float(np.median(judged))


def _body(dense: Mask, step_mm: tuple[float, float]) -> Mask:
    """The largest thing in a slice that is thicker than a couch's shell."""
    size = [max(1, round(COUCH_MM / step)) for step in step_mm]
    solid = ndimage.binary_opening(dense, np.ones(size))
    pieces, count = ndimage.label(solid)
    if count == 0:
        return np.zeros_like(dense)
    largest: Mask = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    return largest


def _middle(places: npt.NDArray[np.intp]) -> float:
    return float(places[0] + places[-1]) / 2


def _longest(bone: Mask) -> Mask:
    """Of the pieces near the middle the one with the greatest reach along the body, weighed by the root of its size: ribs of many slices are thin."""
    pieces, count = ndimage.label(bone, np.ones((3, 3, 3)))
    if count == 0:
        return np.zeros_like(bone)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1).astype(np.float64)
    reaches = [0] + [box[0].stop - box[0].start for box in ndimage.find_objects(pieces)]
    longest: Mask = pieces == 1 + int(np.argmax((np.array(reaches) * np.sqrt(sizes))[1:]))
    return longest


def _share(bone: Mask, body: Mask, edge: int) -> float | None:
    """Of one slice; None without bone, or where the picture's edge cuts the body."""
    rows, depths = np.flatnonzero(body.any(axis=1)), np.nonzero(bone)[0]
    if not depths.size or not rows.size:
        return None
    front, back = int(rows[0]), int(rows[-1])
    if front < edge or back >= len(body) - edge or front == back:
        return None
    return float((depths.mean() - front) / (back - front))
