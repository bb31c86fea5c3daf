"""Which series of a study is taken: the shipped rules on what scanners of several makers write."""

from dataclasses import replace
from random import Random

import pytest

from inference.domain.errors import NoSuitableSeries
from inference.domain.series_choice import Outcome, SeriesChoice, SeriesSummary, considered
from inference.domain.series_rules import load_series_rules, series_rules_from_toml
from inference.stages.choose_series import (
    choice_flags,
    choose_series,
    judge,
    require_candidate,
)

RULES = load_series_rules("axial-soft-tissue")
GOOD = SeriesSummary(
    series_uid="1.2.1",
    study_uid="1.2",
    number=2,
    modality="CT",
    image_class="CT Image Storage",
    image_kinds=("AXIAL", "ORIGINAL", "PRIMARY"),
    kernel="B30f",
    images=80,
    thickness_mm=5.0,
    step_mm=5.0,
    coverage_mm=400.0,
    field_of_view_mm=380.0,
    oblique_degrees=0.0,
    tilt_degrees=0.0,
    exposure_mas=150.0,
    study_modalities=("CT",),
    acquired="20240110101500",
)


def winner(*series: SeriesSummary) -> SeriesSummary:
    """The chosen one; the same in whatever order they come."""
    chosen = {
        choose_series(order, RULES).verdicts[0].summary
        for order in (series, tuple(reversed(series)))
    }
    assert len(chosen) == 1
    return chosen.pop()


def other(**changes: object) -> SeriesSummary:
    """A second series of the study; its UID sorts before and its number after the good one's."""
    return replace(GOOD, series_uid="1.2.0", number=9, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"modality": "MR"}, "not-ct"),
        ({"image_kinds": ("LOCALIZER", "ORIGINAL", "PRIMARY")}, "scout"),
        ({"image_kinds": ("DERIVED", "REF_SURVIEW", "SECONDARY")}, "scout"),
        ({"image_kinds": ("DERIVED", "DOSE_INFO", "SECONDARY")}, "dose-page"),
        ({"image_kinds": ("DERIVED", "OTHER", "SCREEN SAVE", "SECONDARY")}, "dose-page"),
        ({"image_class": "Secondary Capture Image Storage"}, "not-an-image"),
        ({"samples_per_pixel": 3}, "colour"),
        ({"image_kinds": ("AXIAL", "CT_SOM5 MIP", "DERIVED", "SECONDARY")}, "projection"),
        ({"image_kinds": ("DERIVED", "PROJECTION IMAGE", "SECONDARY")}, "projection"),
        ({"image_kinds": ("DERIVED", "PERFUSION", "PRIMARY", "RCBF")}, "parametric-map"),
        ({"rescale_type": "MGML"}, "not-hu"),
        ({"oblique_degrees": 90.0}, "not-axial"),
    ],
)
def test_what_is_no_axial_density_is_refused_with_its_code(
    changes: dict[str, object], code: str
) -> None:
    verdict = judge(replace(GOOD, **changes), RULES)  # type: ignore[arg-type]

    assert (verdict.outcome, verdict.code) == (Outcome.REFUSED, code)


@pytest.mark.parametrize(
    "kinds",
    [
        (),
        ("ORIGINAL", "PRIMARY"),
        ("AXIAL", "DERIVED", "PRIMARY"),
        ("DERIVED", "SECONDARY"),
        ("AVERAGE", "DERIVED", "REFORMATTED", "SECONDARY"),
        ("AXIAL", "CT_SOM7 SPI DUAL", "DERIVED", "PRIMARY", "STD"),
        ("AXIAL", "HELIX", "ORIGINAL", "PRIMARY"),
    ],
)
def test_image_type_without_axial_or_with_derived_refuses_no_axial_ct(
    kinds: tuple[str, ...],
) -> None:
    assert judge(replace(GOOD, image_kinds=kinds), RULES).outcome is not Outcome.REFUSED


@pytest.mark.parametrize("description", ["LUNG", "dose report", "scout", "coronal MPR", "Head"])
def test_a_description_refuses_nothing(description: str) -> None:
    summary = replace(GOOD, description=description, body_part="HEAD", protocol="HEAD")

    assert judge(summary, RULES).outcome is not Outcome.REFUSED


SHARP = [
    "B70f",
    "B60s",
    "I70f\\3",
    "Bl57d",
    "Hr60",
    "LUNG",
    "BONEPLUS",
    "EDGE",
    "L",
    "YA",
    "FC52",
    "FC30",
]


@pytest.mark.parametrize("kernel", SHARP)
def test_a_soft_filter_goes_before_a_sharp_one(kernel: str) -> None:
    assert winner(GOOD, other(kernel=kernel)) == GOOD


@pytest.mark.parametrize(
    "kernel", ["B30f", "Br40d\\3", "I31f", "STANDARD", "SOFT", "B", "FC08", "FC18"]
)
def test_soft_filters_of_all_makers_are_known(kernel: str) -> None:
    judged = judge(replace(GOOD, kernel=kernel), RULES)

    assert [reason.points for reason in judged.reasons if reason.code == "kernel"] == [10]


@pytest.mark.parametrize(
    "worse",
    [
        {"thickness_mm": 0.6},
        {"thickness_mm": 10.0},
        {"coverage_mm": 120.0},
        {"images": 12},
        {"missing_slices": 1},
        {"repeated_positions": 40},
        {"tilt_degrees": 12.0},
        {"oblique_degrees": 15.0},
        {"field_of_view_mm": 200.0},
        {"step_mm": 10.0},
        {"image_kinds": ("DERIVED", "MPR", "SECONDARY")},
        {"description": "Low dose CTAC"},
        {"description": "Monoenergetic 70 keV"},
        {"description": "Thorax"},
    ],
)
def test_each_weakness_alone_decides_between_equals(worse: dict[str, object]) -> None:
    assert winner(GOOD, other(**worse)) == GOOD


