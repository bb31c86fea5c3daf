"""The views: the right slice the right way up, only the tissues asked for, the level where it is."""

from dataclasses import replace

import numpy as np
import pytest

from inference.dicom.codes import rgb_of
from inference.domain.labelmap import TISSUES, Structure
from inference.page.views import (
    SILHOUETTE,
    Scene,
    View,
    coronal_view,
    ct_view,
    overlay_view,
    sagittal_view,
    scene_of,
    tissue_view,
)
from tests.unit.inference.page.page_scene import (
    AXIAL,
    LEVEL_INDEX,
    SHAPE,
    UPSIDE_DOWN,
    body_analysis,
    body_volume,
)


@pytest.fixture(params=[AXIAL, UPSIDE_DOWN], ids=["feet first", "head first"])
def scene(request: pytest.FixtureRequest) -> Scene:
    volume = body_volume(request.param)
    return scene_of(volume, body_analysis(volume))


def colours(view: View) -> set[tuple[int, ...]]:
    return {tuple(int(c) for c in pixel) for pixel in np.unique(view.rgb.reshape(-1, 3), axis=0)}


def test_the_level_slice_is_found_whichever_way_the_series_runs(scene: Scene) -> None:
    assert scene.level_index == LEVEL_INDEX
    assert scene.level_row == pytest.approx(LEVEL_INDEX)
    assert set(np.unique(scene.tissues)) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("tissue", TISSUES)
def test_a_tissue_alone_shows_no_other(scene: Scene, tissue: Structure) -> None:
    assert colours(tissue_view(scene, (tissue,))) == {(0, 0, 0), SILHOUETTE, rgb_of(tissue)}


def test_all_tissues_together_show_four_colours(scene: Scene) -> None:
    assert {rgb_of(tissue) for tissue in TISSUES} <= colours(tissue_view(scene))


def test_the_ct_is_grey_and_the_overlay_is_not(scene: Scene) -> None:
    ct, overlay = ct_view(scene).rgb, overlay_view(scene).rgb

    assert (ct[..., 0] == ct[..., 2]).all()
    assert not (overlay[..., 0] == overlay[..., 2]).all()
    assert ct.shape == overlay.shape


def test_axial_views_hold_the_body_and_little_else(scene: Scene) -> None:
    rows, columns, _ = ct_view(scene).rgb.shape

    assert rows < SHAPE[1]
    assert (rows, columns) == pytest.approx((80 + 8, 112 + 8), abs=3)


@pytest.mark.parametrize("view", [sagittal_view, coronal_view])
def test_the_line_is_at_the_level_counted_from_the_head(scene: Scene, view: object) -> None:
    shown: View = view(scene)  # type: ignore[operator]

    assert shown.level_share == pytest.approx(1 - (LEVEL_INDEX + 0.5) / SHAPE[0])
    assert shown.rgb.shape[0] == SHAPE[0]


def test_the_sagittal_view_has_the_back_on_the_right(scene: Scene) -> None:
    shown = sagittal_view(scene).rgb[..., 0].mean(axis=0)

    assert int(shown.argmax()) > SHAPE[1] // 2


def test_organs_are_above_the_level_in_the_coronal_view(scene: Scene) -> None:
    rgb = coronal_view(scene).rgb.astype(int)
    rows = np.flatnonzero((abs(rgb[..., 0] - rgb[..., 2]) > 5).any(axis=1))

    assert (rows.min(), rows.max()) == (SHAPE[0] - 14, SHAPE[0] - 11)


def test_pixels_are_shown_square() -> None:
    view = View(rgb=np.zeros((10, 30, 3), np.uint8), row_mm=6.0, column_mm=1.0)

    assert view.picture(100, 100).size == (50, 100)


@pytest.mark.parametrize("axes", [AXIAL, UPSIDE_DOWN], ids=["feet first", "head first"])
def test_views_from_the_side_keep_the_proportions_of_uneven_slices(
    axes: tuple[tuple[float, ...], ...],
) -> None:
    thickness = np.array([1.0] * 10 + [2.0] * 10)
    places = np.cumsum(thickness) - thickness / 2
    if axes is UPSIDE_DOWN:
        places = (places[-1] - places)[::-1]
    volume = replace(body_volume(axes), slice_places=places - places[0])
    analysis = body_analysis(volume)
    uneven = scene_of(volume, analysis)

    view = sagittal_view(uneven)

    assert view.rgb.shape[0] * view.row_mm == pytest.approx(30 * 5.0)
    shown = uneven.slice_of_row
    assert [int((shown == k).sum()) for k in (3, 15)] == [1, 2]
    assert np.all(np.diff(shown) >= 0)
    assert (shown[0], shown[-1]) == (0, 19)
