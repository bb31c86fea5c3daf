"""The level among a volume's slices, and masks back in the scanner's own order."""

from dataclasses import replace

import numpy as np

from inference.domain.labelmap import LabelMap
from inference.domain.measurement import Level
from inference.domain.volume import Volume, axis_flips, flip
from inference.stages.decide_level import SpineLevel
from inference.stages.measure import slab_weights


def level_in(upright: Volume, spine: SpineLevel) -> Level:
    """The slice nearest to the middle of L3."""
    place = (spine.z_mm - upright.affine_lps[2, 3]) / upright.affine_lps[2, 0]
    return Level(
        slice_index=upright.slice_at(place),
        z_mm=spine.z_mm,
        confidence=spine.confidence,
        extent_mm=spine.extent_mm,
    )


def slices_of_interest(upright: Volume, level: Level) -> list[int]:
    """Slices that share in the L3 slab, and the neighbours of the middle one."""
    wanted = set(np.flatnonzero(slab_weights(upright, level.extent_mm) > 0).tolist())
    wanted |= {level.slice_index + step for step in (-1, 0, 1)}
    return sorted(k for k in wanted if 0 <= k < upright.shape[0])


def on_source_grid(volume: Volume, labels: LabelMap) -> LabelMap:
    """Labels of the canonical volume in the source volume's own order."""
    flips = axis_flips(volume.affine_lps)
    return replace(
        labels,
        labels=np.ascontiguousarray(flip(labels.labels, flips)),
        affine_lps=volume.affine_lps,
        slice_places=volume.slice_places,
    )
