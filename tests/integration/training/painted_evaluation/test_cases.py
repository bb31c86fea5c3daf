"""Evaluated cases: everything follows from the seed, fields of every kind, never more voxels than can be afforded."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.training.templates.tiny_torso import tiny_template
from training.painted_evaluation.cases import (
    EDGE,
    EXTENT_RC_MM,
    FIRST_SEED,
    FIRST_VARIANT_SEED,
    MOST_VOXELS,
    PIXEL_MM,
    SLICE_MM,
    WITHIN_L3,
    Part,
    field_of,
    make_case,
    order_of,
    planned,
    spacing_of,
)
from training.painted_evaluation.score_level import ends_of, truth_of
from training.painted_evaluation.scores import Ends, Truth
from training.templates.case import grid_for
from training.templates.patient import patient_of

EVERY = frozenset(Part)
FEW = 200_000


def test_templates_take_turns_and_variants_have_seeds_of_their_own() -> None:
    orders = planned(["a", "b"], 4, EVERY, has_variants=False)
    assert [order.seed - FIRST_SEED for order in orders] == [0, 1, 2, 3]
    assert [order.template for order in orders] == ["a", "b", "a", "b"]
    (third,) = planned(["a", "b"], 1, EVERY, has_variants=False, skipped=3)
    assert third == orders[3]
    (variant,) = planned(["a"], 1, EVERY, has_variants=True)
    assert (variant.seed, variant.has_variants) == (FIRST_VARIANT_SEED, True)


def test_a_seed_gives_the_same_case_whatever_else_is_asked_for() -> None:
    order = order_of(FIRST_SEED + 4, ["tiny"], EVERY, FEW)
    first = make_case(order, tiny_template())
    again = make_case(replace(order, parts=frozenset({Part.LEVEL})), tiny_template())

    assert first.field_kind == again.field_kind
    np.testing.assert_array_equal(first.painted.volume.hu, again.painted.volume.hu)


@pytest.mark.parametrize("height_mm", [30.0, 90.0, 250.0, 430.0, 700.0])
def test_no_case_has_more_voxels_than_can_be_afforded(height_mm: float) -> None:
    for seed in range(200):
        slice_mm, row_mm, column_mm = spacing_of(height_mm, np.random.default_rng(seed))
        rows, columns = (round(extent / row_mm) for extent in EXTENT_RC_MM)

        assert row_mm == column_mm
        assert SLICE_MM[0] <= slice_mm <= SLICE_MM[1]
        assert PIXEL_MM[0] <= row_mm <= PIXEL_MM[1]
        assert (int(height_mm / slice_mm) + 1) * rows * columns <= 1.02 * MOST_VOXELS


def test_short_fields_have_thin_slices_and_small_pixels() -> None:
    steps = [spacing_of(60.0, np.random.default_rng(seed))[:2] for seed in range(100)]
    assert min(steps)[0] < 1.6
    assert min(row for _, row in steps) < 0.8


def test_an_edge_ends_within_l3_and_nothing_else_does() -> None:
    seen = set()
    for seed in range(FIRST_SEED, FIRST_SEED + 60):
        patient = patient_of(tiny_template(), seed)
        kind, limits = field_of(
            patient, order_of(seed, ["tiny"], EVERY), np.random.default_rng(seed)
        )
        low, high = patient.l3_extent_mm
        ends_within = [low < limit < high for limit in limits]
        assert sum(ends_within) == (kind == EDGE)
        assert limits[1] - limits[0] > 30
        seen.add(kind)
    assert EDGE in seen
    assert len(seen) > 5


def test_the_tissue_network_alone_gets_the_slices_of_l3() -> None:
    order = order_of(FIRST_SEED, ["tiny"], frozenset({Part.TISSUE}), FEW)
    made = make_case(order, tiny_template())

    assert made.field_kind == WITHIN_L3
    assert made.painted.has_l3
    assert made.painted.grid.axis_mm(0)[-1] - made.painted.grid.axis_mm(0)[0] < 80


def test_truth_tells_whole_from_partly_and_absent() -> None:
    made = make_case(order_of(FIRST_SEED, ["tiny"], frozenset({Part.TISSUE}), FEW), tiny_template())
    case = made.painted
    low, high = case.patient.l3_extent_mm
    steps = (2.0, 4.0, 4.0)

    def truth(first_mm: float, last_mm: float) -> Truth:
        grid = grid_for((first_mm, last_mm), steps, (20, 20), np.random.default_rng(0))
        return truth_of(replace(case, grid=grid))

    assert truth(low - 10, high + 10) is Truth.WHOLE
    assert truth((low + high) / 2, high + 40) is Truth.PARTLY
    assert truth(low - 40, (low + high) / 2) is Truth.PARTLY
    assert truth(high + 2, high + 90) is Truth.ABSENT
    assert truth(low - 90, low - 4) is Truth.ABSENT


def test_the_ends_to_count_from_are_those_in_the_field() -> None:
    made = make_case(order_of(FIRST_SEED, ["tiny"], frozenset({Part.TISSUE}), FEW), tiny_template())
    case = made.painted
    t12, s1 = (case.vertebrae[name].centre_lps_mm[2] for name in ("T12", "S1"))

    def ends(first_mm: float, last_mm: float) -> Ends:
        grid = grid_for((first_mm, last_mm), (2.0, 4.0, 4.0), (20, 20), np.random.default_rng(0))
        return ends_of(replace(case, grid=grid))

    assert ends(s1 - 10, t12 + 10) is Ends.BOTH
    assert ends(s1 + 10, t12 + 10) is Ends.ABOVE
    assert ends(s1 - 10, t12 - 10) is Ends.BELOW
    assert ends(s1 + 10, t12 - 10) is Ends.NEITHER
