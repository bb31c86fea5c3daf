"""Volumes put on the grids the networks want, and results brought back; shared by training, so that they cannot differ."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from inference.domain.volume import Affine, SlicePlaces, Volume, position_mm, slice_bounds

AIR_HU = -1000.0
BODY_THRESHOLD_HU = -300.0
"""Between air and fat: everything denser is patient, clothing or table."""

SLAB_VOXELS = 500_000
CALM_MM = 3.0

IN_PLANE = ndimage.generate_binary_structure(2, 1)[None]
"""A voxel and its four neighbours in its own slice."""

Float = npt.NDArray[np.float32]


def interpolation_matrix(
    n_in: int, n_out: int, scale: float, offset: float
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """For each output position p the input neighbours and the weight of the upper one at input position p·scale + offset."""
    position = np.clip(np.arange(n_out) * scale + offset, 0, n_in - 1)
    lower = np.minimum(np.floor(position).astype(np.intp), max(n_in - 2, 0))
    return lower, (position - lower).astype(np.float32)


def interpolate_axis(
    voxels: npt.NDArray[np.float32], axis: int, n_out: int, scale: float, offset: float
) -> Float:
    """Linear interpolation along one axis at input positions p·scale + offset, edges repeated."""
    n_in = voxels.shape[axis]
    lower, weight = interpolation_matrix(n_in, n_out, scale, offset)
    upper = np.minimum(lower + 1, n_in - 1)
    shape = [1] * voxels.ndim
    shape[axis] = n_out
    w = weight.reshape(shape)
    a, b = np.take(voxels, lower, axis), np.take(voxels, upper, axis)
    result: Float = a + (b - a) * w
    return result


def reduce_axis(voxels: npt.NDArray[np.float32], axis: int, ratio: float) -> Float:
    """A box filter over `ratio` voxels along an axis, so that a coarser grid averages what it covers."""
    width = round(ratio)
    if width < 2:
        return voxels
    # An even box has no middle voxel: half weights at both ends keep every structure in its place.
    box = np.ones(width, np.float32) if width % 2 else np.r_[0.5, np.ones(width - 1), 0.5]
    filtered: Float = ndimage.convolve1d(voxels, box / width, axis=axis, mode="nearest")
    return filtered


def at_even_steps(voxels: npt.NDArray[np.float32], places: SlicePlaces) -> tuple[Float, float]:
    """Slices at uneven places interpolated linearly at every step of the grid, and the place of the first of these."""
    bounds = slice_bounds(places)
    count = max(1, round(float(bounds[-1] - bounds[0])))
    wanted = bounds[0] + 0.5 + np.arange(count)
    upper = np.clip(np.searchsorted(places, wanted, side="right"), 1, len(places) - 1)
    step = places[upper] - places[upper - 1]
    weight = np.clip((wanted - places[upper - 1]) / step, 0, 1).astype(np.float32)[:, None, None]
    even: Float = voxels[upper - 1] * (1 - weight) + voxels[upper] * weight
    return even, float(wanted[0])


def resample(volume: Volume, spacing_mm: Sequence[float], shift_voxels: float = 0.0) -> Volume:
    """The volume on a grid of the given steps over the same field, averaged where that is coarser, linear between.

    A shift moves the grid by so many of its own steps along each axis. Slices that are not evenly spaced are put on the
    even steps of the volume's grid first, so that the networks see what they see of an even series.
    """
    affine = volume.affine_lps.copy()
    voxels = _in_plane(volume, spacing_mm, shift_voxels)
    for axis in (2, 1, 0):
        if axis == 0 and volume.slice_places is not None:
            voxels, first = at_even_steps(voxels, volume.slice_places)
            affine[:3, 3] += affine[:3, 0] * first
        # Fields share their outer border, not their first voxel's centre.
        scale = spacing_mm[axis] / volume.spacing_mm[axis]
        offset = (scale - 1) / 2 + shift_voxels * scale
        affine[:3, 3] += affine[:3, axis] * offset
        affine[:3, axis] *= scale
    voxels = _on_steps(voxels, 0, volume.spacing_mm[0], spacing_mm[0], shift_voxels)
    return Volume(hu=voxels, affine_lps=affine)


def _in_plane(volume: Volume, spacing_mm: Sequence[float], shift_voxels: float) -> Float:
    """Columns and rows on the new steps, some slices at a time: a whole scan would leave the cache at every step."""
    at_once = max(1, SLAB_VOXELS // (volume.shape[1] * volume.shape[2]))
    slabs = []
    for first in range(0, volume.shape[0], at_once):
        slab = volume.hu[first : first + at_once].astype(np.float32)
        # Columns first: their reduction leaves less to do for the rows.
        for axis in (2, 1):
            slab = _on_steps(slab, axis, volume.spacing_mm[axis], spacing_mm[axis], shift_voxels)
        slabs.append(slab)
    return np.concatenate(slabs)


def _on_steps(voxels: Float, axis: int, step: float, wanted: float, shift_voxels: float) -> Float:
    n_in = voxels.shape[axis]
    scale = wanted / step
    offset = (scale - 1) / 2 + shift_voxels * scale
    n_out = max(1, round(n_in * step / wanted))
    return interpolate_axis(reduce_axis(voxels, axis, scale), axis, n_out, scale, offset)


def body_mask(hu: npt.NDArray[np.int16] | npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """The largest connected thing denser than air, holes of each slice filled [slice, row, column]."""
    # Within slices only: across them, or with air beyond the border, the outermost slices would be opened away.
    eroded = ndimage.binary_erosion(hu > BODY_THRESHOLD_HU, IN_PLANE, border_value=1)
    dense = ndimage.binary_dilation(eroded, IN_PLANE)
    components, count = ndimage.label(dense)
    if count == 0:
        return np.zeros(hu.shape, np.bool_)
    body: npt.NDArray[np.bool_] = components == np.argmax(np.bincount(components.ravel())[1:]) + 1
    for k in range(body.shape[0]):
        body[k] = ndimage.binary_fill_holes(body[k])
    return body


def body_centre_mm(body: npt.NDArray[np.bool_], affine_lps: Affine) -> npt.NDArray[np.float64]:
    """Patient coordinates of the body mask's centre of mass, or of the grid's centre when it is empty."""
    if body.any():
        index = np.array(
            [np.average(np.arange(n), weights=counts) for n, counts in _marginals(body)]
        )
    else:
        index = (np.array(body.shape) - 1) / 2
    return position_mm(affine_lps, index)


def _marginals(body: npt.NDArray[np.bool_]) -> list[tuple[int, npt.NDArray[np.int64]]]:
    others = ((1, 2), (0, 2), (0, 1))
    return [(body.shape[a], body.sum(axis=others[a], dtype=np.int64)) for a in range(3)]


def normalise(hu: Float, hu_window: tuple[float, float], mean: float, sd: float) -> Float:
    """Hounsfield units clipped to the window, mapped to 0..1, then centred and scaled."""
    low, high = hu_window
    unit: Float = (np.clip(hu, low, high) - np.float32(low)) / np.float32(high - low)
    return ((unit - np.float32(mean)) / np.float32(sd)).astype(np.float32)


def probability_of(logits: Float) -> Float:
    """The logistic function."""
    result: Float = (1 / (1 + np.exp(-np.clip(logits, -30, 30)))).astype(np.float32)
    return result


def centred_plane(
    plane: Float, spacing_mm: tuple[float, float], centre: tuple[float, float], grid: "PlaneGrid"
) -> Float:
    """An axial slice on the tissue network's grid, its middle at the given (row, column) index; air outside the field."""
    for axis in (0, 1):
        n = grid.shape[axis]
        scale = grid.spacing_mm[axis] / spacing_mm[axis]
        offset = centre[axis] - scale * (n - 1) / 2
        plane = _with_air(reduce_axis(plane, axis, scale), axis, n, scale, offset)
    return plane


