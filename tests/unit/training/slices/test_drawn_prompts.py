"""Prompts of training: about the mask, as imperfect as a node's, never empty."""

import numpy as np
import pytest

from inference.domain.errors import ConfigurationInvalid
from inference.stages.prompts import PointKind, SquareView
from training.slices.drawn_prompts import coarsened, drawn_prompt, jittered_box, point_inside
from training.slices.slice_options import SliceOptions

VIEW = SquareView(shape=(64, 64), spacing_mm=(1.0, 1.0), side=64)
RNG = np.random.default_rng(3)


def disc(radius: float) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """About the middle of the slice."""
    rows, columns = np.mgrid[:64, :64]
    inside: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    inside = np.hypot(rows - 30, columns - 34) < radius
    return inside


def test_a_box_misses_a_little_and_is_never_turned_over() -> None:
    boxes = np.array([jittered_box(disc(2), VIEW, 4.0, RNG) for _ in range(200)])
    assert (boxes[:, :2] <= boxes[:, 2:]).all()
    assert boxes.min() >= 0
    assert boxes.max() <= 63
    assert boxes.std(axis=0).min() > 1
    assert list(jittered_box(disc(5.5), VIEW, 0.0, RNG)) == [29, 25, 39, 35]


def test_points_lie_inside() -> None:
    mask = disc(9) & ~disc(7)
    for _ in range(50):
        x, y = point_inside(mask, VIEW, RNG)
        assert mask[int(y), int(x)]


def test_a_coarse_mask_is_near_the_mask_but_not_the_mask() -> None:
    mask = disc(15)
    dice = []
    for _ in range(50):
        coarse = coarsened(mask, RNG)
        dice.append(2 * (mask & coarse).sum() / (mask.sum() + coarse.sum()))
    assert min(dice) > 0.7
    assert np.mean(dice) < 0.98


def test_a_structure_of_a_pixel_is_still_shown() -> None:
    speck = disc(0.5)
    assert speck.sum() == 1
    assert all(coarsened(speck, RNG).any() for _ in range(50))


def test_every_configured_kind_is_drawn() -> None:
    options = SliceOptions(prompts=("box", "point", "box+mask"))
    seen = set()
    for _ in range(60):
        prompt = drawn_prompt(disc(10), VIEW, 32, options, RNG)
        assert prompt.mask.shape == (32, 32)
        seen.add((tuple(prompt.kinds), prompt.has_mask))
    nothing = int(PointKind.NOTHING)
    assert seen == {
        ((2, 3, nothing, nothing), False),
        ((nothing, nothing, 1, nothing), False),
        ((2, 3, nothing, nothing), True),
    }


@pytest.mark.parametrize(
    "wrong", [{"asked": "circle"}, {"prompts": ()}, {"prompts_per_slice": 0}, {"least_pixels": 0}]
)
def test_options_that_cannot_be_used_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationInvalid):
        SliceOptions(**wrong)  # type: ignore[arg-type]