@pytest.mark.parametrize(
    "portal",
    [
        "Abdomen portalvenös",
        "PV 5.0",
        "Abd venous",
        "A/P VEN",
        "복부 문맥기",
        "腹部 門脈相",
        "Liver PVP 70s",
    ],
)
@pytest.mark.parametrize(
    "rest",
    [
        "Abdomen nativ",
        "Abd w/o contrast",
        "ARTERIAL 3.0",
        "복부 동맥기",
        "Delay 5min",
        "pre",
        "abdomen",
    ],
)
def test_the_portal_phase_goes_before_the_others(portal: str, rest: str) -> None:
    best = replace(GOOD, description=portal)

    assert winner(best, other(description=rest)) == best


def test_the_time_since_the_injection_goes_before_names() -> None:
    portal = replace(GOOD, description="arterial", contrast_delay_s=70.0)

    assert winner(portal, other(description="portal", contrast_delay_s=25.0)) == portal


def test_in_a_pet_examination_the_diagnostic_ct_goes_before_the_low_dose_one() -> None:
    modalities = ("CT", "PT")
    diagnostic = replace(GOOD, study_modalities=modalities, coverage_mm=350.0)
    low_dose = other(study_modalities=modalities, coverage_mm=900.0, exposure_mas=40.0)

    assert winner(diagnostic, low_dose) == diagnostic


def test_a_low_dose_ct_is_taken_where_there_is_no_other() -> None:
    low_dose = replace(GOOD, study_modalities=("CT", "PT"), exposure_mas=30.0)

    assert choose_series([low_dose], RULES).chosen is not None


def test_of_equals_the_newest_is_taken() -> None:
    newer = replace(other(acquired="20240110103000"), number=1)
    choice = choose_series([GOOD, newer], RULES)

    assert choice.chosen is not None
    assert choice.chosen.summary == newer
    assert choice.verdicts[1].code == "outscored-newest"


def test_a_newer_incomplete_one_does_not_replace_a_complete_one() -> None:
    assert winner(GOOD, other(acquired="20240110103000", missing_slices=2)) == GOOD


def test_series_of_an_older_study_are_not_taken() -> None:
    older = other(study_uid="1.1", acquired="20230110103000")
    poor = replace(GOOD, thickness_mm=0.5)
    choice = choose_series([older, poor], RULES)

    assert [v.code for v in choice.verdicts] == ["", "older-study"]
    assert choice.verdicts[0].summary == poor


def test_every_series_not_taken_says_why_with_points() -> None:
    choice = choose_series([GOOD, other(kernel="B70f", thickness_mm=1.0)], RULES)

    (lost,) = choice.verdicts[1:]
    assert lost.code == "outscored-kernel"
    assert "a sharp filter, made for lung or bone (-40, the chosen +10)" in lost.why
    assert "slices of 1 mm (+6, the chosen +20)" in lost.why


def test_no_text_of_a_header_reaches_reasons_codes_or_the_report() -> None:
    secret = "Hong^Gildong"
    named = other(description=secret, protocol=secret, body_part=secret, kernel=secret)
    choice = choose_series(
        [GOOD, named, replace(named, series_uid="1.2.9", modality=secret)], RULES
    )

    assert secret not in str(considered(choice))
    assert secret not in str([v.reasons for v in choice.verdicts])


def test_any_order_gives_the_same_verdicts() -> None:
    series = [
        replace(GOOD, series_uid=f"1.2.{i}", images=20 + i % 7, number=None) for i in range(40)
    ]
    expected = choose_series(series, RULES)

    for seed in range(20):
        Random(seed).shuffle(series)
        assert choose_series(series, RULES) == expected


def test_nothing_but_refused_series_is_an_error_that_counts_them() -> None:
    choice = choose_series([replace(GOOD, modality="MR"), other(modality="PT")], RULES)

    with pytest.raises(NoSuitableSeries, match="2 × not of modality CT"):
        require_candidate(choice)


def test_a_failed_series_makes_way_and_is_told() -> None:
    choice = choose_series([GOOD, other(thickness_mm=1.0), replace(GOOD, modality="MR")], RULES)

    after = choice.after_failure("slice-gap", "found a gap")

    assert [v.outcome for v in after.verdicts] == [Outcome.FAILED, Outcome.CHOSEN, Outcome.REFUSED]
    assert choice_flags(after) == (
        "series 2 suited better by its headers, but could not be measured: slice-gap",
    )


def test_after_the_last_candidate_nothing_is_chosen() -> None:
    choice = choose_series([GOOD], RULES).after_failure("no-l3", "found no L3")

    assert choice.chosen is None


def test_images_left_out_of_the_chosen_series_are_told() -> None:
    choice = choose_series([replace(GOOD, left_out=("scout image", "scout image"))], RULES)

    assert choice_flags(choice) == (
        "images of the series left out because they are no slices: 2 × scout image",
    )


def test_no_series_at_all_is_no_choice() -> None:
    assert choose_series([], RULES) == SeriesChoice(verdicts=(), finalists=RULES.finalists)


def test_a_site_can_prefer_another_phase_by_its_own_rules() -> None:
    rules = series_rules_from_toml(
        """
description = "native first"
[[score]]
name = "phase"
points = 10
says = "native"
fact = "contrast_agent"
is_known = false
""",
        "native",
    )
    enhanced = other(contrast_agent="Iohexol")

    chosen = choose_series([enhanced, GOOD], rules).chosen
    assert chosen is not None
    assert chosen.summary == GOOD
