"""What is wrong with the slices at L3 themselves, as sentences: cut by the field, arms, couch, metal, noise."""

from collections.abc import Iterable

import numpy as np
from scipy import ndimage

from inference.stages.trunk import Mask, Slice, Trunk, trunk_in

CUT_MM = 5.0
"""Of the outline at the edge of the field, before it is said."""
ROUND_SHARE = 0.95
"""Of its circle that a round field fills; a body cut out of its background fills less."""
METAL_HU = 2000.0
"""Cortical bone and calcifications stay below."""
METAL_CM2 = 0.1
NOISE_HU = 40.0
"""With this SD one voxel in twenty of fat (-105 HU) leaves its window, and of muscle (55 HU) one in forty."""
NOISE_WINDOW_MM = 6.0
CALM_PERCENT = 25
"""Of the places in the trunk: edges and vessels vary by more than noise."""


def slice_flags(hu: Slice, near: Iterable[Slice], spacing_mm: tuple[float, float]) -> list[str]:
    """Of the slice at L3 [row, column], and of those over the height of the body around it."""
    trunk = trunk_in(hu, spacing_mm)
    return [
        *_field_flags(hu, trunk.mask, spacing_mm),
        *_beside_flags(trunk),
        *_metal_flags([hu, *near], spacing_mm),
        *_noise_flags(noise_hu(hu, trunk.mask, spacing_mm)),
    ]


def cut_share(hu: Slice, trunk: Mask, spacing_mm: tuple[float, float]) -> tuple[float, float]:
    """How much of the trunk's outline the field of view cuts, in mm and as a share."""
    outline = trunk & ~ndimage.binary_erosion(trunk)
    # A round edge runs through pixels; the picture's edge does not.
    beyond = ndimage.binary_dilation(_outside_round_field(hu), iterations=2)
    beyond[[0, -1]] = beyond[:, [0, -1]] = True
    at_edge = outline & beyond
    length_mm = float(at_edge.sum()) * float(np.mean(spacing_mm))
    return length_mm, float(at_edge.sum()) / max(int(outline.sum()), 1)


def noise_hu(hu: Slice, trunk: Mask, spacing_mm: tuple[float, float]) -> float:
    """SD within small places of even tissue; 0 where there is no trunk."""
    values = hu.astype(np.float64)
    size = [max(3, round(NOISE_WINDOW_MM / step)) for step in spacing_mm]
    mean = ndimage.uniform_filter(values, size)
    variance = np.maximum(ndimage.uniform_filter(values**2, size) - mean**2, 0.0)
    inside = ndimage.binary_erosion(trunk, iterations=max(size)) & (np.abs(mean) < 200)
    if not inside.any():
        return 0.0
    # A window of n voxels takes one degree of freedom for its own mean.
    n = float(np.prod(size))
    return float(np.sqrt(np.percentile(variance[inside], CALM_PERCENT) * n / (n - 1)))


def _outside_round_field(hu: Slice) -> Mask:
    """What a scanner filled in around its round field; nothing where there is no such circle."""
    # Single voxels of air may be as low, and join it.
    calm = ndimage.binary_dilation(ndimage.binary_erosion(hu == hu.min(), border_value=1))
    constant, count = ndimage.label(calm)
    corners = set(constant[[0, 0, -1, -1], [0, -1, 0, -1]].tolist()) - {0}
    nothing = np.zeros(hu.shape, np.bool_)
    outside: Mask = np.isin(constant, list(corners)) if count and corners else nothing
    rows, columns = np.nonzero(~outside)
    if not outside.any() or not rows.size:
        return nothing
    middle = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    i, j = np.indices(hu.shape)
    far2 = (i - middle[0]) ** 2 + (j - middle[1]) ** 2
    circle = far2 <= far2[~outside].max()
    is_round = (~outside).sum() >= ROUND_SHARE * circle.sum()
    return outside if is_round else nothing


def _field_flags(hu: Slice, trunk: Mask, spacing_mm: tuple[float, float]) -> list[str]:
    length_mm, share = cut_share(hu, trunk, spacing_mm)
    if length_mm < CUT_MM:
        return []
    percent = max(1, round(100 * share))
    return [
        f"body clipped by the field of view at L3, {percent} % of its outline: areas are too small"
    ]


def _beside_flags(trunk: Trunk) -> list[str]:
    flags = []
    if trunk.is_touched_by_arm:
        flags.append("an arm touches the trunk at L3: it was left out, areas beside it may be off")
    elif trunk.arms.any():
        flags.append("an arm lies beside the trunk at L3: left out, its shadow may shift densities")
    if trunk.is_touched_by_couch:
        flags.append("couch or bedding lies against the body at L3: left out, fat there may be off")
    return flags


def _metal_flags(slices: Iterable[Slice], spacing_mm: tuple[float, float]) -> list[str]:
    pixel_cm2 = spacing_mm[0] * spacing_mm[1] / 100
    most_cm2 = max(float((hu > METAL_HU).sum()) * pixel_cm2 for hu in slices)
    if most_cm2 < METAL_CM2:
        return []
    return [
        f"metal near L3, {most_cm2:.1f} cm² above 2000 HU: streaks may shift areas and densities"
    ]


def _noise_flags(noise: float) -> list[str]:
    if noise < NOISE_HU:
        return []
    return [f"very noisy images at L3, SD {noise:.0f} HU: areas may be too small"]
