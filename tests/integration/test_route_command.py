"""`habitus route`: which rule fires for a study, and why each earlier one did not."""

import json
from pathlib import Path
from typing import Any

import pytest

import habitus
from tests.dicom_peers import ct_series
from tests.fakes import dicom_bytes, write

SETTINGS = """
data_folder = "data"
time_zone = "Asia/Seoul"
[engine]
models_folder = "models"
[[destinations]]
name = "pacs"
[[rules]]
name = "trauma"
calling = "ER1"
priority = "stat"
[[rules]]
name = "night"
hours = "22:00-06:00"
mode = "shadow"
[[rules]]
name = "thin"
outputs = ["sr"]
[rules.tags]
PixelSpacing = { at_most = 1 }
StudyDescription = { matches = "^study" }
"""


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    return write(tmp_path / "habitus.toml", SETTINGS)


def asked(
    settings: Path, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, dict[str, Any]]:
    status = habitus.main(["route", "--settings", str(settings), "--json", *arguments])
    return status, dict(json.loads(capsys.readouterr().out))


def test_each_rule_before_the_one_that_fires_says_why_not(
    settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "one.dcm"
    image.write_bytes(dicom_bytes(ct_series(1)[0]))

    status, told = asked(
        settings, capsys, "--test", str(image), "--calling", "CT1", "--at", "12:00"
    )

    assert status == 0
    assert told["rule"] == "thin"
    assert told["rules"] == [
        {"rule": "trauma", "fires": False, "why": "calling AE title 'CT1', not 'ER1'"},
        {"rule": "night", "fires": False, "why": "12:00 is not within 22:00-06:00"},
        {
            "rule": "thin",
            "fires": True,
            "why": "PixelSpacing at most 1, StudyDescription like '^study'",
        },
    ]


def test_tags_may_be_thought_of(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--at", "12:00", "--test", "PixelSpacing=2\\2", "StudyDescription=study"]
    status, told = asked(settings, capsys, *arguments)

    assert (status, told["rule"], told["taken"]) == (3, None, False)
    assert told["rules"][2]["why"] == "PixelSpacing is '2\\\\2', not at most 1"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--calling", "ER1"],
            "By trauma: profile abdomen, seg, sr, page sent to pacs, priority stat.",
        ),
        (["--at", "23:00"], "nothing is sent (shadow)"),
        (["--at", "12:00"], "not taken [no-rule]"),
    ],
)
def test_the_way_is_said_in_words(
    settings: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    habitus.main(["route", "--settings", str(settings), "--test", "Modality=CT", *arguments])

    told = capsys.readouterr().out
    assert words in told
    assert "trauma" in told


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--test", "absent.dcm"], 4, "absent.dcm, which cannot be read as DICOM"),
        (["--test", "Modality=CT", "--at", "25:00"], 2, "--at '25:00'"),
    ],
)
def test_what_cannot_be_tested_is_said(
    settings: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    words: str,
) -> None:
    assert habitus.main(["route", "--settings", str(settings), *arguments]) == status
    assert words in capsys.readouterr().err


def test_a_mistake_in_the_settings_is_named_by_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = write(tmp_path / "habitus.toml", SETTINGS.replace("calling", "caling"))

    assert habitus.main(["route", "--settings", str(settings), "--test", "Modality=CT"]) == 2
    assert "line 10: unknown setting rules[0].caling; wanted 'calling'" in capsys.readouterr().err


def test_a_keyword_that_dicom_does_not_know_is_no_absent_tag(
    settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = habitus.main(["route", "--settings", str(settings), "--test", "StudyDescripton=study"])

    assert status == 2
    assert "wanted 'StudyDescription'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        (["Modality=MR"], "[not-ct]"),
        (["Modality=SEG"], "[result-object]"),
        (["Modality=CT", "Manufacturer=Habitus"], "[own-result]"),
    ],
)
def test_what_the_intake_passes_over_is_put_to_no_rule(
    settings: Path, capsys: pytest.CaptureFixture[str], tags: list[str], reason: str
) -> None:
    status = habitus.main(["route", "--settings", str(settings), "--test", *tags])

    assert status == 3
    assert reason in capsys.readouterr().err
