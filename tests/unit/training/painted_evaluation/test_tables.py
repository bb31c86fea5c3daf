"""The page: tissues and organs with their gates, whole organs before cut ones."""

from tests.unit.training.painted_evaluation.level_scores import case, level
from training.painted_evaluation.gates import missed
from training.painted_evaluation.scores import CaseScore, OrganScore, TissueScore
from training.painted_evaluation.tables import organ_lines, page, tissue_lines


def liver(dice: float, *, is_cut: bool = False, is_flagged: bool = False) -> CaseScore:
    organ = OrganScore(
        dice=dice, true_ml=1000.0, found_ml=900.0, is_cut=is_cut, is_flagged=is_flagged
    )
    return case(organs={"liver": organ})


def muscle(dice: float, percent: float | None = 0.0) -> CaseScore:
    score = TissueScore(dice=dice, area_percent=percent, reported_percent=percent)
    return case(tissues={"skeletal_muscle": score})


def test_whole_organs_are_judged_where_there_are_enough() -> None:
    scores = [liver(0.95)] * 10 + [liver(0.2, is_cut=True)] * 10
    lines, gates = organ_lines(scores)
    assert missed(gates) == []
    (row,) = [line for line in lines if line.startswith("| liver")]
    assert row == (
        "| liver | 10 | 0.950 (0.950) | -10 | 0 | 10 | 0.200 (0.200) | 0 | ≥ 0.90 holds |"
    )


def test_cut_organs_are_judged_too_where_few_are_whole() -> None:
    scores = [liver(0.95)] * 9 + [liver(0.2, is_cut=True)] * 9
    lines, gates = organ_lines(scores)
    assert [gate.what for gate in missed(gates)] == ["Dice liver"]
    assert any(line.endswith("≥ 0.90 **MISSED**† |") for line in lines)


def test_cut_organs_that_were_flagged_are_counted() -> None:
    scores = [liver(0.9, is_cut=True, is_flagged=True)] * 3 + [liver(0.9, is_cut=True)]
    lines, _ = organ_lines(scores)
    assert any("found and flagged as cut: 75.0% (3 of 4" in line for line in lines)


def test_swapped_sides_are_named() -> None:
    swapped = case(6_000_009, organs=liver(0.9).organs, swapped=("kidney_right", "kidney_left"))
    lines, _ = organ_lines([liver(0.9), swapped])
    assert any("1 cases (seed 6000009 kidney_right and kidney_left)" in line for line in lines)


def test_the_mean_dice_of_a_tissue_is_judged() -> None:
    assert missed(tissue_lines([muscle(0.95), muscle(0.93)])[1]) == []
    (gate,) = missed(tissue_lines([muscle(0.95), muscle(0.92)])[1])
    assert gate.what == "Dice skeletal_muscle"


def test_areas_show_their_bias_and_spread_and_leave_out_what_is_not_there() -> None:
    lines, _ = tissue_lines([muscle(0.95, 10.0), muscle(0.95, -6.0), muscle(0.95, None)])
    (row,) = [line for line in lines if line.startswith("| skeletal muscle |")]
    assert "+2.0 (-5.2 to +9.2)" in row


def test_a_page_has_the_parts_that_were_scored_and_its_verdict() -> None:
    text, gates = page([case(level=level()), muscle(0.5)], ["# Painted CT"])
    assert text.startswith("# Painted CT\n")
    assert "## L3" in text
    assert "## Organs" not in text
    assert len(gates) == 5
    assert "Gates: DO NOT HOLD." in text
    assert "- missed: Dice skeletal_muscle, found 0.500" in text
    assert "Gates: hold." in page([case(level=level())], [])[0]
