"""The calibration's file: typed, complete, nothing unknown."""

from dataclasses import replace
from pathlib import Path

import pytest

from inference.domain.errors import ConfigurationInvalid, ModelUnusable
from inference.domain.level_calibration import (
    UNCALIBRATED,
    LevelCalibration,
    calibration_for,
    calibration_from_toml,
    calibration_to_toml,
)

TEXT = calibration_to_toml(
    replace(UNCALIBRATED, level_sha256="a" * 64, spine_sha256="b" * 64, statement="200 cases")
)


def test_what_is_written_is_read() -> None:
    assert calibration_to_toml(calibration_from_toml(TEXT)) == TEXT


def test_where_there_is_no_file_round_numbers_are_taken(tmp_path: Path) -> None:
    assert calibration_for(tmp_path / "calibration.toml", "a", None) is UNCALIBRATED


def test_a_calibration_of_other_networks_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "calibration.toml"
    path.write_text(TEXT, encoding="utf-8")

    assert calibration_for(path, "a" * 64, "b" * 64).statement == "200 cases"
    with pytest.raises(ModelUnusable):
        calibration_for(path, "c" * 64, "b" * 64)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TEXT + "extra = 1\n", "unknown key 'extra'"),
        ("flor = 0.1\n" + TEXT, "unknown key 'flor'"),
        (TEXT.replace("floor = 0.02", ""), "without 'floor'"),
        (TEXT.replace("floor = 0.02", 'floor = "low"'), "whose floor"),
        (TEXT.replace("floor = 0.02", "floor = 0.9"), "floor 0.9"),
        (TEXT.replace("confident_from = 0.75", "confident_from = 1.75"), "thresholds"),
        (TEXT.replace("joint = 0.5", "joint = -0.5"), "slopes"),
        ("not TOML", "not TOML"),
    ],
)
def test_what_cannot_be_used_is_an_error(text: str, told: str) -> None:
    with pytest.raises(ConfigurationInvalid) as refusal:
        calibration_from_toml(text)

    assert told in refusal.value.found


@pytest.mark.parametrize(
    ("level", "spine", "fits"),
    [("a", "b", True), ("a", None, True), ("a", "c", False), ("c", "b", False)],
)
def test_it_is_for_the_networks_it_was_fitted_for(
    level: str, spine: str | None, fits: bool
) -> None:
    calibration: LevelCalibration = replace(UNCALIBRATED, level_sha256="a", spine_sha256="b")

    assert calibration.is_for(level, spine) == fits
