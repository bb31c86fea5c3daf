"""Found, uncertain (why), or not in the field of view: an answer that is wrong by a vertebra is never silent."""

from dataclasses import replace

import numpy as np
import pytest

from inference.domain.level_calibration import UNCALIBRATED, LevelCalibration
from inference.domain.level_outcome import LevelOutcome
from inference.stages.decide_level import (
    SILENT,
    UPPER_TAKEN,
    SpineLevel,
    confidence_of,
    decide,
    evidence_for,
)
from inference.stages.decide_level import posteriors as posteriors_of
from inference.stages.projections import LANDMARKS
from inference.stages.spine_chain import CHAIN, LandmarkCurves
from tests.unit.inference.stages.drawn_spines import USUAL_STEPS_MM, curves_of, spine_mm

FOUND, UNCERTAIN = LevelOutcome.FOUND, LevelOutcome.UNCERTAIN
FOUR_BODIES = {name: z for name, z in spine_mm().items() if name != "L5"} | {"S1": -60.0}


def _decided(*opinions: LandmarkCurves, by: LevelCalibration = UNCALIBRATED) -> SpineLevel:
    return decide(opinions, by)


def _says(level: SpineLevel, words: str) -> bool:
    return any(words in reason for reason in level.reasons)


def test_two_clear_opinions_that_agree_are_found() -> None:
    level = _decided(curves_of(spine_mm()), curves_of(spine_mm(), step_mm=4.0))

    assert (level.outcome, level.reasons, level.caveats) == (FOUND, (), ())
    assert level.z_mm == pytest.approx(0, abs=1.5)
    assert level.extent_mm == pytest.approx((-14, 14), abs=2)
    assert level.confidence is not None
    assert level.confidence > 0.75


def test_one_opinion_can_be_found_but_says_that_it_was_alone() -> None:
    level = _decided(curves_of(spine_mm()))

    assert (level.outcome, level.caveats) == (FOUND, (SILENT,))


@pytest.mark.parametrize("l3_mm", [34.0, -34.0])
def test_opinions_that_differ_by_a_vertebra_are_never_silent(l3_mm: float) -> None:
    level = _decided(curves_of(spine_mm()), curves_of(spine_mm(l3_mm)))

    assert level.outcome is UNCERTAIN
    assert _says(level, "the two networks place it 34 mm apart")


def test_a_posterior_that_is_torn_names_the_other_level() -> None:
    one, other = curves_of(spine_mm(), height=0.6), curves_of(spine_mm(-34.0), height=0.55)
    torn = replace(one, probability=np.maximum(one.probability, other.probability))

    level = _decided(torn, torn)

    assert level.outcome is UNCERTAIN
    assert _says(level, "34 mm below, is L3 with a probability of") or _says(level, "34 mm above")
    assert _says(level, "what is taken for L4") or _says(level, "what is taken for L2")


def test_a_neighbour_where_no_spine_has_it_is_said() -> None:
    level = _decided(curves_of(spine_mm() | {"L2": 120.0}))

    assert level.outcome is UNCERTAIN
    assert _says(level, "L2 was found 1")


def test_a_body_at_the_edge_of_the_field_is_said() -> None:
    level = _decided(curves_of(spine_mm(), (-9, 210)), curves_of(spine_mm(), (-9, 210)))

    assert level.outcome is UNCERTAIN
    assert _says(level, "cut by the edge of the field of view")


@pytest.mark.parametrize(("field_mm", "side"), [((60, 210), "below"), ((-330, -60), "above")])
def test_a_field_without_l3_says_on_which_side_it_ends(
    field_mm: tuple[float, float], side: str
) -> None:
    level = _decided(curves_of(spine_mm(), field_mm), curves_of(spine_mm(), field_mm))

    assert level.outcome is LevelOutcome.NOT_IN_FIELD
    assert f"lie {side} the field" in level.reasons[0]


def test_an_l3_that_one_network_sees_is_doubted_and_not_denied() -> None:
    """In a short field nothing says which body it is: the chain believes the others, and places L3 outside."""
    bodies = {"L1": 40.0, "L2": 6.0, "L3": -60.0, "L4": -95.0}
    sure = curves_of(bodies, (-40.0, 60.0))
    probability = sure.probability.copy()
    row = round((40.0 - sure.first_z_mm) / sure.step_mm)
    probability[LANDMARKS.index("L3"), row - 1 : row + 2] = 0.6
    other = replace(sure, probability=probability)

    denied, doubted = _decided(sure, sure), _decided(other, sure)

    assert denied.outcome is LevelOutcome.NOT_IN_FIELD
    assert doubted.outcome is UNCERTAIN
    assert _says(doubted, "outside the field of view with a probability")


