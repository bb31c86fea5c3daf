"""What the chain makes of curves, right and wrong ones."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.stages.spine_chain import (
    CHAIN,
    LandmarkCurves,
    Opinion,
    SpinePosterior,
    spine_posterior,
)
from tests.unit.inference.stages.drawn_spines import FIELD_MM, USUAL_STEPS_MM, curves_of, spine_mm

REACH_MM = 10.0


def _posterior(*curves: LandmarkCurves, weight: float = 0.8) -> SpinePosterior:
    opinions = [Opinion(curves=one, weight=weight) for one in curves]
    return spine_posterior(opinions, floor=0.02, outside=0.5)


def _l3_mm(posterior: SpinePosterior) -> float:
    return posterior.likeliest_mm("L3", REACH_MM)


@pytest.mark.parametrize("size", [0.6, 0.8, 1.0, 1.2])
def test_clear_curves_are_believed_at_every_size_of_body(size: float) -> None:
    places = spine_mm(size=size)

    posterior = _posterior(curves_of(places))

    for name in CHAIN:
        assert posterior.likeliest_mm(name, REACH_MM) == pytest.approx(places[name], abs=3)
    assert posterior.within("L3", 0, REACH_MM) > 0.95


def test_every_marginal_adds_up_to_one() -> None:
    posterior = _posterior(curves_of(spine_mm(), (-100, 40)))

    for name in CHAIN:
        assert posterior.marginals[name].sum() == pytest.approx(1)
    assert sum(posterior.lumbar_counts.values()) == pytest.approx(1)


@pytest.mark.parametrize("wrong", ["L2", "L4"])
def test_a_lone_wrong_peak_is_overruled_by_its_neighbours(wrong: str) -> None:
    places = spine_mm()

    posterior = _posterior(curves_of(places | {"L3": places[wrong]}))

    assert _l3_mm(posterior) == pytest.approx(0, abs=4)
    assert posterior.within("L3", 0, REACH_MM) > 0.8


def test_below_the_floor_a_curve_makes_no_difference() -> None:
    """A network that is sure that a landmark is nowhere cannot veto what its neighbours say."""
    hum = curves_of(spine_mm(), heights={"L3": 0.0})
    silence = replace(hum, probability=np.where(hum.probability < 0.01, 0.0, hum.probability))

    told, not_told = _posterior(hum), _posterior(silence)

    assert not_told.within("L3", 0, REACH_MM) == pytest.approx(
        told.within("L3", 0, REACH_MM), abs=0.01
    )


def test_a_missing_peak_is_filled_in() -> None:
    posterior = _posterior(curves_of(spine_mm(), heights={"L3": 0.0}))

    assert _l3_mm(posterior) == pytest.approx(0, abs=4)
    assert posterior.within("L3", 0, REACH_MM) > 0.8


def test_of_two_peaks_the_one_that_fits_the_neighbours_is_taken() -> None:
    places = spine_mm()
    right = curves_of(places, heights={"L3": 0.45})
    wrong = curves_of(places | {"L3": places["L4"]}, heights={"L3": 0.55})
    both = np.maximum(right.probability, wrong.probability)

    posterior = _posterior(
        LandmarkCurves(
            names=right.names, probability=both, first_z_mm=right.first_z_mm, step_mm=3.0
        )
    )

    assert _l3_mm(posterior) == pytest.approx(0, abs=4)


def test_four_lumbar_bodies_are_counted_and_l3_stays_where_it_is() -> None:
    places = spine_mm()
    places |= {"S1": places["L4"] - 25.0}
    del places["L5"]

    posterior = _posterior(curves_of(places))

    assert posterior.lumbar_counts[4] > 0.7
    assert _l3_mm(posterior) == pytest.approx(0, abs=3)


def test_six_lumbar_bodies_are_counted_and_l3_stays_where_it_is() -> None:
    posterior = _posterior(curves_of(spine_mm(steps_mm=(*USUAL_STEPS_MM[:-1], 58.0))))

    assert posterior.lumbar_counts[6] > 0.5
    assert _l3_mm(posterior) == pytest.approx(0, abs=3)


def test_a_sacrum_beyond_the_field_tells_nothing_of_the_count() -> None:
    posterior = _posterior(curves_of(spine_mm(), (-60, 210)))

    assert posterior.lumbar_counts[5] > 0.75


@pytest.mark.parametrize(
    ("field_mm", "has_l3"),
    [
        ((-330, 25), True),
        ((-25, 210), True),
        ((-40, 60), True),
        ((-330, -20), False),
        ((20, 210), False),
        ((-330, -130), False),
        ((80, 210), False),
    ],
)
def test_a_cut_field_has_l3_or_has_it_not(field_mm: tuple[float, float], has_l3: bool) -> None:
    posterior = _posterior(curves_of(spine_mm(), field_mm))

    assert (posterior.in_field("L3") > 0.5) == has_l3
    if has_l3:
        assert _l3_mm(posterior) == pytest.approx(0, abs=4)


def test_flat_curves_have_no_l3() -> None:
    posterior = _posterior(curves_of({}))

    assert posterior.in_field("L3") < 0.05


def test_a_second_opinion_decides_where_the_first_is_torn() -> None:
    places = spine_mm()
    torn = curves_of(places, heights=dict.fromkeys(CHAIN, 0.5))
    shifted = curves_of(spine_mm(l3_mm=34.0), heights=dict.fromkeys(CHAIN, 0.5))
    unsure = LandmarkCurves(
        names=torn.names,
        probability=np.maximum(torn.probability, shifted.probability),
        first_z_mm=torn.first_z_mm,
        step_mm=3.0,
    )
    sure = curves_of(places, step_mm=4.0)

    alone, both = _posterior(unsure), _posterior(unsure, sure)

    assert both.within("L3", 0, REACH_MM) > max(0.9, alone.within("L3", 0, REACH_MM))


def test_a_collapsed_body_does_not_move_the_count() -> None:
    places = spine_mm(steps_mm=(26, 29, 31, 34, 22, 21, 33, 24))

    posterior = _posterior(curves_of(places))

    assert _l3_mm(posterior) == pytest.approx(places["L3"], abs=3)


@given(
    shift_rows=st.integers(-60, 30),
    size=st.floats(0.7, 1.2),
    tall=st.lists(st.floats(0.05, 0.95), min_size=9, max_size=9),
)
@settings(max_examples=25, deadline=None)
def test_curves_that_are_shifted_shift_the_answer(
    shift_rows: int, size: float, tall: list[float]
) -> None:
    heights = dict(zip(CHAIN, tall, strict=True))
    shift_mm = shift_rows * 3.0
    low, high = FIELD_MM

    here = _posterior(curves_of(spine_mm(size=size), heights=heights))
    there = _posterior(
        curves_of(spine_mm(shift_mm, size), (low + shift_mm, high + shift_mm), heights=heights)
    )

    assert there.in_field("L3") == pytest.approx(here.in_field("L3"), abs=1e-6)
    if here.in_field("L3") > 0.01:
        assert _l3_mm(there) == pytest.approx(_l3_mm(here) + shift_mm, abs=1e-6)
