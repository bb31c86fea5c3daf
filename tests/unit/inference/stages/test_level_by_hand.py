"""A level that a person set: the network has no say in it, and its end plates count only where they are of the same body."""

import pytest

from inference.stages.level_by_hand import spine_by_hand
from inference.stages.locate_l3 import NO_END_PLATES, SpineLevel

SOURCE = "L3 set by hand by otto at 2026-01-02 03:04 UTC"
NETWORK = SpineLevel(
    z_mm=100.0,
    extent_mm=(88.0, 113.0),
    confidence=0.97,
    flags=("level uncertain: L2 was found 80 mm from L3",),
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
    spine = spine_by_hand(68.0, SOURCE, None)

    assert spine.extent_mm == (54.0, 82.0)
    assert spine.flags == (SOURCE, "the network alone found no L3", NO_END_PLATES)


def test_end_plates_that_the_network_did_not_see_are_not_seen_now() -> None:
    network = SpineLevel(
        z_mm=100.0, extent_mm=(86.0, 114.0), confidence=0.9, flags=(NO_END_PLATES,)
    )

    assert NO_END_PLATES in spine_by_hand(100.0, SOURCE, network).flags