def test_nothing_seen_at_all_is_no_l3() -> None:
    assert _decided(curves_of({})).outcome is LevelOutcome.NOT_IN_FIELD


@pytest.mark.parametrize(
    ("places", "word"),
    [(FOUR_BODIES, "four"), (spine_mm(steps_mm=(*USUAL_STEPS_MM[:-1], 62.0)), "six")],
)
def test_another_count_than_five_is_for_a_person_to_judge_however_clear(
    places: dict[str, float], word: str
) -> None:
    level = _decided(curves_of(places), curves_of(places))

    assert level.outcome is UNCERTAIN
    assert _says(level, f"{word} lumbar vertebrae seen")


def test_a_count_from_the_sacrum_alone_is_doubted() -> None:
    whole, cut = curves_of(spine_mm()), curves_of(spine_mm(), (-330.0, 55.0))

    level = _decided(cut, cut)

    assert level.z_mm == pytest.approx(0, abs=1.5)
    assert level.outcome is UNCERTAIN
    assert _says(level, "counted from the sacrum")
    assert not _says(_decided(whole, whole), "counted from the sacrum")


def test_a_last_rib_at_the_very_edge_of_the_field_is_not_counted_from() -> None:
    """A rib that is seen there may be of the vertebra above: it hangs down beside L1."""
    t12_mm = spine_mm()["T12"]

    def said(above_mm: float) -> bool:
        seen = curves_of(spine_mm(), (-330.0, t12_mm + above_mm))
        return _says(_decided(seen, seen), "counted from the sacrum")

    assert said(6.0)
    assert not said(24.0)


def test_a_sixth_body_that_is_only_suspected_is_a_doubt() -> None:
    six, five = spine_mm(steps_mm=(*USUAL_STEPS_MM[:-1], 62.0)), spine_mm()
    seen = {
        share: _decided(curves_of(five | {"S1": six["S1"] * share + five["S1"] * (1 - share)}))
        for share in np.linspace(0.3, 0.9, 13)
    }
    suspected = [level for level in seen.values() if _says(level, "six lumbar vertebrae suspected")]

    assert suspected
    assert all(level.outcome is UNCERTAIN for level in suspected)


def test_the_chain_says_which_vertebra_and_the_curves_where_its_middle_is() -> None:
    """A body that stands off the even row of its neighbours is still met in its middle."""
    places = spine_mm(steps_mm=(26, 29, 31, 34, 40, 27, 33, 24))

    level = _decided(curves_of(places))

    assert level.z_mm == pytest.approx(places["L3"], abs=1.5)


def test_a_weak_curve_lowers_the_confidence_until_the_level_is_uncertain() -> None:
    clear, weak = (
        _decided(curves_of(spine_mm(), height=height), curves_of(spine_mm(), height=height))
        for height in (0.95, 0.45)
    )

    assert (weak.confidence or 0) < (clear.confidence or 0)
    assert (clear.outcome, weak.outcome is FOUND) == (FOUND, False)


def test_the_calibration_decides_from_when_on_a_level_is_sure() -> None:
    strict = replace(
        UNCALIBRATED, two_opinions=replace(UNCALIBRATED.two_opinions, confident_from=0.9999)
    )

    level = _decided(curves_of(spine_mm()), curves_of(spine_mm()), by=strict)

    assert level.outcome is UNCERTAIN
    assert len(level.reasons) == 1


def test_the_confidence_is_the_logistic_map_of_what_each_opinion_says() -> None:
    opinions = (curves_of(spine_mm()), curves_of(spine_mm(), height=0.6))
    evidence = evidence_for(opinions, posteriors_of(opinions, UNCALIBRATED))
    flat = replace(UNCALIBRATED.two_opinions, intercept=1.0, joint=0, level=0, spine=0)

    assert confidence_of(evidence, flat) == pytest.approx(1 / (1 + np.exp(-1)))
    assert confidence_of(evidence, replace(flat, spine=1.0)) > confidence_of(evidence, flat)


def test_an_end_plate_that_was_not_seen_is_said_and_taken_at_the_usual_height() -> None:
    seen = curves_of(spine_mm())
    probability = seen.probability.copy()
    probability[LANDMARKS.index("L3_upper")] = 0.0

    level = _decided(replace(seen, probability=probability))

    assert level.extent_mm == pytest.approx((level.z_mm - 14, level.z_mm + 14), abs=2)
    assert any("end plate" in caveat for caveat in level.caveats)