def _with_air(plane: Float, axis: int, n_out: int, scale: float, offset: float) -> Float:
    n_in = plane.shape[axis]
    out = interpolate_axis(plane, axis, n_out, scale, offset)
    position = np.arange(n_out) * scale + offset
    outside = (position < -0.5) | (position > n_in - 0.5)
    index: list[slice | npt.NDArray[np.bool_]] = [slice(None), slice(None)]
    index[axis] = outside
    out[tuple(index)] = AIR_HU
    return out


class PlaneGrid:
    """Shape (rows, columns) and step of a 2D network's input."""

    def __init__(self, shape: tuple[int, int], spacing_mm: tuple[float, float]) -> None:
        self.shape = shape
        self.spacing_mm = spacing_mm


def plane_back(
    logits: Float,
    grid: PlaneGrid,
    target_shape: tuple[int, int],
    target_spacing_mm: tuple[float, float],
    centre: tuple[float, float],
) -> Float:
    """Logits [channel, row, column] of the tissue grid interpolated onto the slice they came from."""
    for axis in (0, 1):
        scale = target_spacing_mm[axis] / grid.spacing_mm[axis]
        offset = (grid.shape[axis] - 1) / 2 - centre[axis] * scale
        logits = interpolate_axis(logits, axis + 1, target_shape[axis], scale, offset)
    return logits


def calm_plane(hu: npt.NDArray[np.int16] | Float, pixel_mm: Sequence[float]) -> Float:
    """A plane's HU averaged over about CALM_MM: noise is no fat."""
    calm = hu.astype(np.float32)
    for axis, step in enumerate(pixel_mm):
        width = 2 * round((CALM_MM / step - 1) / 2) + 1
        if width > 1:
            calm = ndimage.uniform_filter1d(calm, width, axis=axis)
    return calm
