"""The run before the first patient."""

import pytest

from inference.domain.errors import InferenceFailed
from inference.engine.warm_up import warm_up
from tests.unit.inference.fake_predictors import FakePredictor, Float, make_manifest


def test_each_network_runs_once_on_an_input_of_its_own_shape() -> None:
    flat = make_manifest(layout="NCYX", shape=(4, 2, 8, 8))
    predictors = [FakePredictor(flat, abs), FakePredictor(make_manifest(), abs)]

    warm_up(predictors)

    assert [one.shapes for one in predictors] == [[(1, 2, 8, 8)], [(1, 1, 8, 8, 8)]]


def test_a_network_that_cannot_run_is_known_before_a_patient_comes() -> None:
    def fail(_: Float) -> Float:
        raise InferenceFailed(found="no memory", wanted="a finished run", advice="Free some.")

    with pytest.raises(InferenceFailed):
        warm_up([FakePredictor(make_manifest(), fail)])
