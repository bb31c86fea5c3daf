"""Planes in any order become one grid, or a coded reason why not."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from inference.dicom.geometry import Plane, checked_plane, stack_planes
from inference.domain.errors import UnsupportedGeometry
from inference.domain.volume import position_mm

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def axial_planes(
    heights_mm: list[float],
    *,
    orientation: tuple[float, ...] = AXIAL,
    shift_mm: Callable[[int], tuple[float, float]] = lambda _: (0.0, 0.0),
) -> list[Plane]:
    planes = []
    for index, z in enumerate(heights_mm):
        x, y = shift_mm(index)
        planes.append(checked_plane((-100.0 + x, -90.0 + y, z), orientation, (0.8, 0.7), (64, 48)))
    return planes


def heights(count: int = 12, step_mm: float = 2.5) -> list[float]:
    return [100 + step_mm * index for index in range(count)]


def reason_of(planes: list[Plane]) -> str:
    with pytest.raises(UnsupportedGeometry) as refusal:
        stack_planes(planes)
    return refusal.value.reason


def test_any_order_of_slices_gives_the_same_grid() -> None:
    ordered = stack_planes(axial_planes(heights()))
    mixed = [heights()[index] for index in (3, 0, 11, 7, 1, 2, 10, 4, 9, 5, 8, 6)]

    shuffled = stack_planes(axial_planes(mixed))

    assert [mixed[index] for index in shuffled.order] == heights()
    assert np.array_equal(shuffled.affine_lps, ordered.affine_lps)


def test_the_affine_maps_indices_to_the_positions_of_the_header() -> None:
    stack = stack_planes(axial_planes(heights()))

    found = position_mm(stack.affine_lps, (3, 10, 20))

    assert found == pytest.approx((-100 + 20 * 0.7, -90 + 10 * 0.8, 107.5))


def test_a_normal_towards_the_feet_orders_slices_downwards() -> None:
    # Rows to the front: the normal of such a slice points to the feet.
    stack = stack_planes(axial_planes(heights(), orientation=(1, 0, 0, 0, -1, 0)))

    assert stack.order == tuple(reversed(range(12)))
    assert position_mm(stack.affine_lps, (11, 0, 0))[2] == pytest.approx(100)
    assert position_mm(stack.affine_lps, (0, 5, 0))[1] == pytest.approx(-90 - 5 * 0.8)


@pytest.mark.parametrize("count", [1, 9])
def test_too_few_slices_are_refused(count: int) -> None:
    assert reason_of(axial_planes(heights(count))) == "too-few-slices"


def test_ten_slices_are_enough() -> None:
    assert len(stack_planes(axial_planes(heights(10))).order) == 10


def test_a_missing_slice_is_a_gap() -> None:
    with_gap = heights(13)
    del with_gap[6]

    assert reason_of(axial_planes(with_gap)) == "slice-gap"


def test_steps_that_slowly_drift_off_an_even_grid_keep_their_places() -> None:
    along = np.cumsum([1.00] * 60 + [1.09] * 60)

    stack = stack_planes(axial_planes(list(along)))

    assert stack.slice_places is not None
    assert position_mm(stack.affine_lps, (stack.slice_places[90], 0, 0))[2] == pytest.approx(
        along[90]
    )


def test_thickness_and_number_decide_whether_a_wide_step_is_a_gap() -> None:
    along = [*(2.5 * k for k in range(10)), *(25.0 + 5.0 * k for k in range(8))]
    planes = axial_planes(along)
    stated = [
        replace(plane, thickness_mm=5.0, image_number=number) for number, plane in enumerate(planes)
    ]
    skipping = [
        replace(plane, image_number=round(mm / 2.5))
        for plane, mm in zip(stated, along, strict=True)
    ]

    assert stack_planes(stated).slice_places is not None
    assert reason_of(planes) == "slice-gap"
    assert reason_of(skipping) == "slice-gap"


def test_blocks_farther_apart_than_any_scanner_has_are_refused() -> None:
    along = [*(1.0 * k for k in range(10)), *(40.0 * k for k in range(1, 9))]
    planes = [replace(plane, thickness_mm=60.0) for plane in axial_planes(along)]

    assert reason_of(planes) == "mixed-geometry"


def test_the_advice_is_about_what_was_found() -> None:
    with pytest.raises(UnsupportedGeometry) as refusal:
        stack_planes(axial_planes(heights(1)))

    assert refusal.value.advice == (
        "Send the whole axial reconstruction of the abdomen, not single images of it."
    )


def test_positions_rounded_to_a_tenth_of_a_millimetre_are_accepted() -> None:
    rounded = [round(z, 1) for z in heights(40, 1.25)]

    stack = stack_planes(axial_planes(rounded))

    assert np.linalg.norm(stack.affine_lps[:3, 0]) == pytest.approx(1.25, abs=0.01)


def test_two_slices_at_one_position_are_refused() -> None:
    assert reason_of(axial_planes([*heights(), 105.0])) == "duplicate-position"


def test_slices_that_advance_off_their_normal_are_a_gantry_tilt() -> None:
    cosine, sine = np.cos(np.radians(18.5)), np.sin(np.radians(18.5))

    planes = axial_planes(heights(), orientation=(1, 0, 0, 0, cosine, -sine))

    assert reason_of(planes) == "gantry-tilt"


def test_a_table_that_moves_sideways_is_found_without_any_tilted_orientation() -> None:
    planes = axial_planes(heights(), shift_mm=lambda index: (0.0, 0.5 * index))

    assert reason_of(planes) == "gantry-tilt"


def oblique_planes(degrees: float) -> list[Plane]:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    normal = np.array([0, sine, cosine])
    return [
        checked_plane(tuple(2.5 * k * normal), (1, 0, 0, 0, cosine, -sine), (0.8, 0.8), (64, 64))
        for k in range(12)
    ]


def test_slices_far_off_the_axial_plane_are_oblique() -> None:
    assert reason_of(oblique_planes(15)) == "oblique"


def test_slices_a_little_off_the_axial_plane_keep_their_direction() -> None:
    stack = stack_planes(oblique_planes(5))

    direction = stack.affine_lps[:3, 0] / 2.5
    assert direction == pytest.approx((0, np.sin(np.radians(5)), np.cos(np.radians(5))))


def test_one_slice_shifted_sideways_is_refused() -> None:
    planes = axial_planes(heights(), shift_mm=lambda index: (3.0 * (index == 5), 0.0))

    assert reason_of(planes) == "mixed-geometry"


def test_two_matrix_sizes_are_refused() -> None:
    planes = axial_planes(heights())
    planes[4] = checked_plane((-100, -90, 110), AXIAL, (0.8, 0.7), (32, 48))

    assert reason_of(planes) == "mixed-geometry"


def test_two_pixel_spacings_are_refused() -> None:
    planes = axial_planes(heights())
    planes[4] = checked_plane((-100, -90, 110), AXIAL, (0.8, 0.72), (64, 48))

    assert reason_of(planes) == "mixed-geometry"


def test_two_orientations_are_refused() -> None:
    planes = axial_planes(heights())
    planes[4] = checked_plane((-100, -90, 110), (0, 1, 0, -1, 0, 0), (0.8, 0.7), (64, 48))

    assert reason_of(planes) == "mixed-geometry"


@pytest.mark.parametrize(
    ("position", "orientation", "spacing"),
    [
        (None, AXIAL, (0.8, 0.8)),
        ((0, 0), AXIAL, (0.8, 0.8)),
        ((0, 0, 0), None, (0.8, 0.8)),
        ((0, 0, 0), (1, 0, 0, 1, 0, 0), (0.8, 0.8)),
        ((0, 0, 0), (0, 0, 0, 0, 0, 0), (0.8, 0.8)),
        ((0, 0, 0), AXIAL, None),
        ((0, 0, 0), AXIAL, (0.8, 0)),
        ((0, 0, 0), AXIAL, (0.8, 1e9)),
    ],
)
def test_values_that_make_no_plane_are_refused(
    position: tuple[float, ...] | None,
    orientation: tuple[float, ...] | None,
    spacing: tuple[float, ...] | None,
) -> None:
    with pytest.raises(UnsupportedGeometry) as refusal:
        checked_plane(position, orientation, spacing, (64, 64))

    assert refusal.value.reason == "mixed-geometry"


@pytest.mark.parametrize("pixel_mm", [1e-9, 0.0, 50.0])
def test_a_pixel_spacing_no_scanner_has_is_refused(pixel_mm: float) -> None:
    with pytest.raises(UnsupportedGeometry, match="pixel spacing"):
        checked_plane((0.0, 0.0, 0.0), AXIAL, (pixel_mm, 0.7), (64, 48))


@pytest.mark.parametrize("step_mm", [1e5, 0.01])
def test_a_slice_distance_no_scanner_has_is_refused(step_mm: float) -> None:
    assert reason_of(axial_planes(heights(step_mm=step_mm))) in {
        "mixed-geometry",
        "duplicate-position",
    }
