"""The spine grammar: what is counted, where it stands, and that the label map shows what the truth says."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.unit.training.templates.tiny_torso import STEP_MM as TEMPLATE_STEP_MM
from tests.unit.training.templates.tiny_torso import tiny_template
from training.synthetic.labels import Labels, Tissue
from training.synthetic.torso import Grid
from training.templates import contents
from training.templates.body_plan import BodyPlan, sample_body
from training.templates.geometry import label_map
from training.templates.patient import Patient, assembled, patient_of
from training.templates.spine_plan import LEARNED, SpinePlan, SpineRanges, sample_spine

PLAIN = SpineRanges(
    lumbar_weights=(0.0, 1.0, 0.0), sacralised=0, short_ribs=0, missing_ribs=0, scoliosis=0,
    kyphosis=0, fracture=0, fusion=0,
)  # fmt: skip
STEP_MM = 2.0
BODY_BONE = (Tissue.VERTEBRA_TRABECULAR, Tissue.VERTEBRA_CORTICAL, Tissue.BONE_CEMENT)


def plans(seed: int, ranges: SpineRanges = PLAIN) -> tuple[BodyPlan, SpinePlan]:
    template = tiny_template()
    body = sample_body(np.random.default_rng((seed, 1)))
    spine = sample_spine(np.random.default_rng((seed, 2)), tuple(template.body_names), ranges)
    return body, spine


def patient(seed: int, **ranges: object) -> Patient:
    return assembled(tiny_template(), *plans(seed, replace(PLAIN, **ranges)))  # type: ignore[arg-type]  # values of mixed types


def spine_block(whole: Patient) -> tuple[Labels, Grid]:
    """Labels about the spine only."""
    low, high = whole.reach_mm
    line = np.array([v.centre_lps_mm for v in whole.vertebrae.values()])
    x, y = line[:, 0].mean(), line[:, 1].mean()
    side = 2 * round((np.ptp(line[:, :2], axis=0).max() + 90) / STEP_MM / 2)
    grid = Grid(
        shape=(int((high - low) / STEP_MM), side, side),
        spacing_mm=(STEP_MM,) * 3,
        origin_lps_mm=(float(x - side / 2 * STEP_MM), float(y - side / 2 * STEP_MM), low),
    )
    return label_map(whole, grid), grid


def core(labels: Labels, grid: Grid, middle: tuple[float, float, float]) -> np.ndarray:
    """z of body bone in a column about a point, as far as it is one piece."""
    z, y, x = (grid.axis_mm(axis) for axis in range(3))
    near = np.ix_(np.arange(len(z)), np.abs(y - middle[1]) < 5, np.abs(x - middle[0]) < 5)
    bone = np.isin(labels[near], BODY_BONE).mean(axis=(1, 2)) > 0.5
    start = int(np.abs(z - middle[2]).argmin())
    first = last = start
    while first > 0 and bone[first - 1]:
        first -= 1
    while last < len(z) - 1 and bone[last + 1]:
        last += 1
    return z[first : last + 1] if bone[start] else np.zeros(0)


@pytest.mark.parametrize(
    "ranges",
    [
        {},
        {"lumbar_weights": (1.0, 0.0, 0.0)},
        {"lumbar_weights": (0.0, 0.0, 1.0), "lumbarised": 1.0},
        {"scoliosis": 1.0, "scoliosis_mm": (18.0, 18.0)},
        {"kyphosis": 1.0},
    ],
    ids=["plain", "four", "six", "scoliosis", "kyphosis"],
)
def test_bone_stands_where_the_truth_says(ranges: dict[str, object]) -> None:
    whole = patient(3, **ranges)
    labels, grid = spine_block(whole)

    for name in ("L1", "L2", "L3", "T12"):
        vertebra = whole.vertebrae[name]
        z = core(labels, grid, vertebra.centre_lps_mm)
        assert len(z), name
        assert z.mean() == pytest.approx(vertebra.centre_lps_mm[2], abs=2.0), name
        assert np.ptp(z) + STEP_MM == pytest.approx(
            vertebra.z_high_mm - vertebra.z_low_mm, abs=6.5
        ), name


@pytest.mark.parametrize("count", [4, 5, 6])
def test_lumbar_bodies_are_counted_from_the_last_rib_down(count: int) -> None:
    weights = tuple(float(n == count) for n in (4, 5, 6))
    whole = patient(8, lumbar_weights=weights)
    names = [name for name in whole.vertebrae if name.startswith("L")]

    assert whole.spine.lumbar_count == count
    assert names == [f"L{n}" for n in range(count, 0, -1)]
    z = [v.centre_lps_mm[2] for v in whole.vertebrae.values()]
    assert z == sorted(z)
    low, high = (whole.vertebrae[n] for n in ("L4", "L3"))
    assert low.z_high_mm < high.z_low_mm


def test_between_two_bodies_lies_a_disc() -> None:
    whole = patient(4)
    labels, grid = spine_block(whole)
    l3, l4 = whole.vertebrae["L3"], whole.vertebrae["L4"]
    z = (l3.z_low_mm + l4.z_high_mm) / 2
    k, r, c = (
        int(np.abs(grid.axis_mm(axis) - value).argmin())
        for axis, value in enumerate((z, l3.centre_lps_mm[1], l3.centre_lps_mm[0]))
    )

    assert labels[k, r, c] == Tissue.DISC


@pytest.mark.parametrize(
    ("variant", "axis"),
    [({"scoliosis_mm": 25.0}, 0), ({"kyphosis_mm": 25.0}, 1), ({"lordosis_mm": -17.0}, 1)],
)
def test_a_bent_spine_leaves_its_line(variant: dict[str, Any], axis: int) -> None:
    body, spine = plans(9)
    straight = replace(spine, scoliosis_mm=0.0, scoliosis_length_mm=400.0, scoliosis_phase=0.5)
    lines = [
        np.array(
            [v.centre_lps_mm[axis] for v in assembled(tiny_template(), body, s).vertebrae.values()]
        )
        for s in (straight, replace(straight, **variant))
    ]

    assert np.ptp(lines[1] - lines[0]) > 8


def test_discs_are_as_high_as_planned() -> None:
    whole = patient(4)
    plan = {v.name: v for v in whole.spine.vertebrae}
    for name, below in (("L3", "L4"), ("L2", "L3")):
        gap = whole.vertebrae[name].z_low_mm - whole.vertebrae[below].z_high_mm
        wanted = TEMPLATE_STEP_MM * plan[name].disc_below * whole.body.stature
        assert gap == pytest.approx(wanted, abs=1.0)


def test_a_fractured_body_loses_height_in_front() -> None:
    body, spine = plans(5)
    broken = tuple(replace(v, wedge=0.5) if v.name == "L3" else v for v in spine.vertebrae)
    healthy, hurt = (
        assembled(tiny_template(), body, s) for s in (spine, replace(spine, vertebrae=broken))
    )

    heights = [np.subtract(*p.l3_extent_mm[::-1]) for p in (healthy, hurt)]

    assert heights[1] == pytest.approx(0.75 * heights[0], rel=0.02)
    labels, grid = spine_block(hurt)
    assert np.ptp(core(labels, grid, hurt.vertebrae["L3"].centre_lps_mm)) < 0.9 * heights[0]


def test_heights_of_lumbar_bodies_vary_against_ribs_and_pelvis() -> None:
    shares = []
    for seed in range(30):
        v = patient_of(tiny_template(), seed, PLAIN).vertebrae
        shares.append(
            (v["L3"].centre_lps_mm[2] - v["S1"].centre_lps_mm[2])
            / (v["T12"].centre_lps_mm[2] - v["S1"].centre_lps_mm[2])
        )

    assert np.std(shares) > 0.01


def test_the_third_lumbar_body_is_not_known_by_its_looks() -> None:
    looks = set()
    for seed in range(20):
        _, spine = plans(seed)
        looks.add(next(v.source for v in spine.vertebrae if v.name == "L3"))

    assert looks == {"L2", "L3", "L4"}


def test_pools_hold_so_many_odd_spines_that_five_cannot_be_taken_for_granted() -> None:
    counts = [plans(seed, LEARNED)[1].lumbar_count for seed in range(200)]

    assert 0.1 < np.mean([count == 4 for count in counts]) < 0.25
    assert 0.2 < np.mean([count == 6 for count in counts]) < 0.36


def test_a_broken_body_of_the_template_is_not_broken_in_every_patient() -> None:
    whole = tiny_template()
    heights_mm = whole.body_height_mm.copy()
    heights_mm[whole.index_of("L3")] *= 0.7
    template = replace(whole, body_height_mm=heights_mm)
    body, spine = plans(5)
    same = tuple(
        replace(v, source="L3", height=1.0) if v.name in ("L2", "L3") else v
        for v in spine.vertebrae
    )
    usual, mended = (assembled(t, body, replace(spine, vertebrae=same)) for t in (whole, template))

    assert np.subtract(*mended.l3_extent_mm) == pytest.approx(
        np.subtract(*usual.l3_extent_mm), rel=0.01
    )
    stretched = {v.plan.name: v.scale[2] for v in mended.placed}
    assert stretched["L3"] == pytest.approx(body.stature / 0.7)


PELVIS = (Tissue.PELVIS_CORTICAL, Tissue.PELVIS_TRABECULAR)
SACRUM = (Tissue.VERTEBRA_CORTICAL, Tissue.VERTEBRA_TRABECULAR)
RIBS = (Tissue.RIB_CORTICAL, Tissue.RIB_TRABECULAR)


def bone_mm(
    whole: Patient, tissues: tuple[Tissue, ...], z_mm: tuple[float, float], aside_mm: float
) -> np.ndarray:
    """Positions (z, y) of bone within (aside_mm < 0) or beyond so much of the middle."""
    low, high = z_mm
    grid = Grid(
        shape=(int((high - low) / 3), 110, 130),
        spacing_mm=(3.0, 3.0, 3.0),
        origin_lps_mm=(-193.5, -163.5, low),
    )
    x = np.abs(grid.axis_mm(2))
    wanted = x < -aside_mm if aside_mm < 0 else x > aside_mm
    found = np.argwhere(np.isin(label_map(whole, grid), tissues) & wanted)
    return np.stack([grid.axis_mm(0)[found[:, 0]], grid.axis_mm(1)[found[:, 1]]], 1)


def test_the_iliac_crests_stand_high_or_low_against_the_spine() -> None:
    body, spine = plans(6)
    tops = []
    for crest_mm in (-15.0, 15.0):
        whole = assembled(tiny_template(), replace(body, crest_mm=crest_mm), spine)
        tops.append(bone_mm(whole, PELVIS, (0.0, 130.0), 75.0)[:, 0].max())

    assert 21 <= tops[1] - tops[0] <= 39


def test_ribs_slope_more_or_less() -> None:
    body, spine = plans(6)
    heights = []
    for slope in (-0.2, 0.2):
        whole = assembled(tiny_template(), replace(body, rib_slope=slope), spine)
        low, high = whole.vertebrae["T12"].z_low_mm, whole.vertebrae["T11"].z_high_mm
        heights.append(bone_mm(whole, RIBS, (low - 40, high + 40), 80.0)[:, 0].mean())

    assert heights[1] - heights[0] > 8


def test_the_sacrum_tilts_about_its_first_body() -> None:
    body, spine = plans(6)
    ends = []
    for tilt in (-0.3, 0.3):
        whole = assembled(tiny_template(), body, replace(spine, sacral_tilt_rad=tilt))
        ends.append(bone_mm(whole, SACRUM, (-80.0, -40.0), -25.0)[:, 1].mean())

    assert ends[1] < ends[0] - 15


def test_missing_last_ribs_are_not_in_the_map() -> None:
    body, spine = plans(6)
    amounts = []
    for reach in ((1.0, 1.0), (0.0, 0.0)):
        whole = assembled(tiny_template(), body, replace(spine, rib12_reach=reach))
        z = whole.vertebrae["T12"].z_low_mm
        grid = Grid(
            shape=(14, 110, 130),
            spacing_mm=(3.0, 3.0, 3.0),
            origin_lps_mm=(-193.5, -163.5, z - 18),
        )
        amounts.append(
            int(np.isin(label_map(whole, grid), (Tissue.RIB_CORTICAL, Tissue.RIB_TRABECULAR)).sum())
        )

    assert amounts[1] < 0.6 * amounts[0]


def test_screws_are_metal() -> None:
    body, spine = plans(7)
    fused = tuple(replace(v, has_screws=v.name in ("L3", "L4")) for v in spine.vertebrae)

    labels, grid = spine_block(assembled(tiny_template(), body, replace(spine, vertebrae=fused)))
    z = grid.axis_mm(0)[np.flatnonzero((labels == Tissue.METAL).any(axis=(1, 2)))]

    assert len(z) > 20


def test_the_same_seed_gives_the_same_patient() -> None:
    first, again, other = (patient_of(tiny_template(), seed) for seed in (11, 11, 12))

    assert first.body == again.body
    assert first.spine == again.spine
    assert first.vertebrae == again.vertebrae
    assert first.body != other.body


def bowel(seed: int, gas: float) -> dict[Tissue, int]:
    """Voxels of what the bowel of a patient holds."""
    body, spine = plans(seed)
    whole = assembled(tiny_template(), replace(body, bowel_gas=gas, bowel_shrink_mm=2.0), spine)
    low, high = whole.reach_mm
    grid = Grid(
        shape=(round((high - low) / 4.0), 70, 90),
        spacing_mm=(4.0,) * 3,
        origin_lps_mm=(-178.0, -138.0, low),
    )
    labels = label_map(whole, grid)
    held = (Tissue.FAECES, Tissue.BOWEL_CONTENT, Tissue.BOWEL_GAS, Tissue.BOWEL_WALL)
    return {tissue: int((labels == tissue).sum()) for tissue in held}


def test_a_length_of_colon_that_is_blown_up_holds_gas_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(contents, "BLOWN_UP", (9.0, 9.0))
    everywhere = bowel(3, 0.0)
    monkeypatch.setattr(contents, "BLOWN_UP", (-9.0, -9.0))
    nowhere = bowel(3, 0.0)

    assert nowhere[Tissue.FAECES] > 0
    assert everywhere[Tissue.FAECES] == 0
    assert everywhere[Tissue.BOWEL_CONTENT] > 0, "the small bowel is none of it"
    assert everywhere[Tissue.BOWEL_WALL] == nowhere[Tissue.BOWEL_WALL]


def test_colons_with_much_gas_are_blown_up_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    def added(gas: float) -> int:
        with monkeypatch.context() as patch:
            patch.setattr(contents, "BLOWN_UP", (-9.0, -9.0))
            without = sum(bowel(seed, gas)[Tissue.BOWEL_GAS] for seed in range(4))
        return sum(bowel(seed, gas)[Tissue.BOWEL_GAS] for seed in range(4)) - without

    assert added(1.0) > 2 * added(0.0) >= 0
