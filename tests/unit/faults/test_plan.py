"""A seed is a plan: the same faults at the same counts of events, every kind of them."""

from tests.faults.plan import CLOCK_OFFSETS_S, KILLS, FaultKind, counted, plan_of


def test_equal_seeds_give_equal_plans() -> None:
    assert plan_of(7, studies=60, kills=200, destinations=2) == plan_of(
        7, studies=60, kills=200, destinations=2
    )


def test_another_seed_gives_another_plan() -> None:
    assert plan_of(7, studies=8, kills=25, destinations=2) != plan_of(
        8, studies=8, kills=25, destinations=2
    )


def test_a_plan_holds_the_kills_asked_for_and_every_other_kind() -> None:
    found = counted(plan_of(1, studies=60, kills=200, destinations=2))

    assert sum(found[kind] for kind in KILLS) == 200
    assert set(found) == set(FaultKind)


def test_faults_are_spread_over_the_studies() -> None:
    plan = plan_of(1, studies=60, kills=200, destinations=2)

    assert {fault.study for fault in plan} == set(range(1, 61))
    assert {fault.destination for fault in plan} == {0, 1}
    assert {fault.offset_s for fault in plan} <= set(CLOCK_OFFSETS_S)
