"""A gate holds by the score it names and by nothing else."""

import pytest

from inference.domain.errors import ConfigurationInvalid
from training.gate import Gate, gate_from


def test_a_gate_is_written_as_score_and_least_value() -> None:
    assert gate_from("iou=0.9") == Gate(score="iou", least=0.9)


@pytest.mark.parametrize("text", ["iou", "=0.9", "iou=much", "iou=nan"])
def test_half_a_gate_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationInvalid):
        gate_from(text)


def test_scores_of_an_optimistic_split_open_no_gate() -> None:
    gate = gate_from("iou=0.9")
    assert gate.holds({"iou": 0.9})
    assert not gate.holds({"iou": 0.899})
    assert not gate.holds({"iou": float("nan")})
    assert not gate.holds({"optimistic_iou": 0.99})
