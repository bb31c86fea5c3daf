"""A vessel that is one tube along the body: of each slice the piece that goes on from the slice before it."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]


def one_tube(mask: Mask) -> Mask:
    """What lies beside the tube in a slice is dropped, and what nothing of it leads to; slices in which it is not seen are passed.

    The crus of a diaphragm was called vena cava beside the vein itself: joined to it in one slice, it is no piece of its own.
    """
    kept = np.zeros_like(mask)
    areas = mask.sum(axis=(1, 2))
    if not areas.any():
        return kept
    planes = [ndimage.label(plane)[0] for plane in mask]
    largest = [int(np.bincount(plane.ravel())[1:].max(initial=0)) for plane in planes]
    start = int(np.argmax(largest))
    kept[start] = planes[start] == 1 + int(np.bincount(planes[start].ravel())[1:].argmax())
    for slices in (range(start + 1, len(mask)), range(start - 1, -1, -1)):
        before = kept[start]
        for k in slices:
            shared = np.bincount(planes[k][before].ravel(), minlength=2)[1:]
            if shared.any():
                before = kept[k] = planes[k] == 1 + int(shared.argmax())
    return kept
