"""The fused labels are those of interpolating every channel at every voxel, on whatever logits."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from inference.kernels.upsample_labels import (
    Axis,
    label_slice,
    nearest,
    same_field,
    winners,
)

Float = npt.NDArray[np.float32]


def dense(logits: Float, axes: tuple[Axis, Axis, Axis]) -> npt.NDArray[np.intp]:
    """All channels interpolated in double precision, then argmax; sums in the kernel's order, or ties would be decided by rounding."""
    slices, rows, columns = axes
    w = slices.weight[:, None, None]
    v, u = rows.weight[:, None], columns.weight[None, :]
    corners = ((1 - v) * (1 - u), (1 - v) * u, v * (1 - u), v * u)
    values = logits.astype(np.float64)

    def within(planes: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        at = values[:, planes]
        sides = [(r, c) for r in (rows.lower, rows.upper) for c in (columns.lower, columns.upper)]
        parts = [
            at[:, :, r][:, :, :, c] * corner for (r, c), corner in zip(sides, corners, strict=True)
        ]
        return ((parts[0] + parts[1]) + parts[2]) + parts[3]

    mixed = (1 - w) * within(slices.lower) + w * within(slices.upper)
    found: npt.NDArray[np.intp] = mixed.argmax(axis=0)
    return found


def fused(logits: Float, axes: tuple[Axis, Axis, Axis]) -> npt.NDArray[np.uint8]:
    slices, rows, columns = axes
    planes = [np.ascontiguousarray(logits[:, k].transpose(1, 2, 0)) for k in range(logits.shape[1])]
    known = [(plane, winners(plane)) for plane in planes]
    found = np.empty([len(axis.lower) for axis in axes], np.uint8)
    for k, out in enumerate(found):
        below, above = known[slices.lower[k]], known[slices.upper[k]]
        label_slice(below, above, float(slices.weight[k]), rows, columns, out)
    return found


def smooth(rng: np.random.Generator, shape: tuple[int, ...]) -> Float:
    noise = rng.normal(size=shape)
    return (40 * ndimage.gaussian_filter(noise, (0, 2, 2, 2))).astype(np.float32)


def rivals(rng: np.random.Generator, shape: tuple[int, ...]) -> Float:
    """Two channels a last bit apart, the leader changing from voxel to voxel; ties among them."""
    logits = np.full(shape, 3.0, np.float32)
    steps = rng.integers(-1, 2, shape[1:])
    logits[1] = np.where(steps > 0, np.nextafter(np.float32(3), np.float32(4)), logits[1])
    logits[1] = np.where(steps < 0, np.nextafter(np.float32(3), np.float32(2)), logits[1])
    logits[2:] = -1e6
    return logits


def third(rng: np.random.Generator, shape: tuple[int, ...]) -> Float:
    """A channel that is second everywhere wins between those that are first here and last there."""
    logits = np.zeros(shape, np.float32)
    first = rng.random(shape[1:]) < 0.5
    logits[0], logits[1] = np.where(first, 5, -9), np.where(first, -9, 5)
    logits[2] = 2
    return logits


@pytest.mark.parametrize("kind", [smooth, rivals, third])
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    coarse=st.tuples(*[st.integers(1, 9)] * 3),
    fine=st.tuples(*[st.integers(1, 23)] * 3),
    channels=st.integers(3, 6),
)
def test_every_voxel_is_that_of_dense_interpolation(
    kind: object,
    seed: int,
    coarse: tuple[int, int, int],
    fine: tuple[int, int, int],
    channels: int,
) -> None:
    rng = np.random.default_rng(seed)
    logits = kind(rng, (channels, *coarse))  # type: ignore[operator]
    first, second, third_axis = (same_field(a, b) for a, b in zip(coarse, fine, strict=True))
    axes = (first, second, third_axis)

    np.testing.assert_array_equal(fused(logits, axes), dense(logits, axes))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_noise_in_many_rows_is_shared_among_threads_without_seams(seed: int) -> None:
    logits = np.random.default_rng(seed).normal(size=(5, 4, 40, 30)).astype(np.float32)
    axes = (same_field(4, 7), same_field(40, 66), same_field(30, 50))

    np.testing.assert_array_equal(fused(logits, axes), dense(logits, axes))


def test_the_first_of_equal_channels_wins() -> None:
    assert (winners(np.zeros((3, 3, 4), np.float32)) == 0).all()
    plane = np.array([0, 2, 2], np.float32).reshape(1, 1, 3)
    assert winners(plane).item() == 1


@pytest.mark.parametrize(("coarse", "fine"), [(5, 12), (12, 5), (7, 7), (1, 4)])
def test_the_nearest_point_is_that_of_scipy(coarse: int, fine: int) -> None:
    places = (np.arange(fine) + 0.5) * (coarse / fine) - 0.5
    wanted = ndimage.map_coordinates(
        np.arange(coarse, dtype=float), places[None], order=0, mode="nearest"
    )

    axis = nearest(coarse, fine)

    np.testing.assert_array_equal(axis.lower, wanted)
    assert not axis.weight.any()
