"""The branches of the great vessels in a template: where they run, and what they take the place of."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.training.templates.tiny_torso import STEP_MM, tiny_template
from training.synthetic.labels import ORGAN_LUT, Tissue
from training.templates.branches import (
    APART_MM,
    BRANCHES,
    Branches,
    Tube,
    drawn,
    with_branches,
)
from training.templates.depth import depth_of
from training.templates.template import Codes, Template

TEMPLATE = tiny_template()
PORTAL_SLICE = 66
"""Of the lowest part of the portal vein that the tests add: at L1 and T12 of the tiny torso."""


def with_portal(pancreas: bool = False, bowel: bool = False) -> Template:
    """The tiny torso with a portal vein between vena cava and aorta, and what lies below it."""
    viscera = TEMPLATE.viscera.copy()
    viscera[PORTAL_SLICE : PORTAL_SLICE + 4, 16:19, 20:38] = Tissue.PORTAL_SPLENIC_VEIN
    if pancreas:
        viscera[PORTAL_SLICE - 6 : PORTAL_SLICE - 2, 13:19, 30:42] = Tissue.PANCREAS
    if bowel:
        viscera[40:PORTAL_SLICE, 10:19, 24:46] = Tissue.BOWEL_CONTENT
    return replace(TEMPLATE, viscera=viscera)


def wide(**changes: float) -> Branches:
    """Vessels that several voxels of 5 mm show."""
    plan = {"vein_mm": 16.0, "artery_mm": 12.0, "forwards_mm": 0.0, "rightwards_mm": 0.0}
    return Branches(**{**plan, **changes})


def slices_of(viscera: Codes, tissue: Tissue) -> np.ndarray:
    found: np.ndarray = np.flatnonzero((viscera == tissue).any(axis=(1, 2)))
    return found


def middle_of(plane: Codes, tissue: Tissue) -> np.ndarray:
    """Row and column."""
    found: np.ndarray = np.argwhere(plane == tissue).mean(axis=0)
    return found


def test_a_built_template_has_branches_and_no_organ_is_made_of_them() -> None:
    assert (TEMPLATE.viscera == Tissue.RENAL_VEIN).any()
    assert not ORGAN_LUT[list(BRANCHES)].any()


def test_the_mesenteric_vein_goes_down_from_the_portal_vein_as_far_as_asked() -> None:
    found = with_branches(with_portal(), wide(length_mm=60.0)).viscera

    slices = slices_of(found, Tissue.MESENTERIC_VEIN)
    assert slices[-1] in (PORTAL_SLICE - 1, PORTAL_SLICE, PORTAL_SLICE + 1)
    assert slices[0] == pytest.approx(PORTAL_SLICE - 60 / STEP_MM, abs=2)
    assert (np.diff(slices) == 1).all()


def test_it_runs_between_vena_cava_and_aorta_and_to_the_front_and_right_as_asked() -> None:
    straight, bent = (
        with_branches(with_portal(), plan).viscera
        for plan in (wide(), wide(forwards_mm=20.0, rightwards_mm=20.0))
    )
    low = PORTAL_SLICE - 14

    row, column = middle_of(straight[low], Tissue.MESENTERIC_VEIN)
    assert middle_of(straight[low], Tissue.INFERIOR_VENA_CAVA)[1] < column
    assert column < middle_of(straight[low], Tissue.AORTA)[1]
    moved = middle_of(bent[low], Tissue.MESENTERIC_VEIN) - (row, column)
    assert (moved < -1.5).all()


def test_it_tapers_as_asked() -> None:
    even, narrow = (
        with_branches(with_portal(), wide(vein_mm=30.0, taper=taper)).viscera
        for taper in (1.0, 0.4)
    )

    def sizes(k: int) -> list[int]:
        return [int((found[k] == Tissue.MESENTERIC_VEIN).sum()) for found in (even, narrow)]

    assert sizes(PORTAL_SLICE)[1] > 0.7 * sizes(PORTAL_SLICE)[0]
    assert sizes(PORTAL_SLICE - 14)[1] < 0.5 * sizes(PORTAL_SLICE - 14)[0]


def test_its_artery_leaves_the_aorta_and_lies_to_its_left() -> None:
    found = with_branches(with_portal(), replace(wide(), renal=0.0)).viscera

    slices = slices_of(found, Tissue.BRANCH_ARTERY)
    top, low = found[slices[-1]], found[slices[0]]
    root = middle_of(top, Tissue.BRANCH_ARTERY)
    assert np.abs(root - middle_of(top, Tissue.AORTA)).max() < 3
    artery, vein = (middle_of(low, t) for t in (Tissue.BRANCH_ARTERY, Tissue.MESENTERIC_VEIN))
    assert (artery - vein)[1] == pytest.approx(APART_MM / STEP_MM, abs=1.5)


def test_the_vein_lies_in_a_groove_of_the_pancreas_and_the_artery_does_not() -> None:
    before = with_portal(pancreas=True)
    found = with_branches(before, wide(artery_mm=20.0)).viscera

    pancreas = before.viscera == Tissue.PANCREAS
    assert (found[pancreas] == Tissue.MESENTERIC_VEIN).any()
    assert not (found[pancreas] == Tissue.BRANCH_ARTERY).any()


def test_no_other_organ_gives_way() -> None:
    before = with_portal(bowel=True)
    found = with_branches(before, wide(renal=3.0)).viscera

    changed = (found != before.viscera) & ~np.isin(before.viscera, BRANCHES)
    may = (Tissue.AIR, Tissue.MEDIASTINAL_FAT, Tissue.BOWEL_CONTENT, Tissue.FAECES)
    assert np.isin(before.viscera[changed], may).all()


def test_fat_lies_between_a_branch_and_bowel() -> None:
    found = with_branches(with_portal(bowel=True), wide()).viscera

    plane = found[PORTAL_SLICE - 8]
    row, column = (round(float(v)) for v in middle_of(plane, Tissue.MESENTERIC_VEIN))
    beside = plane[row, :column][::-1]
    first = beside[np.flatnonzero(beside != Tissue.MESENTERIC_VEIN)[0]]
    assert first == Tissue.AIR
    assert (beside == Tissue.BOWEL_CONTENT).any()


def test_renal_vessels_reach_from_trunk_to_kidney_on_both_sides() -> None:
    found = with_branches(TEMPLATE, Branches(renal=2.0)).viscera

    columns = np.flatnonzero((found == Tissue.RENAL_VEIN).any(axis=(0, 1)))
    cava = np.argwhere(found == Tissue.INFERIOR_VENA_CAVA)[:, 2].mean()
    kidneys = [
        np.argwhere(found == kidney)[:, 2] for kidney in (Tissue.KIDNEY_RIGHT, Tissue.KIDNEY_LEFT)
    ]
    assert columns[0] <= kidneys[0].max() + 1
    assert columns[-1] >= kidneys[1].min() - 1
    assert columns[0] < cava < columns[-1]
    left = (found == Tissue.RENAL_VEIN) & (np.arange(found.shape[2]) > cava + 3)
    over = left.any(axis=(0, 1)) & (found == Tissue.AORTA).any(axis=(0, 1))
    rows = np.argwhere(left & over)[:, 1]
    assert rows.mean() < np.argwhere(found == Tissue.AORTA)[:, 1].mean(), "before the aorta"


def test_renal_vessels_end_at_the_inner_side_of_the_kidneys() -> None:
    viscera = TEMPLATE.viscera.copy()
    for inside in (np.s_[60:74, 27:31, 17:23], np.s_[60:74, 27:31, 45:51]):
        viscera[inside] = Tissue.AIR

    found = with_branches(replace(TEMPLATE, viscera=viscera)).viscera

    columns = np.flatnonzero(np.isin(found, BRANCHES).any(axis=(0, 1)))
    middles = [
        np.argwhere(TEMPLATE.viscera == kidney)[:, 2].mean()
        for kidney in (Tissue.KIDNEY_RIGHT, Tissue.KIDNEY_LEFT)
    ]
    assert middles[0] <= columns[0]
    assert columns[-1] <= middles[1]


def test_width_zero_paints_no_renal_vessels() -> None:
    assert not np.isin(with_branches(TEMPLATE, Branches(renal=0.0)).viscera, BRANCHES).any()


@pytest.mark.parametrize("missing", [Tissue.AORTA, Tissue.INFERIOR_VENA_CAVA])
def test_a_map_without_a_trunk_gets_no_branches_of_it(missing: Tissue) -> None:
    template = with_portal()
    bare = replace(template, viscera=np.where(template.viscera == missing, 0, template.viscera))

    assert not np.isin(with_branches(bare, wide()).viscera, BRANCHES).any()


def test_branches_of_before_are_gone_and_depth_is_theirs() -> None:
    many = with_branches(with_portal(), wide(vein_mm=25.0))
    again = with_branches(many, wide())

    alone = with_branches(with_portal(), wide()).viscera
    assert (np.isin(again.viscera, BRANCHES) == np.isin(alone, BRANCHES)).all()
    assert (again.depth == depth_of(again.viscera, STEP_MM)).all()


def test_a_tube_is_as_wide_as_asked_and_its_box_stays_in_the_map() -> None:
    points = np.array([[float(x), 10.0, 20.0] for x in range(-5, 40)])
    tube = Tube(tissue=Tissue.RENAL_VEIN, points_mm=points, radius_mm=np.full(len(points), 4.0))

    shape = (40, 30, 30)
    box, inside = drawn(tube, shape, 1.0)

    assert all(0 <= side.start < side.stop <= n for side, n in zip(box, shape, strict=True))
    plane = inside[:, :, 10 - box[2].start]
    assert plane.sum() == pytest.approx(np.pi * 16, rel=0.1)
