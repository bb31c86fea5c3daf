"""Relatives of a template: organs of the size asked for, vessels that part where asked, everything else as it was."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.domain.errors import InferenceFailed
from tests.unit.training.templates.tiny_torso import STEP_MM, tiny_template
from training.all_models import Everything, relatives_of
from training.origins import anatomies_in_words, record_templates
from training.synthetic.labels import Tissue
from training.templates.__main__ import main
from training.templates.branches import BRANCHES, Branches, with_branches
from training.templates.crura import Crura, with_crura
from training.templates.depth import depth_of
from training.templates.relatives import (
    COURSED,
    FIXED_LEVELS,
    GIVE_WAY,
    MOVED_MM,
    PARTING_LEVEL,
    TURNED_DEG,
    RelativePlan,
    _height_mm,
    relative_of,
    sample_relative,
)
from training.templates.reshape import Change
from training.templates.template import Template

TEMPLATE = tiny_template()
CUBE_ML = STEP_MM**3 / 1000
SAME = RelativePlan(
    organs={},
    sinus_mm=0.0,
    grown_mm={},
    arteries_part_mm=36 * STEP_MM,
    veins_part_mm=36 * STEP_MM,
    aside_mm={},
    bent_at=0.5,
    crura=Crura(),
    branches=Branches(),
)
"""The tiny torso's aorta and vena cava begin at slice 36."""


def lowest_slice(viscera: np.ndarray, tissue: Tissue) -> int:
    return int(np.flatnonzero((viscera == tissue).any(axis=(1, 2)))[0])


def volume_ml(viscera: np.ndarray, tissue: Tissue) -> float:
    return float((viscera == tissue).sum()) * CUBE_ML


def test_a_plan_that_changes_nothing_leaves_the_template_as_it_is() -> None:
    same = relative_of(TEMPLATE, SAME)

    assert (same.viscera == TEMPLATE.viscera).all()
    assert (same.depth == TEMPLATE.depth).all()


@pytest.mark.parametrize("factor", [0.8, 1.3])
def test_an_organ_gets_the_size_asked_for(factor: float) -> None:
    plan = replace(
        SAME,
        organs={Tissue.SPLEEN: Change(scale=(factor, 1.0, 1.0), anchor=(0.0, 0.0, 0.0))},
    )
    found = relative_of(TEMPLATE, plan).viscera

    wanted = volume_ml(TEMPLATE.viscera, Tissue.SPLEEN) * factor
    assert volume_ml(found, Tissue.SPLEEN) == pytest.approx(wanted, rel=0.12)


def test_the_anchor_stays() -> None:
    """At the lower end of the organ: it grows upwards alone."""
    plan = replace(
        SAME,
        organs={Tissue.SPLEEN: Change(scale=(1.3, 1.0, 1.0), anchor=(-1.0, 0.0, 0.0))},
    )
    found = relative_of(TEMPLATE, plan).viscera

    before = np.flatnonzero((TEMPLATE.viscera == Tissue.SPLEEN).any(axis=(1, 2)))
    after = np.flatnonzero((found == Tissue.SPLEEN).any(axis=(1, 2)))
    assert after[0] == before[0]
    assert after[-1] >= before[-1] + 3


def test_an_organ_takes_the_place_of_what_gives_way_and_of_nothing_else() -> None:
    plan = replace(
        SAME,
        organs={Tissue.SPLEEN: Change(scale=(1.5, 1.5, 1.5), anchor=(0.0, 0.0, 0.9))},
    )
    found = relative_of(TEMPLATE, plan).viscera

    taken = (found == Tissue.SPLEEN) & (TEMPLATE.viscera != Tissue.SPLEEN)
    assert np.isin(TEMPLATE.viscera[taken], GIVE_WAY).all()
    assert taken.sum() > 20
    assert volume_ml(found, Tissue.STOMACH_CONTENT) == volume_ml(
        TEMPLATE.viscera, Tissue.STOMACH_CONTENT
    )


