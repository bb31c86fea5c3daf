"""Training configurations: read strictly."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from inference.domain.errors import ConfigurationInvalid
from tests.training.conftest import CONFIGS
from training.config import config_from_mapping, config_to_mapping, load_config


@pytest.fixture
def raw() -> dict[str, Any]:
    return tomllib.loads((CONFIGS / "organs.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_a_shipped_configuration_round_trips(path: Path) -> None:
    config = load_config(path)

    assert config_from_mapping(config_to_mapping(config)) == config


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("learning_rat", 0.1, "unknown key 'learning_rat'"),
        ("batch_size", 0, "batch_size 0"),
        ("batch_size", "four", "batch_size"),
        ("task", "brain", "task 'brain'"),
        ("hu_window", [300.0, -160.0], "hu_window"),
        ("input_shape", [96, 112], "input_shape"),
    ],
)
def test_a_wrong_key_is_named(raw: dict[str, Any], key: str, value: Any, named: str) -> None:
    raw[key] = value

    with pytest.raises(ConfigurationInvalid, match=named):
        config_from_mapping(raw)


def test_an_unknown_augmentation_is_named(raw: dict[str, Any]) -> None:
    raw["augmentation"]["elastic"] = 1.0

    with pytest.raises(ConfigurationInvalid, match="unknown key 'elastic' in augmentation"):
        config_from_mapping(raw)


def test_a_missing_key_is_named(raw: dict[str, Any]) -> None:
    del raw["seed"]

    with pytest.raises(ConfigurationInvalid, match="no key 'seed'"):
        config_from_mapping(raw)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match=r"no file x\.toml"):
        load_config(tmp_path / "x.toml")


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("a = = 1")

    with pytest.raises(ConfigurationInvalid, match="not TOML"):
        load_config(tmp_path / "x.toml")
