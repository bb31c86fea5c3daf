"""Organs resized, turned and moved: where they come to lie, and how large they are."""

import numpy as np
import pytest

from training.templates.reshape import Change, reshaped

STEP_MM = 2.0


def bar() -> np.ndarray:
    """Long in x."""
    mask = np.zeros((30, 40, 50), np.bool_)
    mask[13:17, 18:22, 15:35] = True
    return mask


def whole(change: Change, mask: np.ndarray) -> np.ndarray:
    box, changed = reshaped(mask, change, STEP_MM)
    found = np.zeros_like(mask)
    found[box] = changed
    return found


def test_nothing_asked_changes_nothing() -> None:
    assert (whole(Change(), bar()) == bar()).all()


@pytest.mark.parametrize("moved", [(3, 0, 0), (0, -4, 0), (0, 0, 5), (-2, 3, -6)])
def test_it_lies_where_it_was_moved(moved: tuple[int, int, int]) -> None:
    z, y, x = (voxels * STEP_MM for voxels in moved)

    found = whole(Change(moved_mm=(z, y, x)), bar())

    assert (found == np.roll(bar(), moved, axis=(0, 1, 2))).all()


@pytest.mark.parametrize(
    ("turned_deg", "shape"),
    [
        ((90.0, 0.0, 0.0), (4, 20, 4)),
        ((0.0, 90.0, 0.0), (20, 4, 4)),
        ((0.0, 0.0, 90.0), (4, 4, 20)),
    ],
)
def test_it_is_turned_about_the_axis_named(
    turned_deg: tuple[float, float, float], shape: tuple[int, int, int]
) -> None:
    where = np.argwhere(whole(Change(turned_deg=turned_deg), bar()))

    assert tuple(np.ptp(where, axis=0) + 1) == shape
    assert where.mean(axis=0) == pytest.approx([14.5, 19.5, 24.5])


def test_a_quarter_turn_about_z_goes_from_x_to_y() -> None:
    """About its end at low x: the bar then stands on it towards higher y."""
    where = np.argwhere(whole(Change(turned_deg=(90.0, 0, 0), anchor=(0, 0, -1.0)), bar()))

    assert where[:, 1].min() == pytest.approx(19.5, abs=1.0)
    assert where[:, 1].max() == pytest.approx(19.5 + 19, abs=1.0)


def test_a_turn_after_resizing_keeps_the_volume() -> None:
    straight = whole(Change(scale=(1.5, 1.5, 0.8)), bar())
    turned = whole(Change(scale=(1.5, 1.5, 0.8), turned_deg=(25.0, 12.0, -12.0)), bar())

    assert turned.sum() == pytest.approx(straight.sum(), rel=0.1)


def test_what_leaves_the_map_is_lost() -> None:
    mask = bar()
    found = whole(Change(moved_mm=(0.0, 0.0, 25 * STEP_MM)), mask)

    assert found.sum() == mask.sum() // 2
    assert not whole(Change(moved_mm=(60 * STEP_MM, 0, 0)), mask).any()
