"""Routing: which rule fits which study, for every kind of condition, and what is said of those that do not."""

import time as seconds
from datetime import datetime, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthanc_plugin.node.routing import SeriesOrigin, first_rule, verdicts
from orthanc_plugin.node.routing_rules import Rule, TagTest
from orthanc_plugin.node.site_time import TimeWindow, window_of

NOON = datetime(2026, 11, 21, 12, 0)
CT = SeriesOrigin(
    calling="CT1",
    called="HABITUS",
    texts={
        "BodyPartExamined": "ABDOMEN",
        "ImageType": "ORIGINAL\\PRIMARY\\AXIAL",
        "StudyDescription": "Polytrauma Schockraum",
        "SliceThickness": "3.0",
        "KVP": "",
    },
)


def why_not(rule: Rule, series: SeriesOrigin = CT, at: datetime = NOON) -> str:
    """The rule's answer; empty where it fires."""
    (verdict,) = verdicts([rule], [series], at)
    return "" if verdict.fires else verdict.why


def tags(**wanted: Any) -> Rule:
    return Rule(name="r", tags={key: TagTest(**test) for key, test in wanted.items()})


@pytest.mark.parametrize(
    "rule",
    [
        Rule(name="r"),
        Rule(name="r", calling=("CT1",)),
        Rule(name="r", calling=("CT0", "CT1")),
        Rule(name="r", called=("HABITUS",)),
        Rule(name="r", hours=window_of("11:00-12:01")),
        Rule(name="r", hours=window_of("12:00-12:01")),
        Rule(name="r", hours=window_of("22:00-12:01")),
        tags(BodyPartExamined={"equals": ("ABDOMEN",)}),
        tags(BodyPartExamined={"equals": ("PELVIS", "ABDOMEN")}),
        tags(ImageType={"equals": ("AXIAL",)}),
        tags(StudyDescription={"matches": "(?i)TRAUMA"}),
        tags(StudyDescription={"matches": "^Poly"}),
        tags(SliceThickness={"at_least": 3.0}),
        tags(SliceThickness={"at_most": 3.0}),
        tags(SliceThickness={"at_least": 2.0, "at_most": 5.0}),
    ],
)
def test_a_rule_fits(rule: Rule) -> None:
    assert why_not(rule) == ""


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (Rule(name="r", calling=("CT2", "CT3")), "calling AE title 'CT1', not 'CT2' or 'CT3'"),
        (Rule(name="r", calling=("ct1",)), "calling AE title 'CT1', not 'ct1'"),
        (Rule(name="r", called=("STAT",)), "called AE title 'HABITUS', not 'STAT'"),
        (Rule(name="r", hours=window_of("12:01-13:00")), "12:00 is not within 12:01-13:00"),
        (Rule(name="r", hours=window_of("11:00-12:00")), "12:00 is not within 11:00-12:00"),
        (Rule(name="r", hours=window_of("22:00-06:00")), "12:00 is not within 22:00-06:00"),
        (tags(BodyPartExamined={"equals": ("HEAD",)}), "BodyPartExamined is 'ABDOMEN', not 'HEAD'"),
        (tags(BodyPartExamined={"equals": ("ABD",)}), "BodyPartExamined is 'ABDOMEN', not 'ABD'"),
        (tags(Laterality={"equals": ("L",)}), "Laterality is absent"),
        (tags(KVP={"at_least": 80.0}), "KVP is absent"),
        (tags(StudyDescription={"matches": "TRAUMA"}), "StudyDescription is 'Polytrauma Schoc"),
        (tags(SliceThickness={"at_least": 3.1}), "SliceThickness is '3.0', not at least 3.1"),
        (tags(SliceThickness={"at_most": 2.9}), "SliceThickness is '3.0', not at most 2.9"),
        (
            tags(BodyPartExamined={"at_least": 1.0, "at_most": 2.0}),
            "BodyPartExamined is 'ABDOMEN', not at least 1 and at most 2",
        ),
    ],
)
def test_a_rule_that_does_not_fit_says_why(rule: Rule, why: str) -> None:
    assert why in why_not(rule)


def test_what_came_by_http_has_no_ae_title() -> None:
    by_http = SeriesOrigin(calling="", called="", texts={})

    assert why_not(Rule(name="r", calling=("CT1",)), by_http) == (
        "calling AE title unknown, not 'CT1'"
    )