@pytest.mark.parametrize("lower_by", [-4, 5])
def test_vessels_part_where_asked(lower_by: int) -> None:
    plan = replace(
        SAME,
        arteries_part_mm=(36 - lower_by) * STEP_MM,
        veins_part_mm=(36 - lower_by + 1) * STEP_MM,
    )
    found = relative_of(TEMPLATE, plan).viscera

    assert lowest_slice(found, Tissue.AORTA) == pytest.approx(36 - lower_by, abs=1)
    assert lowest_slice(found, Tissue.INFERIOR_VENA_CAVA) == pytest.approx(37 - lower_by, abs=1)
    above = round(_height_mm(TEMPLATE, 1.6) / STEP_MM) + 1
    assert (found[above:] == TEMPLATE.viscera[above:]).all()
    others = ~np.isin(TEMPLATE.viscera, COURSED) & (TEMPLATE.viscera > 0)
    kept = others & ~np.isin(found, COURSED)
    assert (found[kept] == TEMPLATE.viscera[kept]).all()


def test_a_vessel_bends_aside_and_its_ends_stay() -> None:
    """To the left and to the front, most in the middle of where vessels run anew; the vena cava stays."""
    aside_mm = (-2 * STEP_MM, 3 * STEP_MM)
    plan = replace(SAME, aside_mm={Tissue.AORTA: aside_mm})
    found = relative_of(TEMPLATE, plan).viscera

    middle, top = (
        round(_height_mm(TEMPLATE, level) / STEP_MM) for level in (sum(FIXED_LEVELS) / 2, 1.6)
    )
    slices = [z for z in range(middle - 6, top) if (TEMPLATE.viscera[z] == Tissue.AORTA).any()]
    moved = {
        z: np.argwhere(found[z] == Tissue.AORTA).mean(axis=0)
        - np.argwhere(TEMPLATE.viscera[z] == Tissue.AORTA).mean(axis=0)
        for z in slices
    }
    assert moved[slices[0]] == pytest.approx((-2, 3), abs=0.7)
    assert moved[top - 1] == pytest.approx((0, 0), abs=0.3)
    veins = found == Tissue.INFERIOR_VENA_CAVA
    assert (veins == (TEMPLATE.viscera == Tissue.INFERIOR_VENA_CAVA)).all()


def test_a_vessel_grows_and_shrinks() -> None:
    sizes = []
    for by_mm in (-STEP_MM, 0.0, STEP_MM):
        found = relative_of(TEMPLATE, replace(SAME, grown_mm={Tissue.AORTA: by_mm}))
        sizes.append(volume_ml(found.viscera, Tissue.AORTA))

    assert sizes[0] < 0.5 * sizes[1] < 0.3 * sizes[2]


def test_depth_is_that_of_the_new_organs() -> None:
    plan = sample_relative(TEMPLATE, np.random.default_rng(3))
    relative = relative_of(TEMPLATE, plan)

    assert (relative.depth == depth_of(relative.viscera, STEP_MM)).all()
    assert relative.frame is TEMPLATE.frame


def test_plans_are_spread_and_a_seed_gives_one() -> None:
    plans = [sample_relative(TEMPLATE, np.random.default_rng(seed)) for seed in range(40)]
    again = sample_relative(TEMPLATE, np.random.default_rng(0))

    assert plans[0] == again
    heights = np.array([plan.arteries_part_mm for plan in plans])
    assert heights.std() > 0.3 * PARTING_LEVEL[1] * 7 * STEP_MM
    assert all(plan.veins_part_mm <= plan.arteries_part_mm for plan in plans)
    assert {Tissue.SPLEEN, Tissue.KIDNEY_LEFT} <= set(plans[0].organs)
    assert Tissue.PANCREAS not in plans[0].organs, "the tiny torso has none"


def test_kidneys_of_one_body_are_much_alike() -> None:
    template = tiny_template()
    ratios = []
    for seed in range(40):
        organs = sample_relative(template, np.random.default_rng(seed)).organs
        right, left = (
            float(np.prod(organs[side].scale)) for side in (Tissue.KIDNEY_RIGHT, Tissue.KIDNEY_LEFT)
        )
        ratios.append(right / left)

    assert 0.85 < float(np.median(ratios)) < 1.18
    assert max(ratios) < 2.0


