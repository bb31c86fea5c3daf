"""A body painted by hand, its tissues and a report that uses every field, for the picture page's tests."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from inference.domain.labelmap import FLARE22_ORGANS, TISSUES, LabelMap
from inference.domain.measurement import Level, Report
from inference.domain.outcome import Analysis
from inference.domain.volume import Volume, affine_from_axes
from tests.unit.inference.dicom.full_report import full_report

AXIAL = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
UPSIDE_DOWN = ((0.0, 0.0, -1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
SHAPE = (20, 96, 128)
LEVEL_INDEX = 6
"""Slice of the middle of L3, counted from the feet."""
BONE_ROW_COLUMN = (66, 64)


def body_volume(axes: npt.ArrayLike = AXIAL) -> Volume:
    """An ellipse of soft tissue in air with a bony spine behind its middle."""
    _, i, j = np.indices(SHAPE)
    inside = ((i - 48) / 40) ** 2 + ((j - 64) / 56) ** 2 < 1
    spine = (i - BONE_ROW_COLUMN[0]) ** 2 + (j - BONE_ROW_COLUMN[1]) ** 2 < 25
    hu = np.where(spine, 400, np.where(inside, 40, -1000)).astype(np.int16)
    if axes is UPSIDE_DOWN:
        hu = hu[::-1].copy()
    return Volume(hu=hu, affine_lps=affine_from_axes((-100.0, -80.0, 0.0), axes, (5.0, 2.0, 2.0)))


def body_analysis(volume: Volume, report: Report | None = None) -> Analysis:
    """One box per tissue in the L3 slice, one per organ above it."""
    tissues = np.zeros(SHAPE, np.uint8)
    organs = np.zeros(SHAPE, np.uint8)
    for number in range(1, len(TISSUES) + 1):
        tissues[LEVEL_INDEX, 30:60, 10 + 20 * number : 26 + 20 * number] = number
    for number in range(1, len(FLARE22_ORGANS) + 1):
        organs[10:14, 40:50, 15 + 6 * number : 20 + 6 * number] = number
    z_of_level = 5.0 * LEVEL_INDEX
    index = LEVEL_INDEX
    if volume.affine_lps[2, 0] < 0:
        tissues, organs = tissues[::-1].copy(), organs[::-1].copy()
        z_of_level -= 5.0 * (SHAPE[0] - 1)
        index = SHAPE[0] - 1 - LEVEL_INDEX
    level = Level(
        slice_index=index,
        z_mm=z_of_level,
        confidence=0.9,
        extent_mm=(z_of_level - 14, z_of_level + 14),
    )
    return Analysis(
        report=replace(report or full_report(), level=level),
        tissues=LabelMap(
            labels=tissues,
            affine_lps=volume.affine_lps,
            structures=dict(enumerate(TISSUES, start=1)),
        ),
        organs=LabelMap(
            labels=organs,
            affine_lps=volume.affine_lps,
            structures=dict(enumerate(FLARE22_ORGANS, start=1)),
        ),
    )
