"""Whether the steps between slices are even, differ although no slice is missing, or leave a gap.

The rule and its reasons: docs/decisions/0015-variable-slice-spacing.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

STEP_TOLERANCE_MM = 0.11
"""Scanners round positions to 0.1 mm (and floats a little more)."""
STEP_TOLERANCE_FRACTION = 0.02
JITTER_FRACTION = 0.25
"""Of the median step: two steps in place of one make at least 1.5 of it, so within this nothing is missing."""
MIN_BLOCK_STEPS = 5
"""Fewer steps of one width are no protocol, but slices that were lost."""
MAX_BLOCKS = 6
COVERED_FRACTION = 1.1
"""Of the mean thickness of two slices: a wider step leaves anatomy between them that none of them shows."""

Steps = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnevenSteps:
    """What is known of steps that are not even."""

    step_mm: float
    """Of the finest block, or the median where all are nearly of one width."""
    doubt: str = ""
    """Why a slice may be missing; empty where none is."""


def step_tolerance_mm(typical_mm: float) -> float:
    """How much a step may differ from others of its width."""
    return max(STEP_TOLERANCE_MM, STEP_TOLERANCE_FRACTION * typical_mm)


def is_even(along_mm: Steps) -> bool:
    """Whether ascending positions lie on a regular grid."""
    steps = np.diff(along_mm)
    # Not the median: 2.5 mm rounded to tenths is 2.4 and 2.6 mm by turns.
    mean = float(steps.mean())
    even = np.linspace(along_mm[0], along_mm[-1], len(along_mm))
    # Small steps that all err to one side drift away from a regular grid.
    has_drift = np.abs(along_mm - even).max() > mean / 4
    return bool(np.abs(steps - mean).max() <= step_tolerance_mm(mean)) and not has_drift


def uneven_steps(
    along_mm: Steps,
    thickness_mm: Sequence[float | None],
    image_numbers: Sequence[int | None] = (),
) -> UnevenSteps:
    """What ascending positions that are not even can be: blocks of different steps, jitter, or a gap."""
    steps = np.diff(along_mm)
    typical = float(np.median(steps))
    if np.abs(steps - typical).max() <= JITTER_FRACTION * typical:
        return UnevenSteps(step_mm=typical)
    blocks = _blocks(steps)
    widths = [float(np.median(steps[block])) for block in blocks]
    finest = min(widths, default=typical)
    doubt = (
        _doubt_of_blocks(steps, blocks, widths)
        or _doubt_of_cover(steps, thickness_mm)
        or _doubt_of_numbers(blocks, widths, image_numbers)
    )
    return UnevenSteps(step_mm=finest, doubt=doubt)


def _blocks(steps: Steps) -> list[slice]:
    """Runs of even steps, in order; steps outside them are left over."""
    blocks, first = [], 0
    while first < len(steps):
        end = first + 1
        while end < len(steps) and _is_of_one_width(steps[first : end + 1]):
            end += 1
        if end - first >= MIN_BLOCK_STEPS:
            blocks.append(slice(first, end))
            first = end
        else:
            first += 1
    return blocks


def _is_of_one_width(steps: Steps) -> bool:
    typical = float(np.median(steps))
    return float(np.ptp(steps)) <= min(2 * step_tolerance_mm(typical), typical / 2)


def _doubt_of_blocks(steps: Steps, blocks: Sequence[slice], widths: Sequence[float]) -> str:
    """Blocks must follow each other with at most one step between them, no wider than its neighbours."""
    if not blocks or blocks[0].start > 0 or blocks[-1].stop < len(steps):
        return f"not in blocks of at least {MIN_BLOCK_STEPS} even steps"
    if len(blocks) > MAX_BLOCKS:
        return f"in {len(blocks)} blocks"
    for number, (below, above) in enumerate(pairwise(blocks)):
        between = steps[below.stop : above.start]
        if len(between) > 1:
            return f"not in blocks of at least {MIN_BLOCK_STEPS} even steps"
        widest = max(widths[number : number + 2])
        # A lost slice makes a step wider than those on both sides; slabs that overlap make one narrower.
        if len(between) and between[0] > widest + step_tolerance_mm(widest):
            return f"one of {between[0]:.2f} mm between blocks"
    return ""


def _doubt_of_cover(steps: Steps, thickness_mm: Sequence[float | None]) -> str:
    known = [abs(mm) for mm in thickness_mm if mm]
    if len(known) < len(steps) + 1:
        return "of slices that do not state their thickness"
    thick = np.array(known)
    covered = (thick[:-1] + thick[1:]) / 2
    if np.any(steps > COVERED_FRACTION * covered):
        return f"up to {(steps - covered).max():.2f} mm wider than the slices are thick"
    return ""


def _doubt_of_numbers(
    blocks: Sequence[slice], widths: Sequence[float], image_numbers: Sequence[int | None]
) -> str:
    """Overlapping slices of which every other one is lost cover everything, but their numbers skip."""
    known = [number for number in image_numbers if number is not None]
    if not known or len(known) < len(image_numbers):
        return ""
    skips = np.diff(known)
    if not (np.all(skips > 0) or np.all(skips < 0)):
        return ""
    by_width = [
        float(np.median(np.abs(skips[block])))
        for _, block in sorted(zip(widths, blocks, strict=True), key=lambda pair: pair[0])
    ]
    return "with image numbers missing where they are wide" if max(by_width) > by_width[0] else ""