@pytest.mark.parametrize("value", ["nan", "inf", "1_000", "3,0", " ", "1e999999999"])
def test_only_plain_numbers_are_in_a_range(value: str) -> None:
    series = SeriesOrigin(calling="", called="", texts={"SliceThickness": value})

    assert why_not(tags(SliceThickness={"at_most": 1000.0}), series)


def test_every_condition_has_to_hold() -> None:
    rule = Rule(name="r", calling=("CT1",), called=("STAT",))

    assert why_not(rule) == "called AE title 'HABITUS', not 'STAT'"


def test_one_series_has_to_meet_every_condition() -> None:
    head = SeriesOrigin(calling="CT9", called="HABITUS", texts={"BodyPartExamined": "HEAD"})
    either = [
        Rule(name="r", calling=("CT9",), tags={"BodyPartExamined": TagTest(equals=("HEAD",))})
    ]
    crossed = [
        Rule(name="r", calling=("CT9",), tags={"BodyPartExamined": TagTest(equals=("ABDOMEN",))})
    ]

    assert first_rule(either, [CT, head], NOON) is not None
    assert first_rule(crossed, [CT, head], NOON) is None


def test_a_study_without_ct_fits_no_rule() -> None:
    assert first_rule([Rule(name="all")], [], NOON) is None


def test_a_pattern_that_explodes_elsewhere_takes_no_time() -> None:
    # (a+)+$ takes Python's re about 2ⁿ steps on n letters a and a b.
    rule = tags(StudyDescription={"matches": "(a+)+$"})
    series = SeriesOrigin(calling="", called="", texts={"StudyDescription": "a" * 10_000 + "b"})
    begin = seconds.perf_counter()

    assert why_not(rule, series)

    assert seconds.perf_counter() - begin < 1.0


def test_rules_behind_the_first_that_fits_are_not_asked() -> None:
    rules = [Rule(name="a", calling=("X",)), Rule(name="b"), Rule(name="c", called=("Y",))]

    answers = list(verdicts(rules, [CT], NOON))

    assert [v.fires for v in answers] == [False, True, False]
    assert [v.why for v in answers][1:] == ["everything", "not asked: b comes before it"]


RULES = st.lists(
    st.builds(
        Rule,
        name=st.uuids().map(str),
        calling=st.none() | st.tuples(st.sampled_from(["A", "B"])),
        called=st.none() | st.tuples(st.sampled_from(["H", "S"])),
        hours=st.none() | st.sampled_from([window_of("08:00-16:00"), window_of("16:00-08:00")]),
        tags=st.dictionaries(
            st.just("Modality"), st.sampled_from([TagTest(equals=("CT",)), TagTest(matches="M")])
        ),
    ),
    max_size=6,
)


def fits(rule: Rule, calling: str, called: str, modality: str, hour: int) -> bool:
    """The same question, asked the plain way."""
    is_day = rule.hours == window_of("08:00-16:00")
    test = rule.tags.get("Modality")
    return (
        (rule.calling is None or rule.calling == (calling,))
        and (rule.called is None or rule.called == (called,))
        and (rule.hours is None or is_day == (8 <= hour < 16))
        and (test is None or (modality == "CT" if test.equals else "M" in modality))
    )


@given(
    RULES,
    st.sampled_from("AB"),
    st.sampled_from("HS"),
    st.sampled_from(["CT", "MR", "PT"]),
    st.integers(0, 23),
)
def test_the_first_rule_that_fits_is_the_one(
    rules: list[Rule], calling: str, called: str, modality: str, hour: int
) -> None:
    series = SeriesOrigin(calling=calling, called=called, texts={"Modality": modality})
    at = datetime(2026, 1, 1, hour, 30)
    wanted = [rule for rule in rules if fits(rule, calling, called, modality, hour)]

    answers = list(verdicts(rules, [series], at))

    assert first_rule(rules, [series], at) == (wanted[0] if wanted else None)
    assert [v.rule for v in answers if v.fires] == wanted[:1]
    assert [v.rule for v in answers] == rules
    assert all(v.why for v in answers)


@given(st.times(), st.times(), st.times())
def test_a_window_and_its_complement_share_the_day(begin: time, end: time, at: time) -> None:
    if begin == end:
        return

    inside = TimeWindow(begin=begin, end=end).holds(at)
    outside = TimeWindow(begin=end, end=begin).holds(at)

    assert inside != outside
