"""How well a mask agrees with the truth: Dice, IoU, surface Dice (NSD) and HD95 by MONAI, empty masks decided here.

Where the truth and the answer are both empty nothing was to be found and nothing is scored (None). Where one of them is
empty Dice, IoU and NSD are 0, and HD95, a distance to nothing, is None and counted as such (Maier-Hein et al., Metrics
Reloaded, Nature Methods 2024: neither infinity nor the largest distance may enter a mean).
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from monai.metrics import compute_hausdorff_distance
from monai.metrics.surface_dice import compute_surface_dice

Mask = npt.NDArray[np.bool_]

PERCENTILE = 95.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskScore:
    """One structure of one case."""

    dice: float | None
    iou: float | None
    nsd: float | None
    """Share of both surfaces that lie within the tolerance of the other."""
    hd95_mm: float | None
    truth_voxels: int
    found_voxels: int

    @property
    def is_missed(self) -> bool:
        """It is there and nothing was found."""
        return self.truth_voxels > 0 and self.found_voxels == 0

    @property
    def is_invented(self) -> bool:
        """It is not there and something was found."""
        return self.truth_voxels == 0 and self.found_voxels > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceErrors:
    """Of a slice search over several cases, in slices: found minus true."""

    mean_absolute: float
    sd_absolute: float
    median_absolute: float
    slope: float
    """Of the line through found against true places; 1 is perfect."""
    intercept: float
    r_squared: float


@cache
def tolerances_mm() -> Mapping[str, float]:
    """By structure; see tolerances.toml for where they come from."""
    path = Path(__file__).with_name("tolerances.toml")
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    return {**tables["tolerance_mm"], **tables["chosen_here_mm"]}


def score_mask(
    found: Mask, truth: Mask, spacing_mm: Sequence[float], tolerance_mm: float
) -> MaskScore:
    """Masks of two or three dimensions on one grid; a plane has no subvoxel surface and is scored by its edge pixels."""
    if found.shape != truth.shape:
        raise ValueError(f"found masks of {found.shape} and {truth.shape}; wanted one shape")
    sizes = {"truth_voxels": int(truth.sum()), "found_voxels": int(found.sum())}
    if not truth.any() and not found.any():
        return MaskScore(dice=None, iou=None, nsd=None, hd95_mm=None, **sizes)
    if not truth.any() or not found.any():
        return MaskScore(dice=0.0, iou=0.0, nsd=0.0, hd95_mm=None, **sizes)
    common = int((found & truth).sum())
    union = sum(sizes.values()) - common
    both = [torch.from_numpy(mask)[None, None] for mask in (found, truth)]
    spacing = tuple(float(step) for step in spacing_mm)
    nsd = compute_surface_dice(
        *both,
        class_thresholds=[tolerance_mm],
        include_background=True,
        spacing=spacing,
        use_subvoxels=found.ndim == 3,
    )
    hd95 = compute_hausdorff_distance(
        *both, include_background=True, percentile=PERCENTILE, spacing=spacing
    )
    return MaskScore(
        dice=2 * common / sum(sizes.values()),
        iou=common / union,
        nsd=float(nsd),
        hd95_mm=float(hd95),
        **sizes,
    )


def slice_errors(found: Sequence[float], true: Sequence[float]) -> SliceErrors:
    """Places of a slice in several cases, in slices."""
    answers, places = np.asarray(found, np.float64), np.asarray(true, np.float64)
    if answers.shape != places.shape or answers.size < 2:
        raise ValueError(
            f"found {answers.size} answers to {places.size} places; wanted as many, two at least"
        )
    error = np.abs(answers - places)
    slope = intercept = r_squared = float("nan")
    if np.ptp(places) > 0:
        slope, intercept = (float(v) for v in np.polyfit(places, answers, 1))
        residual = answers - (slope * places + intercept)
        spread = float(((answers - answers.mean()) ** 2).sum())
        r_squared = 1 - float((residual**2).sum()) / spread if spread > 0 else float("nan")
    return SliceErrors(
        mean_absolute=float(error.mean()),
        sd_absolute=float(error.std(ddof=1)),
        median_absolute=float(np.median(error)),
        slope=slope,
        intercept=intercept,
        r_squared=r_squared,
    )
