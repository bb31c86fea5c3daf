"""Where patches of a volume lie; nnU-Net's rule at half a patch (compute_steps_for_sliding_window), for our own networks, too."""

import math


def patch_starts(size: int, patch: int) -> list[int]:
    """First voxels of patches that cover `size`, overlapping by at least half; one patch when it fits."""
    if size <= patch:
        return [0]
    count = math.ceil((size - patch) / (patch / 2)) + 1
    return [round(i * (size - patch) / (count - 1)) for i in range(count)]
