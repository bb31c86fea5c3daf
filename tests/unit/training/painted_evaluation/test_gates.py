"""Shares, their exact intervals, and gates."""

from math import comb

import pytest

from training.painted_evaluation.gates import Gate, Share, missed


def _chance(count: int, share: float) -> float:
    return comb(200, count) * share**count * (1 - share) ** (200 - count)


def test_intervals_are_those_of_clopper_and_pearson() -> None:
    # 1 - 0.025 ** (1 / 200), the closed form where nothing was counted.
    assert Share(count=0, of=200).interval == pytest.approx((0.0, 0.018275), abs=1e-6)
    # By definition: at either limit, what was seen or more extreme has a chance of 2.5 %.
    low, high = Share(count=180, of=200).interval
    assert sum(_chance(n, low) for n in range(180, 201)) == pytest.approx(0.025, rel=1e-6)
    assert sum(_chance(n, high) for n in range(181)) == pytest.approx(0.025, rel=1e-6)
    assert Share(count=0, of=0).interval == (0.0, 1.0)


def test_a_share_of_nothing_is_none() -> None:
    assert Share(count=0, of=0).value is None
    assert str(Share(count=0, of=0)) == "–"
    assert str(Share(count=1, of=2)) == "50.0% (1 of 2; 1.3% to 98.7%)"


@pytest.mark.parametrize(
    ("found", "is_upper", "holds"),
    [
        (0.9, False, True),
        (0.89, False, False),
        (0.9, True, True),
        (0.91, True, False),
        (None, False, None),
    ],
)
def test_a_gate_holds_at_its_limit(found: float | None, is_upper: bool, holds: bool | None) -> None:
    gate = Gate(what="L3", value=found, limit=0.9, is_upper=is_upper)
    assert gate.holds is holds
    assert missed([gate]) == ([gate] if holds is False else [])
