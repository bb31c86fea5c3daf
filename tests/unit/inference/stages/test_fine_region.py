"""Where the finer organ network is asked: about the largest piece of each organ, and less and less towards the border."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from inference.domain.volume import Volume, affine_from_axes, position_mm
from inference.stages.fine_region import FADES_MM, MARGIN_MM, fading, of_these_alone, region_about
from inference.stages.organ_labels import Box, Look

COARSE_STEPS, FINE_STEPS = (3.0, 3.0, 3.0), (3.0, 1.5, 1.5)
COARSE_ORIGIN, FINE_ORIGIN = (-90.0, -80.0, -700.0), (-99.75, -89.75, -706.0)
NOTHING_LEAST = (1, 1, 1)


def look(*blocks: tuple[int, Box]) -> Look:
    """Logits on a coarse grid that begins later than the fine one along each axis."""
    logits = np.zeros((4, 80, 60, 70), np.float32)
    logits[0] = 0.5
    for channel, block in blocks:
        logits[channel][block] = 1.0
    affine = affine_from_axes(COARSE_ORIGIN, np.eye(3)[::-1], COARSE_STEPS)
    return Look(
        logits=logits, coarse=Volume(hu=np.zeros((80, 60, 70), np.int16), affine_lps=affine)
    )


def fine_grid() -> Volume:
    affine = affine_from_axes(FINE_ORIGIN, np.eye(3)[::-1], FINE_STEPS)
    return Volume(hu=np.zeros((86, 140, 160), np.int16), affine_lps=affine)


VESSEL = (slice(30, 50), slice(25, 32), slice(30, 36))
GLAND = (slice(34, 40), slice(22, 30), slice(38, 48))
SPECK = (slice(2, 4), slice(2, 4), slice(2, 4))


def ends_mm(box: Box, grid: Volume) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    low = position_mm(grid.affine_lps, [part.start for part in box])
    high = position_mm(grid.affine_lps, [part.stop - 1 for part in box])
    return low, high


def test_the_region_holds_all_these_organs_and_a_margin() -> None:
    seen, grid = look((1, VESSEL), (2, GLAND)), fine_grid()

    box = region_about(seen, [1, 2], grid, NOTHING_LEAST)

    assert box is not None
    low, high = ends_mm(box, grid)
    first = position_mm(seen.coarse.affine_lps, [30, 22, 30])
    last = position_mm(seen.coarse.affine_lps, [49, 31, 47])
    margin = np.array(MARGIN_MM)[::-1]
    assert (np.abs(low - (first - margin)) <= 3).all()
    assert (np.abs(high - (last + margin)) <= 3).all()


def test_other_organs_and_specks_do_not_widen_it() -> None:
    grid = fine_grid()
    alone = region_about(look((1, VESSEL)), [1], grid, NOTHING_LEAST)

    assert region_about(look((1, VESSEL), (1, SPECK)), [1], grid, NOTHING_LEAST) == alone
    assert region_about(look((1, VESSEL), (3, GLAND)), [1], grid, NOTHING_LEAST) == alone
    assert region_about(look((1, VESSEL), (2, GLAND)), [1, 2], grid, NOTHING_LEAST) != alone


def test_where_none_of_them_is_seen_there_is_no_region() -> None:
    assert region_about(look((3, GLAND)), [1, 2], fine_grid(), NOTHING_LEAST) is None


def test_it_is_as_large_as_a_patch_where_the_grid_is() -> None:
    grid = fine_grid()
    box = region_about(look((1, VESSEL)), [1], grid, (60, 120, 400))

    assert box is not None
    sizes = [part.stop - part.start for part in box]
    assert 60 <= sizes[0] <= 62
    assert 120 <= sizes[1] <= 122
    assert box[2] == slice(0, 160)


def test_an_axis_that_runs_the_other_way_changes_nothing() -> None:
    seen, grid = look((1, VESSEL)), fine_grid()
    affine = grid.affine_lps.copy()
    affine[:3, 3] += affine[:3, 0] * (grid.shape[0] - 1)
    affine[:3, 0] *= -1
    turned = replace(grid, affine_lps=affine)

    one, other = (region_about(seen, [1], place, NOTHING_LEAST) for place in (grid, turned))

    assert one is not None
    assert other is not None
    heights = [
        sorted(end[2] for end in ends_mm(box, g)) for box, g in ((one, grid), (other, turned))
    ]
    assert heights[0] == pytest.approx(heights[1], abs=3.0)


def test_of_other_organs_nothing_is_said_but_that_it_is_one_of_them() -> None:
    rng = np.random.default_rng(4)
    logits = rng.normal(0, 3, (5, 2, 3, 4)).astype(np.float32)
    coarse = rng.normal(0, 3, (5, 2, 3, 4)).astype(np.float32)

    spoken = of_these_alone(logits, [1, 3])

    shares = np.exp(spoken) / np.exp(logits).sum(axis=0)
    assert shares[[1, 3]] == pytest.approx(np.exp(logits[[1, 3]]) / np.exp(logits).sum(axis=0))
    assert shares[0] + shares[1] + shares[3] == pytest.approx(1.0)
    others = [0, 2, 4]
    assert ((coarse + spoken)[others].argmax(axis=0) == coarse[others].argmax(axis=0)).all()


def test_it_fades_to_nothing_at_borders_within_the_volume_and_not_at_its_own() -> None:
    weight = fading((slice(0, 30), slice(10, 60), slice(20, 100)), (30, 90, 100), (3.0, 1.5, 1.5))

    assert weight.shape == (30, 50, 80)
    assert weight.max() == 1
    assert (weight[0] == weight[29]).all()
    assert not weight[:, 0].any()
    assert not weight[:, -1].any()
    assert not weight[:, :, 0].any()
    assert (weight[15, 20:30, -1] == 1).all()
    steps = round(FADES_MM / 1.5)
    assert weight[15, 3, 40] == pytest.approx(3 / steps)
    assert weight[15, steps, 40] == 1
