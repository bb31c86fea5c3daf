"""Scores: what counts as near and as wrong in silence; a line of JSON gives the score back."""

import pytest

from tests.unit.training.painted_evaluation.level_scores import case, level
from training.painted_evaluation.scores import (
    Answer,
    CaseScore,
    LevelScore,
    OrganScore,
    TissueScore,
    Truth,
)


def test_a_line_gives_the_score_back() -> None:
    score = case(
        level=level(Answer.UNCERTAIN, -12.5, Truth.PARTLY, ("two levels are as likely",)),
        variants=("4 lumbar", "scoliosis"),
        tissues={"visceral_fat": TissueScore(dice=0.9, area_percent=None, reported_percent=3.0)},
        organs={
            "liver": OrganScore(
                dice=0.9, true_ml=900.0, found_ml=880.0, is_cut=True, is_flagged=False
            )
        },
        swapped=("kidney_left",),
    )
    line = score.to_json()
    assert "\n" not in line
    assert CaseScore.from_json(line) == score
    assert CaseScore.from_json(case().to_json()) == case()


@pytest.mark.parametrize(
    ("answered", "is_near", "is_silently_wrong"),
    [
        (level(Answer.FOUND, 10.0), True, False),
        (level(Answer.FOUND, -10.1), False, False),
        (level(Answer.FOUND, 15.1), False, True),
        (level(Answer.FOUND, -34.0, Truth.ABSENT), False, True),
        (level(Answer.UNCERTAIN, -34.0), False, False),
        (level(Answer.UNCERTAIN, 3.0), True, False),
        (level(Answer.NOT_IN_FIELD), False, False),
        (level(Answer.REFUSED), False, False),
    ],
)
def test_near_and_silently_wrong(
    answered: LevelScore, is_near: bool, is_silently_wrong: bool
) -> None:
    assert answered.is_near is is_near
    assert answered.is_silently_wrong is is_silently_wrong
