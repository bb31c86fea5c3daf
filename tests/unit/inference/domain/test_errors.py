"""Errors travel: between threads, and between processes by pickle."""

import pickle

import pytest

from inference.domain.errors import HabitusError, LevelNotInSeries, UnreadableInput

ERRORS = (
    UnreadableInput(found="a", wanted="b", advice="c"),
    LevelNotInSeries(found="a", wanted="b"),
)


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_of_another_process_arrives_whole(error: HabitusError) -> None:
    back = pickle.loads(pickle.dumps(error))

    assert type(back) is type(error)
    assert str(back) == str(error)
