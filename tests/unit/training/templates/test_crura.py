"""The crura of the diaphragm beside the aorta of a template."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.training.templates.tiny_torso import STEP_MM, tiny_template
from training.synthetic.labels import Tissue
from training.templates.crura import ARCH_LEVELS, Crura, with_crura
from training.templates.depth import depth_of
from training.templates.template import Codes, Template

TEMPLATE = tiny_template()
PLAIN = Crura(gap_mm=0.0, beside_mm=None)


def at_level(template: Template, level: float) -> Codes:
    """The viscera of the slice so many vertebrae above L3."""
    names = list(template.body_names)
    z_mm = [float(template.body_centre_mm[names.index(name), 2]) for name in ("L3", "L2")]
    height_mm = z_mm[0] + level * (z_mm[1] - z_mm[0])
    plane: Codes = template.viscera[round(height_mm / STEP_MM)]
    return plane


def columns_of(plane: Codes, tissue: Tissue) -> np.ndarray:
    """x of the tissue from the aorta's middle, in voxels; negative to the right."""
    middle = np.nonzero(plane == Tissue.AORTA)[1].mean()
    aside: np.ndarray = np.nonzero(plane == tissue)[1] - middle
    return aside


def without_crura(template: Template) -> Codes:
    """Its viscera."""
    return np.where(template.viscera == Tissue.DIAPHRAGM, Tissue.AIR, template.viscera)


def test_a_built_template_has_crura() -> None:
    assert (TEMPLATE.viscera == Tissue.DIAPHRAGM).any()


def test_muscle_lies_on_both_sides_of_the_aorta_and_more_of_it_on_the_right() -> None:
    template = with_crura(TEMPLATE, replace(PLAIN, thickness=1.0))

    aside = columns_of(at_level(template, 2.0), Tissue.DIAPHRAGM)

    assert (aside < 0).sum() > (aside > 0).sum() > 0


def test_the_right_crus_reaches_lower_and_below_there_is_none() -> None:
    template = with_crura(TEMPLATE, replace(PLAIN, thickness=1.5))

    assert (columns_of(at_level(template, 1.4), Tissue.DIAPHRAGM) < 0).all()
    for level in (0.7, 0.0, -1.0):
        assert not (at_level(template, level) == Tissue.DIAPHRAGM).any()


def test_before_the_aorta_they_meet_at_the_median_arcuate_ligament_alone() -> None:
    template = with_crura(TEMPLATE, replace(PLAIN, thickness=1.5))

    def before(level: float) -> int:
        plane = at_level(template, level)
        rows, columns = np.nonzero(plane == Tissue.AORTA)
        front = plane[: rows.min(), columns.min() : columns.max() + 1]
        return int((front == Tissue.DIAPHRAGM).sum())

    assert before(sum(ARCH_LEVELS) / 2) > 0
    assert before(ARCH_LEVELS[0] - 0.4) == 0


def test_nothing_that_the_map_has_gives_way() -> None:
    crura = with_crura(TEMPLATE, Crura(thickness=3.0))
    muscle = crura.viscera == Tissue.DIAPHRAGM

    assert (without_crura(crura) == without_crura(TEMPLATE))[~muscle].all()
    assert np.isin(without_crura(TEMPLATE)[muscle], (Tissue.AIR, Tissue.MEDIASTINAL_FAT)).all()
    assert not (crura.frame[muscle] > 0).any()


def test_the_crura_of_before_are_gone() -> None:
    strong = with_crura(TEMPLATE, Crura(thickness=3.0))

    again = with_crura(strong, PLAIN)

    assert (again.viscera == Tissue.DIAPHRAGM).sum() < (strong.viscera == Tissue.DIAPHRAGM).sum()
    assert (again.viscera == Tissue.DIAPHRAGM).any()


def test_depths_are_those_of_the_new_viscera() -> None:
    crura = with_crura(TEMPLATE, Crura(thickness=2.0))

    assert (crura.depth == depth_of(crura.viscera, STEP_MM)).all()


@pytest.mark.parametrize("thickness", [0.0, 1.0])
def test_a_map_without_an_aorta_or_a_body_without_muscle_has_none(thickness: float) -> None:
    viscera = TEMPLATE.viscera.copy()
    if thickness:
        viscera[viscera == Tissue.AORTA] = Tissue.AIR

    bare = with_crura(replace(TEMPLATE, viscera=viscera), Crura(thickness=thickness))

    assert not (bare.viscera == Tissue.DIAPHRAGM).any()


def test_the_leaf_runs_along_the_lungs() -> None:
    viscera = TEMPLATE.viscera.copy()
    rows, columns = np.nonzero(at_level(TEMPLATE, 4.0) == Tissue.AORTA)
    beside = (slice(rows.min(), rows.max() + 4), slice(columns.max() + 6, columns.max() + 9))
    for level in (3.9, 4.0, 4.1):
        at_level(replace(TEMPLATE, viscera=viscera), level)[beside] = Tissue.LUNG

    plane = at_level(with_crura(replace(TEMPLATE, viscera=viscera), PLAIN), 4.0)

    border = plane[beside[0], columns.max() + 5]
    assert np.isin(border, (Tissue.DIAPHRAGM, *np.unique(at_level(TEMPLATE, 4.0)[beside]))).all()
    assert (border == Tissue.DIAPHRAGM).any()


def test_a_right_crus_of_its_own_stands_off_the_aorta_beside_the_spine() -> None:
    hugging, near, far = (
        columns_of(
            at_level(with_crura(TEMPLATE, replace(PLAIN, beside_mm=mm)), 2.0), Tissue.DIAPHRAGM
        )
        for mm in (None, 21.0, 27.0)
    )

    assert hugging.min() == -3
    assert near[near < 0].max() < -5
    assert far[far < 0].mean() < near[near < 0].mean()


def test_it_is_turned_and_lies_between_l2_and_t9_alone() -> None:
    upright, turned = (
        with_crura(TEMPLATE, replace(PLAIN, beside_mm=16.0, turned_deg=by)) for by in (0.0, 40.0)
    )

    assert (at_level(upright, 2.4) != at_level(turned, 2.4)).any()
    for level in (0.8, 0.0):
        assert not (at_level(turned, level) == Tissue.DIAPHRAGM).any()