def test_organs_move_every_way_and_kidneys_up_and_down_together() -> None:
    plans = [sample_relative(TEMPLATE, np.random.default_rng(seed)).organs for seed in range(300)]
    right, left = (
        np.array([organs[side].moved_mm for organs in plans])
        for side in (Tissue.KIDNEY_RIGHT, Tissue.KIDNEY_LEFT)
    )

    assert (left.std(axis=0) > 0.4 * np.array(MOVED_MM[Tissue.KIDNEY_LEFT])).all()
    assert np.corrcoef(right[:, 0], left[:, 0])[0, 1] > 0.15
    assert np.abs(np.corrcoef(right[:, 2], left[:, 2])[0, 1]) < 0.15
    turned = np.array([organs[Tissue.KIDNEY_LEFT].turned_deg for organs in plans])
    assert (np.abs(turned) <= TURNED_DEG[Tissue.KIDNEY_LEFT]).all()
    assert (turned.std(axis=0) > 4).all()


def test_the_command_writes_files_that_say_whose_relatives_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    TEMPLATE.write(tmp_path / "tiny.npz")
    order = ["relatives", "--template", str(tmp_path / "tiny.npz"), "--out", str(tmp_path / "out")]

    assert main([*order, "--count", "2", "--seed", "7"]) == 0

    written = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in written] == ["tiny-7-00.npz", "tiny-7-01.npz"]
    sources = {str(Template.read(path).source) for path in written}
    assert len(sources) == 1
    assert sources.pop().startswith("relatives of tiny (sha256 ")
    assert "2 of 2" in capsys.readouterr().out
    assert main([*order, "--count", "0"]) == 2
    assert main([*order, "--count", "1", "--seed", "-1"]) == 2


def test_relatives_are_told_together(tmp_path: Path) -> None:
    for name in ("a-1-00", "a-1-01"):
        replace(TEMPLATE, source=np.array("relatives of a (sha256 1; me)")).write(
            tmp_path / f"{name}.npz"
        )
    TEMPLATE.write(tmp_path / "a.npz")
    record_templates(tmp_path / "pool", sorted(tmp_path.glob("*.npz")))

    told = anatomies_in_words(tmp_path / "pool", [Path("000001-painted-0.npz")])

    assert "; 2 relatives of a (sha256 1; me)]" in told
    assert told.count("relatives of") == 1


def test_a_training_of_everything_makes_relatives_once(tmp_path: Path) -> None:
    TEMPLATE.write(tmp_path / "tiny.npz")
    order = Everything(
        out=tmp_path / "runs",
        seconds=1.0,
        pool_seconds=0.0,
        workers=1,
        seed=4,
        planned_seconds=None,
        resume=False,
        code_revision="",
        configs=tmp_path,
        most_anatomies=1,
        templates=(tmp_path / "tiny.npz",),
        relatives=2,
    )
    first = relatives_of(order)
    made = [path.stat().st_mtime_ns for path in first]

    assert [path.name for path in first] == ["tiny-4-00.npz", "tiny-4-01.npz"]
    assert relatives_of(order) == first
    assert [path.stat().st_mtime_ns for path in first] == made
    assert relatives_of(replace(order, relatives=0)) == ()
    with pytest.raises(InferenceFailed, match="without relatives"):
        relatives_of(replace(order, templates=(tmp_path / "none.npz",)))


def test_the_gaps_of_kidneys_are_filled_and_their_outside_stays() -> None:
    hollow = TEMPLATE.viscera.copy()
    kidney = hollow == Tissue.KIDNEY_LEFT
    z, y, x = (round(float(middle)) for middle in np.argwhere(kidney).mean(axis=0))
    gap = np.zeros_like(kidney)
    gap[z - 3 : z + 3, y - 1 : y + 1, x:] = True
    hollow[gap & kidney] = 0
    template = replace(TEMPLATE, viscera=hollow)
    plan = replace(
        SAME,
        organs={Tissue.KIDNEY_LEFT: Change(scale=(1.0, 1.0, 1.0), anchor=(0.0, 0.0, 0.0))},
    )
    left = {
        sinus_mm: relative_of(template, replace(plan, sinus_mm=sinus_mm)).viscera
        == Tissue.KIDNEY_LEFT
        for sinus_mm in (0.0, 3 * STEP_MM)
    }

    assert (left[0.0] == (hollow == Tissue.KIDNEY_LEFT)).all()
    assert left[3 * STEP_MM].sum() > left[0.0].sum() + 10
    assert not (left[3 * STEP_MM] & ~kidney).any()


