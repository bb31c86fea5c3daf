"""How deep a voxel lies inside its own organ, muscle or bone."""

import numpy as np
from scipy import ndimage

from training.templates.template import DEPTH_STEPS_PER_MM, Codes


def depth_of(codes: Codes, step_mm: float) -> Codes:
    """Distance to the border of the own code: the surface lies half a voxel outside the outermost centres."""
    depth = np.zeros(codes.shape, np.uint8)
    boxes = ndimage.find_objects(codes)
    for code, box in enumerate(boxes, start=1):
        if not box:
            continue
        wide = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
        inside = codes[wide] == code
        # At the map's two ends an organ goes on: only a true border makes it shallow.
        padded = np.pad(
            np.pad(inside, ((1, 1), (0, 0), (0, 0)), mode="edge"), ((0, 0), (1, 1), (1, 1))
        )
        far = ndimage.distance_transform_edt(padded)[1:-1, 1:-1, 1:-1]
        mm = np.clip((far - 0.5) * step_mm * DEPTH_STEPS_PER_MM, 0, 255)
        depth[wide] = np.where(inside, mm, depth[wide])
    return depth
