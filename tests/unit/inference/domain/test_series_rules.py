"""Rules are data: what a rule file may say, and how a wrong one is refused."""

import pytest

from inference.domain.analysis_profile import load_profile, profile_names
from inference.domain.errors import ConfigurationInvalid
from inference.domain.series_choice import SeriesSummary
from inference.domain.series_rules import load_series_rules, series_rules_from_toml
from inference.stages.choose_series import judge

HEAD = 'description = "d"\n'
SCORE = '[[score]]\nname = "n"\nsays = "s"\n'


@pytest.mark.parametrize("profile", profile_names())
def test_every_profile_names_rules_that_load(profile: str) -> None:
    assert load_series_rules(load_profile(profile).series_rules).scores


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("description =", "not TOML"),
        (SCORE + 'fact = "images"\nabove = 1\n', "description"),
        (HEAD, "without a score"),
        (HEAD + "finalists = 0\n" + SCORE + 'fact = "images"\n', "finalist"),
        (HEAD + "surprise = 1\n" + SCORE + 'fact = "images"\n', "'surprise'"),
        (HEAD + SCORE + 'fact = "images"\nsurprise = 1\n', "'surprise'"),
        (HEAD + SCORE + 'fact = "images"\nand = [{ fact = "images", surprise = 1 }]\n', "surprise"),
        (HEAD + SCORE + 'fact = "weather"\n', "weather"),
        (HEAD + SCORE + 'fact = "images"\nmatches = "x"\n', "matches of images"),
        (HEAD + SCORE + 'fact = "kernel"\nbelow = 1\n', "below of kernel"),
        (HEAD + SCORE + 'fact = "kernel"\nmatches = "("\n', "regular expression"),
        (HEAD + SCORE + 'fact = "images"\nbelow = "1"\n', "a number"),
        (HEAD + SCORE + 'fact = "images"\nbelow = true\n', "a number"),
        (HEAD + SCORE + 'fact = "images"\npoints = 1.5\n', "points"),
        (HEAD + SCORE + 'fact = "images"\npoints = 1\ncurve = [[1, 2]]\n', "one of the two"),
        (HEAD + SCORE + 'fact = "images"\ncurve = [[2, 2], [1, 2]]\n', "growing"),
        (HEAD + SCORE + 'fact = "kernel"\ncurve = [[1, 2]]\n', "of a number"),
        (HEAD + '[[score]]\nname = "n"\nsays = "{value}"\nfact = "kernel"\n', "of a number"),
        (HEAD + '[[refuse]]\nsays = "s"\nfact = "images"\n', "code"),
    ],
)
def test_a_wrong_rule_file_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(ConfigurationInvalid, match=words):
        series_rules_from_toml(text, "site")


def test_an_unknown_rule_set_says_which_there_are() -> None:
    with pytest.raises(ConfigurationInvalid, match="axial-soft-tissue"):
        load_series_rules("nowhere")


def test_all_conditions_of_a_rule_must_hold() -> None:
    rules = series_rules_from_toml(
        HEAD
        + SCORE
        + 'points = 5\nfact = "images"\nabove = 10\nand = [{ fact = "modality", matches = "CT" }]\n',
        "site",
    )

    def points(**facts: object) -> int:
        return judge(SeriesSummary(series_uid="1", **facts), rules).score  # type: ignore[arg-type]

    assert points(images=11, modality="CT") == 5
    assert points(images=9, modality="CT") == 0
    assert points(images=11, modality="MR") == 0


def test_an_unknown_fact_satisfies_only_a_question_for_the_unknown() -> None:
    facts = {
        'fact = "thickness_mm"\nbelow = 9': 0,
        'fact = "thickness_mm"\nabove = 0': 0,
        'fact = "kernel"\nlacks = "x"': 0,
        'fact = "kernel"\nis_known = true': 0,
        'fact = "kernel"\nis_known = false': 5,
        'fact = "thickness_mm"\ncurve = [[0, 5]]': 0,
    }
    for condition, expected in facts.items():
        points = "" if "curve" in condition else "points = 5\n"
        rules = series_rules_from_toml(HEAD + SCORE + points + condition + "\n", "site")
        assert judge(SeriesSummary(series_uid="1"), rules).score == expected, condition


def test_a_curve_is_straight_between_its_points_and_level_outside() -> None:
    rules = series_rules_from_toml(
        HEAD + SCORE + 'fact = "coverage_mm"\ncurve = [[100, 0], [200, 10]]\n', "site"
    )
    worth = {
        mm: judge(SeriesSummary(series_uid="1", coverage_mm=mm), rules).score
        for mm in (50.0, 100.0, 150.0, 200.0, 900.0)
    }

    assert worth == {50.0: 0, 100.0: 0, 150.0: 5, 200.0: 10, 900.0: 10}
