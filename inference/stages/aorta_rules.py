"""What is known of any aorta: it lies along the vena cava, does not narrow to half before it parts, and fills its calcified wall."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage, spatial

Mask = npt.NDArray[np.bool_]

FARTHEST_ASIDE_MM = 100.0
"""In the plane, between the middles of a piece and of the vena cava: a muscle of the flank was the larger piece."""
NARROW, ABOVE_MM = 0.5, 30.0
"""Part of the usual section over so much of the aorta above: one iliac artery has a third, and a coarse grid lets every end run out."""

CALCIUM_HU, ABOVE_BLOOD_HU, LEAST_CALCIUM = 130.0, 90.0, 0.03
"""Brighter than both is calcium; so much of a section makes it one with a calcified wall."""
CALM_PIXELS, NO_FAT_HU = 3, -20.0


def along_the_cava(
    aorta: Mask, cava_rc: npt.NDArray[np.float64] | None, pixel_mm: Sequence[float]
) -> Mask:
    """Without pieces far aside of the vena cava, whose middle is given, unless all are: then it is that which may be wrong."""
    if cava_rc is None:
        return aorta
    pieces, count = ndimage.label(aorta)
    numbers = np.arange(1, count + 1)
    middles = np.reshape(ndimage.center_of_mass(aorta, pieces, numbers), (count, 3))
    aside_mm = np.linalg.norm((middles[:, 1:] - cava_rc) * np.asarray(pixel_mm), axis=1)
    near = aside_mm <= FARTHEST_ASIDE_MM
    if not near.any():
        return aorta
    kept: Mask = np.isin(pieces, numbers[near])
    return kept


def ended_where_it_parts(aorta: Mask, slice_mm: float) -> Mask:
    """Without its lowest slices as long as they hold less than half of what those above hold; slices run upwards."""
    sections = aorta.sum(axis=(1, 2))
    reach = max(1, round(ABOVE_MM / slice_mm))
    ended = aorta.copy()
    for k in np.flatnonzero(sections):
        above = sections[k + 1 : k + 1 + reach]
        above = above[above > 0]
        if not above.size or sections[k] >= NARROW * np.median(above):
            break
        ended[k] = False
    return ended


def within_its_calcified_wall(
    aorta: Mask, hu: npt.NDArray[np.int16] | npt.NDArray[np.float32]
) -> Mask:
    """With what lies between the parts of a section that has calcium in its wall: without contrast the blood behind it was
    called background. Fat is left out, as beside the spine."""
    filled = aorta.copy()
    blood_hu = float(np.median(hu[aorta])) if aorta.any() else 0.0
    for k in np.flatnonzero(aorta.any(axis=(1, 2))):
        calcium = ndimage.binary_dilation(aorta[k]) & (
            hu[k] > max(CALCIUM_HU, blood_hu + ABOVE_BLOOD_HU)
        )
        if calcium.sum() >= LEAST_CALCIUM * aorta[k].sum():
            calm = ndimage.uniform_filter(hu[k].astype(np.float32), CALM_PIXELS)
            filled[k] |= _hull(aorta[k]) & (calm > NO_FAT_HU)
    return filled


def _hull(section: Mask) -> Mask:
    corners = np.argwhere(section)
    try:
        triangles = spatial.Delaunay(corners)
    except spatial.QhullError:
        # Fewer than three pixels, or all in a row.
        return section
    rows, columns = np.indices(section.shape)
    inside: Mask = triangles.find_simplex(np.stack([rows, columns], axis=-1)) >= 0
    return inside
