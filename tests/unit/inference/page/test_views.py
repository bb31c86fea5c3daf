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
    grey,
    overlay_view,
    sagittal_view,
    scene_of,
    tissue_view,
)
from tests.unit.inference.page.page_scene import (
    AXIAL,
    BONE_ROW_COLUMN,
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
    assert scene.tissues is not None
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


@pytest.mark.parametrize(
    ("hu", "shade"), [(-2000, 0), (-160, 0), (40, 127), (239, 254), (240, 255), (3000, 255)]
)
def test_soft_tissue_is_seen_from_minus_160_to_240(hu: int, shade: int) -> None:
    volume = body_volume()
    scene = scene_of(volume, body_analysis(volume))
    volume.hu[LEVEL_INDEX, 40, 60] = hu

    assert shade in ct_view(scene).rgb[:, :, 0]
    assert grey(np.array([hu]), (-160.0, 240.0))[0, 0] == shade


@pytest.mark.parametrize(("hu", "shade"), [(-200, 0), (150, 127), (500, 255)])
def test_the_spine_is_seen_from_minus_200_to_500(hu: int, shade: int) -> None:
    volume = body_volume()
    volume.hu[:] = hu
    scene = scene_of(volume, body_analysis(volume))

    assert set(np.unique(sagittal_view(scene).rgb)) == {shade}


def test_a_body_cut_by_the_border_is_shown_to_its_last_column(scene: Scene) -> None:
    scene.volume.hu[:, 20:70] = 40

    assert ct_view(scene).rgb.shape[1] == SHAPE[2]


def test_without_bone_the_sagittal_view_goes_through_the_middle_of_the_body() -> None:
    volume = body_volume()
    volume.hu[volume.hu > 200] = 40
    # A mark in the middle column, dimmer than bone.
    volume.hu[:, 47:50, 64] = 190

    shown = sagittal_view(scene_of(volume, body_analysis(volume))).rgb[..., 0]

    assert int(shown.mean(axis=0).argmax()) in (47, 48, 49)


def test_bone_far_from_the_middle_is_no_spine() -> None:
    volume = body_volume()
    # An arm bone, 62 to 68 mm beside the middle.
    volume.hu[:, 20:60, 95:99] = 600

    shown = sagittal_view(scene_of(volume, body_analysis(volume))).rgb[..., 0].mean(axis=0)

    assert abs(int(shown.argmax()) - BONE_ROW_COLUMN[0]) <= 5


def test_an_empty_slice_is_shown_whole() -> None:
    volume = body_volume()
    scene = scene_of(volume, body_analysis(volume))
    volume.hu[LEVEL_INDEX] = -1000

    assert ct_view(scene).rgb.shape[:2] == SHAPE[1:]
    assert sagittal_view(scene).rgb.shape[:2] == SHAPE[:2]
    assert coronal_view(scene).rgb.shape[:2] == (SHAPE[0], SHAPE[2])
