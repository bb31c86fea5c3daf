"""What a site may choose about the report, and that a wrong choice is named."""

import pytest

from inference.domain.errors import ConfigurationInvalid
from inference.domain.report_options import Language, ReportOptions, SrTitle, report_options


def test_nothing_said_gives_the_defaults() -> None:
    assert report_options({}) == ReportOptions(title=SrTitle.HABITUS)


def test_a_choice_is_taken() -> None:
    assert report_options({"title": "126000"}).title is SrTitle.IMAGING_MEASUREMENT_REPORT
    assert report_options({"language": "ko"}).language is Language.KOREAN


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"titel": "126000"}, "report.titel"),
        ({"title": "CT Abdomen Report"}, "one of habitus, 126000"),
        ({"title": 126000}, "126000"),
        ({"language": "xx"}, "one of en, ko"),
    ],
)
def test_a_wrong_choice_is_named(table: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigurationInvalid, match=named):
        report_options(table)


def test_another_choice_has_another_hash() -> None:
    hashes = {
        ReportOptions(title=title, language=language).content_hash
        for title in SrTitle
        for language in Language
    }

    assert len(hashes) == len(SrTitle) * len(Language)