def test_end_plates_are_looked_for_about_the_answer_only() -> None:
    """The curve of L3 is wrong and overruled; the end plates of the wrong vertebra must not stretch the body."""
    places = spine_mm()
    level = _decided(curves_of(places | {"L3": places["L4"]}))

    assert level.z_mm == pytest.approx(0, abs=4)
    assert level.extent_mm == pytest.approx((level.z_mm - 14, level.z_mm + 14))
    assert any("end plate" in caveat for caveat in level.caveats)


def test_every_landmark_of_the_chain_has_a_curve() -> None:
    assert LANDMARKS[: len(CHAIN)] == CHAIN


BY_THE_VOLUME = replace(UNCALIBRATED, level_weight=0.2, spine_weight=2.0)
"""As shipped: the volume network decides."""

RIBLESS = curves_of({n: z for n, z in spine_mm().items() if not n.startswith("T")}, height=0.99)
TORN = replace(
    curves_of(spine_mm()),
    probability=np.maximum(
        curves_of(spine_mm(), height=0.6).probability,
        curves_of(spine_mm(34.0), height=0.5).probability,
    ),
)


def test_a_volume_that_is_a_vertebra_lower_has_counted_from_the_sacrum() -> None:
    """Its L2 is the projections' L3: that body is the answer, where both have its middle, and it is doubted."""
    projections, volume = curves_of(spine_mm()), curves_of(spine_mm(-38.0))

    level = _decided(projections, volume, by=BY_THE_VOLUME)

    assert level.z_mm == pytest.approx(-2, abs=1)
    assert level.outcome is UNCERTAIN
    assert level.reasons[0] == UPPER_TAKEN
    assert _says(level, "the two networks place it")
    assert not _says(level, "was found"), "the volume's own L2 and L4 are explained"


def test_what_one_network_contradicts_is_as_likely_wrong_as_right() -> None:
    """The shipped map hears the projections alone: 0.94 without the limit."""
    shipped = replace(UNCALIBRATED.two_opinions, intercept=2.8, joint=0.14, level=0.57, spine=0.0)
    opinions = curves_of(spine_mm()), curves_of(spine_mm(-34.0))

    level = _decided(*opinions, by=replace(BY_THE_VOLUME, two_opinions=shipped))

    assert UPPER_TAKEN in level.reasons
    assert level.confidence == 0.5


def test_at_the_edge_of_the_field_no_place_is_named_that_is_explained() -> None:
    projections, volume = (curves_of(spine_mm(z), (-20.0, 210.0)) for z in (0.0, -34.0))

    level = _decided(projections, volume, by=BY_THE_VOLUME)

    assert UPPER_TAKEN in level.reasons
    assert not _says(level, "what is taken for")


@pytest.mark.parametrize(
    ("projections", "volume", "why"),
    [
        (curves_of(spine_mm(-34.0)), curves_of(spine_mm()), "the projections are lower"),
        (
            curves_of(spine_mm(), (-330.0, 70.0)),
            curves_of(spine_mm(-34.0), (-330.0, 70.0)),
            "no ribs in the field",
        ),
        (TORN, curves_of(spine_mm(-34.0)), "the projections are not sure"),
        (RIBLESS, curves_of(spine_mm(-34.0)), "ribs have a place and are not seen"),
        (
            curves_of(spine_mm()),
            curves_of({n: z - 34.0 for n, z in FOUR_BODIES.items()}),
            "the volume is sure of four",
        ),
        (curves_of(spine_mm()), curves_of(spine_mm(-17.0)), "no body is both's"),
        (
            curves_of(spine_mm(), (-330.0, spine_mm()["T12"] + 6.0)),
            curves_of(spine_mm(-34.0), (-330.0, spine_mm()["T12"] + 6.0)),
            "ribs at the very edge",
        ),
    ],
    ids=lambda case: case.replace(" ", "-") if isinstance(case, str) else "",
)
def test_else_the_volume_is_believed(
    projections: LandmarkCurves, volume: LandmarkCurves, why: str
) -> None:
    level = _decided(projections, volume, by=BY_THE_VOLUME)
    alone = _decided(volume)

    assert level.z_mm == pytest.approx(alone.z_mm, abs=8), why
    assert UPPER_TAKEN not in level.reasons