def test_an_aorta_grows_where_crura_lay() -> None:
    tight = with_crura(TEMPLATE, Crura(thickness=3.0, gap_mm=0.0))
    bare = replace(
        tight, viscera=np.where(tight.viscera == Tissue.DIAPHRAGM, Tissue.AIR, tight.viscera)
    )
    plan = replace(SAME, grown_mm={Tissue.AORTA: 2 * STEP_MM})

    assert (relative_of(tight, plan).viscera == relative_of(bare, plan).viscera).all()


def test_an_aorta_grows_where_branches_lay() -> None:
    full = with_branches(TEMPLATE, Branches(renal=3.0))
    bare = replace(
        full, viscera=np.where(np.isin(full.viscera, BRANCHES), Tissue.AIR, full.viscera)
    )
    plan = replace(SAME, grown_mm={Tissue.AORTA: 2 * STEP_MM})

    assert (relative_of(full, plan).viscera == relative_of(bare, plan).viscera).all()


def test_a_pancreas_grows_thin() -> None:
    plans = [sample_relative(TEMPLATE, np.random.default_rng(seed)) for seed in range(20)]
    thinned_mm = [plan.grown_mm[Tissue.PANCREAS] for plan in plans]

    assert min(thinned_mm) < -2.0
    assert max(thinned_mm) < 0.5


def test_crura_differ_from_relative_to_relative() -> None:
    plans = [sample_relative(TEMPLATE, np.random.default_rng(seed)) for seed in range(4)]
    thin, thick = (
        relative_of(TEMPLATE, replace(SAME, crura=Crura(thickness=thickness)))
        for thickness in (0.5, 3.0)
    )

    assert len({plan.crura.thickness for plan in plans}) == 4
    assert len({plan.crura.gap_mm for plan in plans}) == 4
    assert len({plan.crura.turned_deg for plan in plans}) == 4
    assert {plan.crura.beside_mm is None for plan in plans} == {True, False}
    assert 0 < (thin.viscera == Tissue.DIAPHRAGM).sum() < (thick.viscera == Tissue.DIAPHRAGM).sum()


def test_a_wide_aorta_grows_to_the_front_and_the_gut_before_it_makes_room() -> None:
    viscera = TEMPLATE.viscera.copy()
    aorta = np.argwhere(viscera == Tissue.AORTA)
    front, left = aorta[:, 1].min(), aorta[:, 2].max()
    viscera[50:54, front - 4 : front, left - 2 : left + 1] = Tissue.DUODENUM
    viscera[56:60, front - 4 : front, left - 2 : left + 1] = Tissue.STOMACH_CONTENT
    plan = replace(SAME, grown_mm={Tissue.AORTA: 2 * STEP_MM})

    found = relative_of(replace(TEMPLATE, viscera=viscera), plan).viscera

    rows = {z: np.argwhere(found[z] == Tissue.AORTA)[:, 0] for z in (46, 51, 57)}
    before = np.argwhere(TEMPLATE.viscera[46] == Tissue.AORTA)[:, 0]
    assert rows[46].mean() < before.mean() - 0.7
    assert (rows[46].min(), rows[46].max()) == (before.min() - 3, before.max() + 1)
    assert len(rows[51]) == len(rows[46])
    assert len(rows[57]) < len(rows[46])
    assert (found[56:60] == Tissue.STOMACH_CONTENT).sum() == (
        viscera[56:60] == Tissue.STOMACH_CONTENT
    ).sum()


def test_branches_differ_from_relative_to_relative() -> None:
    plans = [sample_relative(TEMPLATE, np.random.default_rng(seed)).branches for seed in range(30)]
    thin, thick = (
        relative_of(TEMPLATE, replace(SAME, branches=Branches(renal=factor))).viscera
        for factor in (0.7, 2.5)
    )

    for name in (
        "vein_mm",
        "taper",
        "artery_mm",
        "length_mm",
        "forwards_mm",
        "rightwards_mm",
        "renal",
    ):
        assert len({getattr(plan, name) for plan in plans}) == 30
    assert (thin == Tissue.RENAL_VEIN).sum() < (thick == Tissue.RENAL_VEIN).sum()
