"""L3 in the table: what each share is of, which gate is missed, and that every failure is named by its seed."""

import pytest

from tests.unit.training.painted_evaluation.level_scores import case, level
from training.painted_evaluation.gates import missed
from training.painted_evaluation.level_table import (
    can_tell,
    failure,
    groups,
    level_lines,
    level_shares,
)
from training.painted_evaluation.scores import Answer, CaseScore, Ends, LevelScore, Truth

RIGHT = level()
LOST = level(Answer.NOT_IN_FIELD)
RIGHTLY_ABSENT = level(Answer.NOT_IN_FIELD, truth=Truth.ABSENT)


def counts(levels: list[LevelScore]) -> dict[str, tuple[int, int]]:
    return {name: (share.count, share.of) for name, (share, _) in level_shares(levels).items()}


def missed_gates(levels: list[LevelScore]) -> list[str]:
    _, gates = level_lines([case(seed, score) for seed, score in enumerate(levels)])
    return [gate.what for gate in missed(gates)]


def test_every_share_is_of_its_own_cases() -> None:
    levels = [
        *[RIGHT] * 6,
        level(Answer.UNCERTAIN, 4.0),
        level(Answer.FOUND, -36.0),
        LOST,
        *[RIGHTLY_ABSENT] * 3,
        level(Answer.FOUND, 50.0, Truth.ABSENT),
        level(Answer.NOT_IN_FIELD, truth=Truth.PARTLY),
        level(Answer.REFUSED),
    ]
    found = list(counts(levels).values())
    assert found == [
        (7, 10),  # near, of whole
        (6, 10),  # and unflagged
        (2, 15),  # silent, of all
        (1, 10),  # silent, of whole
        (3, 4),  # "not in the field" of absent
        (4, 5),  # rightly so
        (1, 15),  # uncertain of all
        (1, 10),  # uncertain of whole
        (1, 15),  # refused
    ]


@pytest.mark.parametrize(
    ("worse", "gate"),
    [
        ([LOST] * 2, "rightly so"),
        ([level(Answer.FOUND, 33.0)] * 2, "off by a vertebra"),
        ([level(Answer.UNCERTAIN, 33.0)] * 12, "within 10 mm"),
        ([level(Answer.UNCERTAIN, 60.0, Truth.ABSENT)] * 2, '"not in the field", of'),
    ],
)
def test_each_gate_is_missed_by_its_own_failure(worse: list[LevelScore], gate: str) -> None:
    good = [RIGHT] * 75 + [RIGHTLY_ABSENT] * 25
    assert missed_gates(good) == []
    (what,) = missed_gates([*good, *worse])
    assert gate in what


def test_one_silent_error_in_a_hundred_is_allowed() -> None:
    levels = [RIGHT] * 74 + [RIGHTLY_ABSENT] * 25
    assert missed_gates([*levels, level(Answer.FOUND, 33.0)]) == []


@pytest.mark.parametrize(
    ("score", "kind"),
    [
        (RIGHT, None),
        (RIGHTLY_ABSENT, None),
        (level(Answer.NOT_IN_FIELD, truth=Truth.PARTLY), None),
        (level(Answer.FOUND, 33.0), "1 off"),
        (LOST, "2 whole"),
        (level(Answer.UNCERTAIN, 60.0, Truth.ABSENT), "3 level"),
        (level(Answer.REFUSED), "4 refused"),
        (level(Answer.UNCERTAIN, 33.0), "5 more"),
        (level(Answer.FOUND, -12.0), "5 more"),
    ],
)
def test_failures_have_kinds(score: LevelScore, kind: str | None) -> None:
    found = failure(case(level=score))
    assert (found or "").startswith(kind or "\0") or found is kind


def test_failures_and_reasons_are_listed() -> None:
    scores = [
        case(6_000_001, level(Answer.FOUND, 33.0), variants=("4 lumbar",)),
        case(6_000_002, level(Answer.UNCERTAIN, 1.0, reasons=("L2 was found 71 mm from L3",))),
        case(6_000_003, level(Answer.UNCERTAIN, 1.0, reasons=("L2 was found 12 mm from L3",))),
    ]
    text = "\n".join(level_lines(scores)[0])
    assert "Failures (1):" in text
    assert "seed 6000001, tiny, whole, 3.0 mm, 4 lumbar, L3 whole, answer found, +33 mm" in text
    assert "seed 6000002" not in text
    assert "- 2 × L2 was found N mm from L3" in text


def test_a_case_is_in_every_group_it_belongs_to() -> None:
    scores = [
        case(1, RIGHT),
        case(2, RIGHT, variants=("4 lumbar", "fracture L2 T12")),
        case(3, level(ends=Ends.ABOVE), variants=("fracture L1",)),
    ]
    found: dict[str, list[CaseScore]] = dict(groups(scores))
    sizes = {name: len(part) for name, part in found.items() if part}
    assert sizes == {
        "field whole": 3,
        "T12 and S1 in the field": 2,
        "T12 only in the field": 1,
        "template tiny": 3,
        "usual spine": 1,
        "4 lumbar": 1,
        "fracture": 2,
        "slices of 2 to 3.5 mm": 3,
    }


@pytest.mark.parametrize(
    ("ends", "variants", "told"),
    [
        (Ends.BOTH, ("4 lumbar",), True),
        (Ends.ABOVE, ("6 lumbar",), True),
        (Ends.BELOW, ("4 lumbar",), False),
        (Ends.NEITHER, ("6 lumbar", "screws"), False),
        (Ends.BELOW, ("fracture L1",), True),
        (Ends.BELOW, (), True),
    ],
)
def test_four_vertebrae_below_ribs_out_of_the_field_look_like_five(
    ends: Ends, variants: tuple[str, ...], told: bool
) -> None:
    assert can_tell(case(level=level(ends=ends), variants=variants)) is told


def test_what_nobody_could_count_is_told_apart() -> None:
    """The level is judged in it all the same; whether L3 was rightly looked for elsewhere is not."""
    uncountable = level(Answer.NOT_IN_FIELD, ends=Ends.BELOW)
    scores = [
        case(1, RIGHT),
        case(2, uncountable, variants=("4 lumbar",)),
        case(3, RIGHTLY_ABSENT),
    ]
    lines, gates = level_lines(scores)
    text = "\n".join(lines)
    assert "In 1 cases there are four or six lumbar vertebrae" in text
    _, _, told = text.partition("L3, where the field can tell")
    assert "| within 10 mm, of cases that hold it whole | 100.0% (1 of 1;" in told
    assert '"not in the field" | 50.0% (1 of 2; 1.3% to 98.7%) | ≥ 98% holds, where' in text
    values = {gate.what: gate.value for gate in gates}
    assert values["L3 within 10 mm, of cases that hold it whole"] == 0.5
    assert values['L3 rightly so, of answers "not in the field", where the field can tell'] == 1.0


def test_where_every_field_can_tell_nothing_is_told_apart() -> None:
    lines, gates = level_lines([case(1, RIGHT), case(2, LOST)])
    assert "the field can tell" not in "\n".join(lines)
    assert [gate.value for gate in gates if "rightly" in gate.what] == [0.0]
