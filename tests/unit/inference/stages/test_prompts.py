"""Prompts: the square a slice is put into, points and boxes in it, masks there and back."""

import numpy as np
import pytest

from inference.domain.errors import ConfigurationInvalid
from inference.stages.grids import AIR_HU
from inference.stages.prompts import (
    MASK_LOGIT,
    PointKind,
    PromptPart,
    SquareView,
    box_of,
    deepest_point,
    prompt_from,
    prompt_parts,
    stacked,
)

WIDE = SquareView(shape=(60, 80), spacing_mm=(1.0, 1.0), side=40)
"""Two pixels of the slice are one of the square; ten rows of it hold nothing."""


def test_the_longer_side_fills_the_square_and_the_rest_is_air() -> None:
    square = WIDE.image(np.full(WIDE.shape, 50, np.float32))
    assert square.shape == (40, 40)
    assert (square[:30] == 50).all()
    assert (square[30:] == AIR_HU).all()


def test_pixels_that_are_not_square_become_so() -> None:
    view = SquareView(shape=(30, 60), spacing_mm=(2.0, 1.0), side=30)
    assert view.step_mm == 2.0
    assert (view.image(np.zeros(view.shape, np.float32)) == 0).all()


def test_a_structure_is_found_where_its_point_says() -> None:
    plane = np.zeros(WIDE.shape, np.float32)
    plane[20:24, 50:54] = 100
    square = WIDE.image(plane, outside=0)
    x, y = WIDE.point(21.5, 51.5)
    row, column = np.unravel_index(square.argmax(), square.shape)
    assert (x, y) == (25.5, 10.5)
    assert abs(row - y) <= 0.5
    assert abs(column - x) <= 0.5


def test_labels_take_the_nearest_and_nothing_beyond_the_slice() -> None:
    labels = np.zeros(WIDE.shape, np.uint8)
    labels[20:24, 50:54] = 3
    labels[-2:] = 2
    square = WIDE.labels(labels)
    assert (square[10:12, 25:27] == 3).all()
    assert (square[30:] == 0).all()
    assert set(np.unique(square)) == {0, 2, 3}


@pytest.mark.parametrize("side", [40, 64, 160])
def test_a_mask_comes_back_to_its_place(side: int) -> None:
    mask = np.zeros(WIDE.shape, bool)
    mask[10:40, 30:70] = True
    view = WIDE.of_side(side)
    back = view.back(view.image(mask.astype(np.float32), outside=0)) > 0.5
    dice = 2 * (mask & back).sum() / (mask.sum() + back.sum())
    assert dice > 0.98


def test_the_box_has_the_first_and_last_pixel() -> None:
    mask = np.zeros((40, 40), bool)
    mask[5:9, 11:30] = True
    view = SquareView(shape=(40, 40), spacing_mm=(1.0, 1.0), side=40)
    assert box_of(mask, view) == (11, 5, 29, 8)


def test_the_deepest_point_of_a_crescent_lies_inside_it() -> None:
    rows, columns = np.mgrid[:60, :80]
    away = np.hypot(rows - 30, columns - 40)
    crescent = (away < 25) & (away > 18) & (columns < 40)
    x, y = deepest_point(crescent, SquareView(shape=(60, 80), spacing_mm=(1.0, 1.0), side=80))
    assert crescent[round(y), round(x)]


def test_a_prompt_shows_what_it_was_told_to() -> None:
    mask = np.zeros(WIDE.shape, bool)
    mask[20:40, 20:40] = True
    box, all_of_it = (
        prompt_from(mask, WIDE, 20, prompt_parts(text)) for text in ("box", "box+point+mask")
    )
    nothing = PointKind.NOTHING
    assert list(box.kinds) == [2, 3, nothing, nothing]
    assert not box.has_mask
    assert list(all_of_it.kinds) == [2, 3, 1, nothing]
    assert all_of_it.mask.max() == MASK_LOGIT
    assert all_of_it.mask.min() == -MASK_LOGIT
    both = stacked([box, all_of_it])
    assert both.masks.shape == (2, 1, 20, 20)
    assert list(both.has_mask) == [0, 1]


def test_parts_are_named_once_and_known() -> None:
    assert prompt_parts("point+box") == PromptPart.BOX | PromptPart.POINT
    for wrong in ("", "box+box", "circle", "box,mask"):
        with pytest.raises(ConfigurationInvalid):
            prompt_parts(wrong)
