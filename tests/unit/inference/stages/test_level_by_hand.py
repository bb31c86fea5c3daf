"""A level that a person set: the network has no say in it, and its end plates count only where they are of the same body."""

from dataclasses import replace

import pytest

from inference.domain.level_outcome import LevelOutcome
from inference.stages.decide_level import SpineLevel
from inference.stages.end_plates import NO_END_PLATES
from inference.stages.facing import TURNED
from inference.stages.level_by_hand import spine_by_hand

SOURCE = "L3 set by hand by otto at 2026-01-02 03:04 UTC"
NETWORK = SpineLevel(
    outcome=LevelOutcome.UNCERTAIN,
    z_mm=100.0,
    extent_mm=(88.0, 113.0),
    confidence=0.97,
    evidence=None,
    reasons=("L2 was found 80 mm from it",),
)


def test_within_the_body_that_the_network_found_its_end_plates_are_kept_and_its_doubts_are_not() -> (
    None
):
    spine = spine_by_hand(106.0, SOURCE, NETWORK)

    assert (spine.z_mm, spine.extent_mm, spine.confidence) == (106.0, (88.0, 113.0), None)
    assert spine.flags == (SOURCE, "the network alone placed L3 6 mm lower")


def test_at_the_networks_own_place_there_is_nothing_to_say_of_it() -> None:
    assert spine_by_hand(100.4, SOURCE, NETWORK).flags == (SOURCE,)


@pytest.mark.parametrize(("z_mm", "side"), [(68.0, "higher"), (132.0, "lower")])
def test_of_another_vertebra_the_usual_height_is_taken(z_mm: float, side: str) -> None:
    spine = spine_by_hand(z_mm, SOURCE, NETWORK)

    assert spine.extent_mm == (z_mm - 14.0, z_mm + 14.0)
    assert spine.flags == (SOURCE, f"the network alone placed L3 32 mm {side}", NO_END_PLATES)


def test_where_the_network_found_none_this_is_said() -> None:
    spine = spine_by_hand(68.0, SOURCE, replace(NETWORK, outcome=LevelOutcome.NOT_IN_FIELD))

    assert spine.extent_mm == (54.0, 82.0)
    assert spine.flags == (SOURCE, "the network alone found no L3", NO_END_PLATES)


def test_end_plates_that_the_network_did_not_see_are_not_seen_now() -> None:
    network = replace(NETWORK, caveats=(NO_END_PLATES,))

    assert NO_END_PLATES in spine_by_hand(100.0, SOURCE, network).flags


def test_a_body_that_lies_otherwise_than_its_header_says_is_said_whoever_set_the_level() -> None:
    network = replace(NETWORK, reasons=(*NETWORK.reasons, TURNED))

    assert spine_by_hand(100.4, SOURCE, network).flags == (SOURCE, TURNED)
